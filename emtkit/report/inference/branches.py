"""Values that fall apart into two branches, of which a mean or median would describe neither."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST, APART = 8, 3.0
"""Of 8 to 24 values of one normal, uniform, exponential or lognormal law at most 1.5 % are taken
for two branches (2,000 draws each)."""


@dataclass(frozen=True)
class Branches:
    """Medians of two groups of values, and how many each has."""

    low: float
    high: float
    low_count: int
    high_count: int


def two_branches(values: NDArray[np.float64]) -> Branches | None:
    """The two groups, if the gap between them is over `APART` times the range of either.

    Each has two values or more, of at least `FEWEST`; None where that is not so.
    """
    ordered = np.sort(values)
    if len(ordered) < FEWEST or not np.isfinite(ordered).all():
        return None
    gaps = np.diff(ordered)[1:-1]
    ranges = np.maximum(ordered[1:-2] - ordered[0], ordered[-1] - ordered[2:-1])
    place = int(np.argmax(gaps - APART * ranges))
    if not gaps[place] > APART * ranges[place]:
        return None
    low, high = ordered[: place + 2], ordered[place + 2 :]
    return Branches(float(np.median(low)), float(np.median(high)), len(low), len(high))
