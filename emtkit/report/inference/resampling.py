"""Estimates over seeds, their intervals, and paired comparisons; every number is reproducible.

Resampling draws come from a counter-based generator with a fixed key, so that the same seeds give
the same interval on every machine and in every order of calls.

References:
    Efron & Tibshirani 1993, An Introduction to the Bootstrap (percentile interval).
    Phipson & Smyth 2010, Permutation p-values should never be zero.
    Wilcoxon 1945, Individual comparisons by ranking methods.
    Holm 1979, A simple sequentially rejective multiple test procedure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Shares = dict[str, float]
Kind = Literal["mean", "median", "best", "share"]

RESAMPLES = 2000
CONFIDENCE = 0.95
EXACT_UP_TO = 14
FLIPS = 20_000
_BOOTSTRAP_KEY = 20_231_011
_PERMUTATION_KEY = 20_240_216
_BLOCK = 2_000_000


@dataclass(frozen=True)
class Statistic:
    """A number made of n networks: `mean`, `median`, `share` (mean of zeros and ones) or `best`.

    `best` is the value of the network whose `by` is least (`direction` 'min') or greatest.
    """

    kind: Kind = "mean"
    direction: Literal["min", "max"] = "min"

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The statistic over the last axis of `values` (and `by`, of equal shape)."""
        if self.kind == "median":
            return np.asarray(np.median(values, axis=-1))
        if self.kind == "best":
            assert by is not None
            chosen = np.argmin(by if self.direction == "min" else -by, axis=-1)
            return np.take_along_axis(values, chosen[..., None], axis=-1)[..., 0]
        return np.asarray(values.mean(axis=-1))


@dataclass(frozen=True)
class Sample:
    """The n values that a statistic reads; `by` ranks them where the statistic is `best`."""

    values: Numbers
    by: Numbers | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, chosen: NDArray[Any] | list[int]) -> Sample:
        """The sample with its members chosen by index; `chosen` may have leading axes."""
        return Sample(self.values[chosen], None if self.by is None else self.by[chosen])


