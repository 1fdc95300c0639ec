"""Numbers of the native tier that are not its weights."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


class Words(IntEnum):
    """What a row that draws does about its words: rows of equal draws come one after the other."""

    MAKE = 0
    KEEP = 1  # make them, for this row and the next
    TAKE = 2  # those that were kept
