"""The compiled Philox4x32-10; importing this module imports numba."""

from typing import Any

import numba
import numpy as np

from emtkit.plugin import _philox
from emtkit.plugin._philox import ROUNDS, Counters, Floats, Words


def compiled(function: Any) -> Any:
    """Compile at the first call; keep the result on disk where some directory can be written."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # neither the package, NUMBA_CACHE_DIR nor the user's cache is writable
        return numba.njit(nogil=True, error_model="numpy")(function)


_A, _B = map(np.uint64, _philox.MULTIPLIERS)
_C, _D = map(np.uint64, _philox.INCREMENTS)
_LOW, _HALF = np.uint64(_philox.LOW), np.uint64(32)


@compiled
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


@compiled
def scale(drawn: Words, limit: float, below_one: Any, out: Floats) -> None:
    """See `Generator.scale`: plain loops that the compiler turns into vector code."""
    factor = 1.0 / limit
    for n in range(out.size):
        word = np.float64(drawn[n])
        value = out.dtype.type(word * factor)
        value = below_one if value > below_one else value
        out[n] = value if word < limit else out.dtype.type(0.0)


@compiled
def scale_rows(
    counters: Counters, rows: Any, by_draw: Any, limits: Any, below_one: Any, out: Floats
) -> None:
    """See `Generator.scale_rows`.

    Written out here: of a function made inside another numba finds nothing on disk again, and
    compiles it for a second in every process.
    """
    drawn = np.empty(4 * ((out.shape[1] + 3) // 4), dtype=np.uint32)
    current = -1
    for m in by_draw:
        if rows[m] != current:
            current = rows[m]
            fill(counters[current], drawn)
        scale(drawn, limits[m], below_one, out[m])


class NumbaGenerator(_philox.Generator):
    """All loops compiled."""

    fill = staticmethod(fill)
    scale = staticmethod(scale)
    scale_rows = staticmethod(scale_rows)
