"""Intervals by resampling seeds, and paired comparisons; every number is reproducible.

Resampling draws come from a counter-based generator with a fixed key, so that the same seeds give
the same interval on every machine and in every order of calls.

References:
    Efron & Tibshirani 1993, An Introduction to the Bootstrap (percentile interval).
    Phipson & Smyth 2010, Permutation p-values should never be zero.
    Holm 1979, A simple sequentially rejective multiple test procedure.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emtkit.plugin.statistic import Estimate, Sample, Statistic

Numbers = NDArray[np.float64]

RESAMPLES = 2000
CONFIDENCE = 0.95
EXACT_UP_TO = 14
FLIPS = 20_000
_BOOTSTRAP_KEY = 20_231_011
_PERMUTATION_KEY = 20_240_216
_BLOCK = 2_000_000


@dataclass(frozen=True)
class Difference:
    """a minus b over n pairs: estimate, two-sided p (None where none is defined), effect size.

    `effect` is Cohen's d of the paired differences: their mean over their standard deviation.
    """

    estimate: Estimate
    p: float | None
    effect: float


def bootstrap(statistic: Statistic, sample: Sample) -> Estimate:
    """The statistic with its bootstrap percentile interval, widened to hold the estimate itself.

    A best network may be among others whose value is undefined (NaN). A resample that finds one
    of those best could lie anywhere: it pushes both ends of the interval out, in the end to
    infinity.

    Raises:
        ValueError: the sample is empty, or NaN where it decides; both are the caller's to report.
    """
    _check(sample, statistic)
    value = float(statistic(sample.values, sample.by))
    return _interval(value, resampled(statistic, sample), len(sample))


def difference(a: Sample, b: Sample, of_a: Statistic, of_b: Statistic | None = None) -> Difference:
    """of_a(a) - of_b(b) (default: the same statistic), members paired by position.

    Pairs are resampled together. Two equal statistics carry the p of their test, if they have one.

    Raises:
        ValueError: unequal lengths, an empty sample or NaN.
    """
    of_b = of_b or of_a
    _check(a, of_a)
    _check(b, of_b)
    if len(a) != len(b):
        raise ValueError(f"pairs need equal lengths; found {len(a)} and {len(b)}")
    value = float(of_a(a.values, a.by)) - float(of_b(b.values, b.by))
    draws = resampled(of_a, a) - resampled(of_b, b)
    p = of_a.p(a.values - b.values) if type(of_a) is type(of_b) else None
    return Difference(_interval(value, draws, len(a)), p, effect_size(a, b))


def sum_of(scores: Numbers) -> Numbers:
    """The sum over the last axis."""
    return np.asarray(scores.sum(axis=-1))


def sign_flip_p(scores: Numbers, statistic: Callable[[Numbers], Numbers] = sum_of) -> float:
    """Two-sided p of a statistic of n paired differences, each of which may change its sign.

    Exact over all 2^n flips up to n = 14 (least p: 2 / 2^n), else 20,000 fixed random ones, where
    p = (1 + hits) / (1 + flips) is never zero. Differences that are all 0 give 1.
    """
    least = abs(float(statistic(scores))) - 1e-12 * float(statistic(np.abs(scores)))
    hits = tried = 0
    for flips in _flips(len(scores)):
        found = np.abs(statistic(np.where(flips, -scores, scores)))
        hits += int(np.count_nonzero(found >= least))
        tried += len(flips)
    return hits / tried if len(scores) <= EXACT_UP_TO else (1 + hits) / (1 + tried)


def least_flip_p(n: int) -> float:
    """The least p that `sign_flip_p` can reach with n pairs."""
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


def share_near_best(by: Numbers, within: float) -> float:
    """Share of networks whose `by` lies within the relative distance `within` of the best one."""
    best = float(by.min())
    return float(np.mean(np.abs(by - best) <= within * abs(best)))


def text_shares(names: Sequence[str], codes: Sample, statistic: Statistic) -> dict[str, float]:
    """The share of resamples in which the statistic of `codes` gives each of `names`."""
    found = resampled(statistic, codes)
    return {name: float(np.mean(found == code)) for code, name in enumerate(names)}


def resampled(statistic: Statistic, sample: Sample) -> Numbers:
    """The statistic of resampled members; equal n means equal draws, which keeps pairs together."""
    if len(sample) == 1:
        return statistic(sample.values[None], None if sample.by is None else sample.by[None])
    n = len(sample)
    blocks = _small_draws(n) if n <= 128 else _draw_blocks(n)
    drawn = [sample.take(chosen) for chosen in blocks]
    return np.concatenate([statistic(part.values, part.by) for part in drawn])


def _check(sample: Sample, statistic: Statistic) -> None:
    if not len(sample):
        raise ValueError("a statistic of no values is undefined")
    decides = sample.values
    if statistic.ranks and sample.by is not None:
        decides = np.append(sample.by, statistic(sample.values, sample.by))
    if np.isnan(decides).any():
        raise ValueError("a statistic of NaN is undefined; remove or report the rows first")


def _interval(value: float, draws: Numbers, n: int) -> Estimate:
    tail = 100 * (1 - CONFIDENCE) / 2
    unknown = np.isnan(draws)
    low = float(np.percentile(np.where(unknown, -np.inf, draws), tail, method="lower"))
    high = float(np.percentile(np.where(unknown, np.inf, draws), 100 - tail, method="higher"))
    return Estimate(value, min(low, value), max(high, value), n)


@lru_cache(maxsize=32)
def _small_draws(n: int) -> tuple[NDArray[np.int64], ...]:
    """The draws of usual numbers of seeds, which are kept."""
    return tuple(_draw_blocks(n))


def _draw_blocks(n: int) -> Iterator[NDArray[np.int64]]:
    """Resampled members of n, in blocks."""
    generator = np.random.Generator(np.random.Philox(key=_BOOTSTRAP_KEY + n))
    for rows in _blocks(RESAMPLES, n):
        yield generator.integers(n, size=(rows, n))


def _flips(n: int) -> Iterator[NDArray[np.bool_]]:
    """Which signs to change: all 2^n ways up to EXACT_UP_TO pairs, else FLIPS random ones."""
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