@dataclass(frozen=True)
class Estimate:
    """A statistic with its 95 % interval; `low` and `high` equal `value` when n is 1."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Difference:
    """a minus b over n pairs: estimate, two-sided p (None where none is defined), effect size.

    `effect` is Cohen's d of the paired differences: their mean over their standard deviation.
    """

    estimate: Estimate
    p: float | None
    effect: float


def estimate(sample: Sample, statistic: Statistic) -> Estimate:
    """The statistic with its bootstrap percentile interval, widened to hold the estimate itself.

    A best network may stand among others whose value is undefined (NaN). A resample that finds one
    of those best could lie anywhere: it pushes both ends of the interval out, in the end to
    infinity.

    Raises:
        ValueError: the sample is empty, or NaN where it decides; both are the caller's to report.
    """
    _check(sample, statistic)
    value = float(statistic(sample.values, sample.by))
    return _interval(value, _resample(sample, statistic), len(sample))


def difference(a: Sample, b: Sample, of_a: Statistic, of_b: Statistic | None = None) -> Difference:
    """of_a(a) - of_b(b) (default: the same statistic), members paired by position.

    Pairs are resampled together. Two means or two medians carry a permutation p; others do not
    (swapping the members of a pair says little about an extreme).

    Raises:
        ValueError: unequal lengths, an empty sample or NaN.
    """
    of_b = of_b or of_a
    _check(a, of_a)
    _check(b, of_b)
    if len(a) != len(b):
        raise ValueError(f"pairs need equal lengths; found {len(a)} and {len(b)}")
    value = float(of_a(a.values, a.by)) - float(of_b(b.values, b.by))
    draws = _resample(a, of_a) - _resample(b, of_b)
    tested = of_a == of_b and of_a.kind in ("mean", "median")
    p = permutation_p(a, b, of_a) if tested else None
    return Difference(_interval(value, draws, len(a)), p, effect_size(a, b))


def permutation_p(a: Sample, b: Sample, statistic: Statistic) -> float:
    """Two-sided p of a - b when the members of each pair may be swapped.

    The test statistic is the mean of the differences, for medians Wilcoxon's signed-rank sum (as
    robust as they are). Exact over all 2^n swaps up to n = 14 (least p: 2 / 2^n), else 20,000
    fixed random ones, where p = (1 + hits) / (1 + swaps) is never zero. Identical data give 1.
    """
    scores = a.values - b.values
    if statistic.kind == "median":
        scores = np.sign(scores) * _ranks(np.abs(scores))
    least = abs(float(scores.sum())) - 1e-12 * float(np.abs(scores).sum())
    hits = tried = 0
    for swaps in _swaps(len(a)):
        hits += int(np.count_nonzero(np.abs(np.where(swaps, -scores, scores).sum(axis=1)) >= least))
        tried += len(swaps)
    return hits / tried if len(a) <= EXACT_UP_TO else (1 + hits) / (1 + tried)


def least_p(n: int) -> float:
    """The least p that `permutation_p` can reach with n pairs."""
    return min(1.0, 2.0 / 2**n) if n <= EXACT_UP_TO else 1.0 / (1 + FLIPS)


def effect_size(a: Sample, b: Sample) -> float:
    """Cohen's d of paired differences; 0 when all are 0, infinite when all are equal, not 0."""
    differences = a.values - b.values
    differences = differences[~np.isnan(differences)]
    mean = float(differences.mean())
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if spread > 1e-12 * abs(mean):
        return mean / spread
    return 0.0 if mean == 0 else float(np.copysign(np.inf, mean))


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction over those that are not None; order is kept."""
    known = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    running = 0.0
    for rank, (p, place) in enumerate(known):
        running = max(running, min(1.0, (len(known) - rank) * p))
        corrected[place] = running
    return corrected


def share_near_best(by: Numbers, direction: Literal["min", "max"], within: float) -> float:
    """Share of networks whose `by` lies within the relative distance `within` of the best one."""
    best = float(by.min() if direction == "min" else by.max())
    return float(np.mean(np.abs(by - best) <= within * abs(best)))


def text_shares(texts: Sequence[str], by: Numbers | None, statistic: Statistic | None) -> Shares:
    """How often each text comes out of resampled members: the best one's, else the commonest.

    Ties of the commonest go to the text that sorts first.
    """
    names = sorted(set(texts))
    codes = np.array([names.index(text) for text in texts], float)
    if statistic is not None and by is not None:
        found = _resample(Sample(codes, by), statistic)
    else:
        tallies = codes[:, None] == np.arange(len(names))
        counted = [tallies[chosen].sum(axis=1) for chosen in _draws(len(texts))]
        found = np.concatenate(counted).argmax(axis=1)
    return {name: float(np.mean(found == code)) for code, name in enumerate(names)}


def _ranks(sizes: Numbers) -> Numbers:
    """Ranks from 1; equal sizes share their mean rank, and zeros (which have no sign) rank not."""
    ordered = np.sort(sizes[sizes > 0])
    first, last = np.searchsorted(ordered, sizes), np.searchsorted(ordered, sizes, "right")
    return (first + last + 1) / 2


def _check(sample: Sample, statistic: Statistic) -> None:
    if not len(sample):
        raise ValueError("a statistic of no values is undefined")
    decides = sample.values
    if statistic.kind == "best" and sample.by is not None:
        decides = np.append(sample.by, statistic(sample.values, sample.by))
    if np.isnan(decides).any():
        raise ValueError("a statistic of NaN is undefined; remove or report the rows first")


def _interval(value: float, draws: Numbers, n: int) -> Estimate:
    tail = 100 * (1 - CONFIDENCE) / 2
    unknown = np.isnan(draws)
    low = float(np.percentile(np.where(unknown, -np.inf, draws), tail, method="lower"))
    high = float(np.percentile(np.where(unknown, np.inf, draws), 100 - tail, method="higher"))
    return Estimate(value, min(low, value), max(high, value), n)


def _resample(sample: Sample, statistic: Statistic) -> Numbers:
    """The statistic of resampled members; equal n means equal draws, which keeps pairs together."""
    if len(sample) == 1:
        return statistic(sample.values[None], None if sample.by is None else sample.by[None])
    drawn = [sample.take(chosen) for chosen in _draws(len(sample))]
    return np.concatenate([statistic(part.values, part.by) for part in drawn])


def _draws(n: int) -> Iterable[NDArray[np.int64]]:
    """Resampled members of n, in blocks; those of usual numbers of seeds are kept."""
    return _small_draws(n) if n <= 128 else _draw_blocks(n)


@lru_cache(maxsize=32)
def _small_draws(n: int) -> tuple[NDArray[np.int64], ...]:
    return tuple(_draw_blocks(n))


def _draw_blocks(n: int) -> Iterator[NDArray[np.int64]]:
    generator = np.random.Generator(np.random.Philox(key=_BOOTSTRAP_KEY + n))
    for rows in _blocks(RESAMPLES, n):
        yield generator.integers(n, size=(rows, n))


def _swaps(n: int) -> Iterator[NDArray[np.bool_]]:
    """Which pairs to swap: all 2^n ways up to EXACT_UP_TO pairs, else FLIPS random ones."""
    if n <= EXACT_UP_TO:
        yield (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1
        return
    generator = np.random.Generator(np.random.Philox(key=_PERMUTATION_KEY + n))
    for rows in _blocks(FLIPS, n):
        yield generator.random((rows, n)) < 0.5


def _blocks(total: int, width: int) -> Iterator[int]:
    """Sizes of blocks of rows that sum to `total` and bound the memory of a row's `width`."""
    rows = max(1, min(total, _BLOCK // width))
    for start in range(0, total, rows):
        yield min(rows, total - start)
