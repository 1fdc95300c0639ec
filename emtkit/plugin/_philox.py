"""Philox4x32-10: a random generator that is a pure function of a key and a counter.

A block (four 32-bit words) is the image of a 128-bit counter under ten rounds keyed by 64 bits:

    (c0, c1, c2, c3) -> (hi(B c2) ^ c1 ^ k0,  lo(B c2),  hi(A c0) ^ c3 ^ k1,  lo(A c0))
    (k0, k1) -> (k0 + 0x9E3779B9, k1 + 0xBB67AE85)

Two generators give the same bits: `Generator` here, and the compiled one in `_philox_numba`,
about ten times faster. `default_generator` chooses.

References: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
Counters = NDArray[np.uint64]
Floats = NDArray[Any]

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
INCREMENTS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
LOW = 0xFFFFFFFF

_CHUNK = 4096  # blocks at a time: ten 32 KiB temporaries stay in the second-level cache


class Generator:
    """What streams draw with, by numpy; another generator has other loops and gives the same bits.

    `counters` (U 4) of uint64: the two words of the key, the iteration and the first block of each
    draw. The blocks follow one another, their words in order.
    """

    def words(self, counters: Counters, blocks: int) -> Words:
        """All words of the draws (U, 4 blocks)."""
        out = np.empty((len(counters), 4 * blocks), dtype=np.uint32)
        for counter, row in zip(counters, out, strict=True):
            self.fill(counter, row)
        return out

    def scaled(
        self,
        counters: Counters,
        rows: NDArray[np.intp],
        limits: NDArray[np.float64],
        size: int,
        dtype: np.dtype[Any],
    ) -> Floats:
        """Row m (M, size) = w / limit_m where w, a word of draw rows_m, is below limit_m, else 0.

        `rows` and `limits` (M). The quotient is w times the float64 reciprocal of the limit,
        rounded to `dtype`, and at most the largest number below 1.
        """
        out = np.empty((len(rows), size), dtype=dtype)
        by_draw = np.argsort(rows, kind="stable")
        self.scale_rows(counters, rows, by_draw, limits, largest_below_one(dtype), out)
        return out

    @staticmethod
    def fill(counter: Counters, out: Words) -> None:
        """One draw -> `out` (4 blocks)."""
        blocks = out.reshape(-1, 4)
        for start in range(0, len(blocks), _CHUNK):
            _rounds(counter.tolist(), start, blocks[start : start + _CHUNK])

    @staticmethod
    def scale(drawn: Words, limit: float, below_one: Any, out: Floats) -> None:
        """One row of `scaled`, from its words."""
        words = drawn[: len(out)].astype(np.float64)
        np.minimum((words * (1.0 / limit)).astype(out.dtype), below_one, out=out)
        out *= words < limit

    def scale_rows(
        self,
        counters: Counters,
        rows: NDArray[np.intp],
        by_draw: NDArray[np.intp],
        limits: NDArray[np.float64],
        below_one: Any,
        out: Floats,
    ) -> None:
        """The loop of `scaled`: row after row in the order of their draws, one draw in cache."""
        drawn = np.empty(4 * ((out.shape[1] + 3) // 4), dtype=np.uint32)
        current = -1
        for m in by_draw:
            if rows[m] != current:
                current = rows[m]
                self.fill(counters[current], drawn)
            self.scale(drawn, limits[m], below_one, out[m])


def largest_below_one(dtype: np.dtype[Any]) -> Any:
    """The largest float of `dtype` that is less than 1, as a scalar of that type."""
    return np.nextafter(dtype.type(1.0), dtype.type(0.0))


@cache
def default_generator() -> Generator:
    """The compiled generator where numba imports, else numpy's; decided at the first draw."""
    try:
        from emtkit.plugin._philox_numba import NumbaGenerator
    except ImportError:
        return Generator()
    return NumbaGenerator()


def _rounds(counter: list[int], start: int, out: Words) -> None:
    """The blocks of a draw from its `start`-th on -> `out` (block, word)."""
    low, half = np.uint64(LOW), np.uint64(32)
    first, second = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
    k0, k1, iteration, begin = counter
    position = np.arange(len(out), dtype=np.uint64) + np.uint64((begin + start) % 2**64)
    c0, c1 = position & low, position >> half
    c2 = np.full_like(position, iteration & LOW)
    c3 = np.full_like(position, iteration >> 32)
    for _ in range(ROUNDS):
        p0, p1 = first * c0, second * c2
        c0, c1 = (p1 >> half) ^ c1 ^ np.uint64(k0), p1 & low
        c2, c3 = (p0 >> half) ^ c3 ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + INCREMENTS[0]) & LOW, (k1 + INCREMENTS[1]) & LOW
    out[:] = np.stack((c0, c1, c2, c3), 1)
