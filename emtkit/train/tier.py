"""What a training tier is: a way to compute the gradients of M networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray
from torch import Tensor

from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Batch
from emtkit.study.settings import Training
from emtkit.train.optimise import Moments, Optimiser, TensorOptimiser
from emtkit.train.stacked import Stacked, average, by_step


@dataclass(frozen=True)
class Step:
    """What one iteration gives: losses M, gradients M P, outputs M B T O.

    `steps` (M T) are the mean errors of the scored steps, 0 elsewhere; `losses` their averages. A
    fused tier keeps no outputs; it is not given staged curricula, which look at them.
    """

    losses: Tensor
    gradients: Tensor
    steps: Tensor
    outputs: Tensor | None


@dataclass(frozen=True)
class Trained:
    """What some iterations gave: losses (n M), and which rows were finite in the last one (M)."""

    losses: NDArray[Any]
    healthy: list[bool]


class Program(ABC):
    """Rows that train by themselves, where nothing is to be done between iterations.

    Bit for bit what drawing, `Tier.gradients` and `Optimiser.step` give one after the other.
    `most`: the most iterations to ask for at once.
    """

    most: int

    @abstractmethod
    def run(self, count: int) -> Trained:
        """Up to `count` iterations of every row; fewer where a row is no longer finite."""

    @abstractmethod
    def state(self) -> tuple[Tensor, Moments]:
        """Copies of the parameters (M P) and the moments as they are now."""


class Tier(ABC):
    """All tiers give the same numbers within float tolerance; each gives a row the same bits in
    any stack of two rows or more.

    `rows_share_horizon`: whether a row that runs on past its own horizon keeps its bits.
    """

    name: ClassVar[str]
    rows_share_horizon: ClassVar[bool]

    @abstractmethod
    def gradients(self, stacked: Stacked, flat: Tensor, batch: Batch, masks: Tensor) -> Step:
        """Loss of each row on the steps that `masks` (M T) leaves, and its gradient."""

    def takes_one(self, training: Training) -> bool:
        """Whether a row alone gets the bits that it gets in a stack; else it needs company."""
        return False

    def optimiser(self, trainings: Sequence[Training], like: Tensor) -> Optimiser:
        """What updates a stack of this tier."""
        return TensorOptimiser(trainings, like)

    def program(
        self,
        stacked: Stacked,
        trainings: Sequence[Training],
        streams: Sequence[Stream],
        flat: Tensor,
        moments: Moments,
    ) -> Program | None:
        """A program for these rows, each from its next stream on, where the tier has one."""
        return None

    @abstractmethod
    def outputs(self, stacked: Stacked, flat: Tensor, batch: Batch) -> Tensor:
        """Outputs M B T O of the rows `flat` (M P), without a gradient."""

    @staticmethod
    def losses(errors: Tensor, masks: Tensor) -> Tensor:
        """The one way a row's loss is averaged: over its sequences and its scored steps."""
        return average(by_step(errors, masks), masks)
