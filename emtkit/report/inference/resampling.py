"""Paired comparisons by swapping sides, order statistics, and Holm; every number is reproducible.

Random swaps come from a counter-based generator with a fixed key, so that the same seeds give the
same p on every machine and in every order of calls.

References:
    Phipson & Smyth 2010, Permutation p-values should never be zero.
    Holm 1979, A simple sequentially rejective multiple test procedure.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emtkit.plugin.statistic import Estimate, Sample, Statistic

Numbers = NDArray[np.float64]

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
EXACT_UP_TO = 14
SWAPS = 20_000
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


def swap_p(statistic: Statistic, a: Sample, b: Sample) -> float:
    """Two-sided p of S(a) - S(b) over n pairs, the sides of each of which may be swapped."""

    def difference(swaps: NDArray[np.bool_]) -> Numbers:
        one, two = a.swapped(b, swaps), b.swapped(a, swaps)
        return statistic(one.values, one.by) - statistic(two.values, two.by)

    size = max(float(np.nanmax(np.abs(side.values))) for side in (a, b))
    return p_of_swaps(len(a), difference, size)


def p_of_swaps(n: int, difference: Callable[[NDArray[np.bool_]], Numbers], size: float) -> float:
    """Two-sided p of a difference (R) as a function of which of n pairs are swapped (R, n).

    Exact over all 2^n ways up to n = 14 (least p: 2 / 2^n), else over 20,000 fixed random ones,
    where p = (1 + hits) / (1 + swaps) is never zero. Differences closer than the rounding of
    numbers of this `size` are equal; one that is undefined counts as a hit.
    """
    least = abs(float(difference(np.zeros((1, n), bool))[0])) - 1e-12 * size
    hits = tried = 0
    for swaps in side_swaps(n):
        hits += len(swaps) - int(np.count_nonzero(np.abs(difference(swaps)) < least))
        tried += len(swaps)
    return hits / tried if n <= EXACT_UP_TO else (1 + hits) / (1 + tried)


def least_swap_p(n: int) -> float:
    """The least p that `swap_p` can reach with n pairs."""
    return min(1.0, 2.0 / 2**n) if n <= EXACT_UP_TO else 1.0 / (1 + SWAPS)


def side_swaps(n: int) -> Iterable[NDArray[np.bool_]]:
    """Which of n pairs to swap, in blocks (R, n): all 2^n ways up to n = 14, else random ones."""
    return _small_swaps(n) if n <= 64 else _swap_blocks(n)


@lru_cache(maxsize=16)
def _small_swaps(n: int) -> tuple[NDArray[np.bool_], ...]:
    """The swaps of usual numbers of seeds, which are kept."""
    return tuple(_swap_blocks(n))


def _swap_blocks(n: int) -> Iterator[NDArray[np.bool_]]:
    if n <= EXACT_UP_TO:
        yield (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1
        return
    generator = np.random.Generator(np.random.Philox(key=_PERMUTATION_KEY + n))
    rows = max(1, min(SWAPS, _BLOCK // n))
    for start in range(0, SWAPS, rows):
        yield generator.random((min(rows, SWAPS - start), n)) < 0.5


@lru_cache(maxsize=256)
def lower_rank(n: int, quantile: float) -> int:
    """The rank, from 1, of the order statistic below a quantile at 97.5 %; 0 where none is.

    The greatest i with P(Binomial(n, quantile) < i) <= 0.025. Ranked from the top it is the upper
    limit of the quantile 1 - `quantile`.
    """
    from scipy.stats import binom  # takes a second to import, which a plan need not pay

    return int(binom.ppf(TAIL, n, quantile))


def effect_size(differences: Numbers) -> float:
    """Cohen's d of paired differences; 0 when all are 0, infinite when all are equal, not 0."""
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
