"""Paired comparisons by swapping sides; every number is reproducible.

Random swaps come from a counter-based generator with a fixed key, so that the same seeds give the
same p on every machine and in every order of calls.

References:
    Phipson & Smyth 2010, Permutation p-values should never be zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from emtkit.plugin.statistic import Sample, Statistic

Numbers = NDArray[np.float64]

EXACT_UP_TO = 14
SWAPS = 20_000
_PERMUTATION_KEY = 20_240_216
_BLOCK = 2_000_000


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
