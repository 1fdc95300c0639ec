"""The compiled Philox4x32-10; importing this module imports numba."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from emtkit.plugin._philox import (
    INCREMENTS,
    LOW,
    MULTIPLIERS,
    ROUNDS,
    Counters,
    Floats,
    Words,
    largest_below_one,
)

_Function = TypeVar("_Function", bound=Callable[..., Any])


class NumbaGenerator:
    """Plain loops that the compiler turns into vector code; see `Generator`."""

    def words(self, counters: Counters, blocks: int) -> Words:
        """See `Generator.words`."""
        out = np.empty((len(counters), 4 * blocks), dtype=np.uint32)
        _words(counters, out)
        return out

    def scaled(
        self,
        counters: Counters,
        rows: NDArray[np.intp],
        limits: NDArray[np.float64],
        size: int,
        dtype: np.dtype[Any],
    ) -> Floats:
        """See `Generator.scaled`."""
        out = np.empty((len(rows), size), dtype=dtype)
        by_draw = np.argsort(rows, kind="stable")
        _scaled(counters, rows, by_draw, limits, largest_below_one(dtype), out)
        return out


def _compiled(function: _Function) -> _Function:
    """Compile at the first call; keep the result on disk where some directory can be written."""
    try:
        kept: Any = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither the package, NUMBA_CACHE_DIR nor the user's cache is writable
        kept = numba.njit(nogil=True)(function)
    return cast(_Function, kept)


_A, _B = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
_C, _D = np.uint64(INCREMENTS[0]), np.uint64(INCREMENTS[1])
_LOW, _HALF = np.uint64(LOW), np.uint64(32)


@_compiled
def fill(counter: Counters, out: Words) -> None:
    """One draw -> `out` (4 blocks), in 64-bit lanes, so that the products are whole."""
    keys = np.empty((ROUNDS, 2), dtype=np.uint64)
    for r in range(ROUNDS):
        keys[r, 0] = (counter[0] + np.uint64(r) * _C) & _LOW
        keys[r, 1] = (counter[1] + np.uint64(r) * _D) & _LOW
    low, high = counter[2] & _LOW, counter[2] >> _HALF
    for block in range(out.size // 4):
        position = counter[3] + np.uint64(block)
        c0, c1, c2, c3 = position & _LOW, position >> _HALF, low, high
        for r in range(ROUNDS):
            p0, p1 = _A * c0, _B * c2
            c0, c1 = (p1 >> _HALF) ^ c1 ^ keys[r, 0], p1 & _LOW
            c2, c3 = (p0 >> _HALF) ^ c3 ^ keys[r, 1], p0 & _LOW
        out[4 * block] = c0
        out[4 * block + 1] = c1
        out[4 * block + 2] = c2
        out[4 * block + 3] = c3


@_compiled
def scale(drawn: Words, limit: float, below_one: Any, target: Floats) -> None:
    """One row of `Generator.scaled`, from its words."""
    factor = 1.0 / limit
    for n in range(target.size):
        word = np.float64(drawn[n])
        value = target.dtype.type(word * factor)
        value = below_one if value > below_one else value
        target[n] = value if word < limit else target.dtype.type(0.0)


@_compiled
def _words(counters: Counters, out: Words) -> None:
    """The loop of `Generator.words`."""
    for draw in range(counters.shape[0]):
        fill(counters[draw], out[draw])


@_compiled
def _scaled(
    counters: Counters,
    rows: NDArray[np.intp],
    by_draw: NDArray[np.intp],
    limits: NDArray[np.float64],
    below_one: Any,
    out: Floats,
) -> None:
    """The loop of `Generator.scaled`: rows in the order of their draws, one draw in cache."""
    drawn = np.empty(4 * ((out.shape[1] + 3) // 4), dtype=np.uint32)
    current = -1
    for m in by_draw:
        if rows[m] != current:
            current = rows[m]
            fill(counters[current], drawn)
        scale(drawn, limits[m], below_one, out[m])
