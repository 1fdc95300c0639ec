"""Numbers of the native tier that are not its weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Delays:
    """Targets that are the row's own inputs, `steps` (M) ago: nothing to store or to turn."""

    steps: NDArray[np.int64]
