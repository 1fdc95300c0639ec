"""The records of theory that the built-in tasks and models offer and the analyses require."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HistoryLaw:
    """The next item of a history is a fixed linear function of all of it.

    `phi` (s d, s d) advances the flattened history, oldest item first; `mask` (s d) marks the
    coordinates that the smallest exact circuit keeps (all, where the core is incomplete);
    `core_rank` counts the non-zero eigenvalues of phi, which are `spectrum` (core_rank,), in
    closed form where there is one; `period` is the smallest p with phi^p = I on the core, where
    there is one. `real_values` says that the values are not signs, so that no saturating network
    can carry them. A driven delay line without an autonomous rule has core rank 0.

    Source: Episodic Memory Theory (arXiv:2310.02430), Eqs. 4, 6, 8.
    """

    history: int
    dimension: int
    phi: Array
    mask: NDArray[np.bool_]
    core_rank: int
    spectrum: NDArray[np.complex128] | None = None
    period: int | None = None
    real_values: bool = False

    @property
    def operator(self) -> Array:
        """The rule f (d, s d): the last rows of phi."""
        return self.phi[-self.dimension :]
