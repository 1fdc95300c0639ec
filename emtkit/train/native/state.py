"""What a stack of rows carries from step to step, and what differs by row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emtkit.train.native.network import Floats

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Rates:
    """What differs by row (M) in an optimiser's step.

    `rate`: learning rate; `decay`: weight decay, added to the gradient (`decoupled` False: Adam) or
    taken from the weights (True: AdamW); `clip`: the largest norm of a gradient (inf: none).
    """

    rate: Doubles
    decay: Doubles
    clip: Doubles
    beta1: Doubles
    beta2: Doubles
    epsilon: Doubles
    decoupled: bool = False

    @classmethod
    def equal(
        cls,
        models: int,
        *,
        rate: float,
        decay: float = 0.0,
        clip: float = np.inf,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        decoupled: bool = False,
    ) -> Rates:
        """The same numbers in all rows."""

        def rows(number: float) -> Doubles:
            return np.full(models, number)

        return cls(
            rows(rate), rows(decay), rows(clip), rows(beta1), rows(beta2), rows(epsilon), decoupled
        )


@dataclass(frozen=True)
class Delays:
    """Targets that are the row's own inputs, `steps` (M) ago: nothing to store or to turn."""

    steps: NDArray[np.int64]


@dataclass
class AdamState:
    """Flat weights (M P), their moments, and how many steps each row has taken (M)."""

    weights: Floats
    first: Floats = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))
    second: Floats = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))
    taken: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __post_init__(self) -> None:
        if not self.first.size:
            self.first = np.zeros_like(self.weights)
            self.second = np.zeros_like(self.weights)
            self.taken = np.zeros(len(self.weights), dtype=np.int64)

    def rows(self, chosen: Any) -> AdamState:
        """A copy of the chosen rows, in that order."""
        return AdamState(
            self.weights[chosen], self.first[chosen], self.second[chosen], self.taken[chosen]
        )
