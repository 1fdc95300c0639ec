"""Philox4x32-10: a random generator that is a pure function of a key and a counter.

A block (four 32-bit words) is the image of a 128-bit counter under ten rounds keyed by 64 bits:

    (c0, c1, c2, c3) -> (hi(B c2) ^ c1 ^ k0,  lo(B c2),  hi(A c0) ^ c3 ^ k1,  lo(A c0))
    (k0, k1) -> (k0 + 0x9E3779B9, k1 + 0xBB67AE85)

Two generators give the same bits: `NumpyGenerator` here, and the compiled one in `_philox_numba`,
about ten times faster. `default_generator` chooses.

References: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from functools import cache
from typing import Any, Protocol

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


class Generator(Protocol):
    """The two loops that streams need; every implementation gives the same bits.

    `counters` (U 4) of uint64: the two words of the key, the iteration and the first block of each
    draw. The blocks follow one another, their words in order.
    """

    def words(self, counters: Counters, blocks: int) -> Words:
        """All words of the draws (U, 4 blocks)."""
        ...

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
        ...


class NumpyGenerator:
    """The generator where numba is missing, and the yardstick of the compiled one."""

    def words(self, counters: Counters, blocks: int) -> Words:
        """See `Generator.words`."""
        out = np.empty((len(counters), blocks, 4), dtype=np.uint32)
        for counter, target in zip(counters.tolist(), out, strict=True):
            for start in range(0, blocks, _CHUNK):
                _rounds(counter, start, target[start : start + _CHUNK])
        return out.reshape(len(counters), 4 * blocks)

    def scaled(
        self,
        counters: Counters,
        rows: NDArray[np.intp],
        limits: NDArray[np.float64],
        size: int,
        dtype: np.dtype[Any],
    ) -> Floats:
        """See `Generator.scaled`."""
        words = self.words(counters, -(-size // 4))[:, :size]
        below_one = largest_below_one(dtype)
        out = np.empty((len(rows), size), dtype=dtype)
        for target, row, limit in zip(out, rows, limits, strict=True):
            drawn = words[row].astype(np.float64)
            inside = drawn < limit
            drawn *= 1.0 / limit
            np.minimum(drawn.astype(dtype), below_one, out=target)
            target *= inside
        return out


def largest_below_one(dtype: np.dtype[Any]) -> Any:
    """The largest float of `dtype` that is less than 1, as a scalar of that type."""
    return np.nextafter(dtype.type(1.0), dtype.type(0.0))


@cache
def default_generator() -> Generator:
    """The compiled generator where numba imports, else numpy's; decided at the first draw."""
    try:
        from emtkit.plugin._philox_numba import NumbaGenerator
    except ImportError:
        return NumpyGenerator()
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
    for word, column in enumerate((c0, c1, c2, c3)):
        out[:, word] = column
