"""What a training tier is: a way to compute the gradients of M networks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emtkit.methods.optimisers.base import Slot
from emtkit.plugin.architecture import RecurrentModel, SequenceModel
from emtkit.plugin.stream import CPU, Stream
from emtkit.plugin.task import Batch, Task
from emtkit.study.settings import Training
from emtkit.train.optimise import Buffers, StackOptimiser, TensorOptimiser
from emtkit.train.stack import Stacked, average, by_step


@dataclass(frozen=True)
class Span:
    """The steps from `first` to before `end`: no row is scored outside of them."""

    first: int
    end: int

    @classmethod
    def of(cls, masks: Tensor) -> "Span":
        """Of masks M T; this looks at them, so that a device would be waited for."""
        scored = masks.any(0).nonzero().flatten().tolist()
        return cls(scored[0], scored[-1] + 1) if scored else cls(0, masks.shape[1])


@dataclass(frozen=True)
class Gradients:
    """What one iteration gives: losses M, gradients M P.

    `steps` (M T) are the mean errors of the scored steps, 0 elsewhere; `losses` their averages.
    `outputs` puts together those of the scored steps (M B T O), for who looks at them before the
    next iteration; None where a tier keeps none (it is then not given curricula that look).
    """

    losses: Tensor
    gradients: Tensor
    steps: Tensor
    outputs: Callable[[], Tensor] | None


@dataclass(frozen=True)
class Trained:
    """What some iterations gave: losses (n M), and which rows were finite in the last one (M)."""

    losses: NDArray[Any]
    healthy: NDArray[np.bool_]


class Fused(ABC):
    """Rows that train by themselves, where nothing is to be done between iterations.

    Bit for bit what drawing, `Tier.gradients` and `StackOptimiser.step` give one after the other.
    `most`: the most iterations to ask for at once.
    """

    most: int

    @abstractmethod
    def run(self, count: int) -> Trained:
        """Up to `count` iterations of every row; fewer where a row is no longer finite."""

    @abstractmethod
    def state(self) -> tuple[Tensor, Buffers]:
        """Copies of the parameters (M P) and the optimiser's buffers as they are now."""


@dataclass(frozen=True)
class Cost:
    """Nominal seconds per `call` (a time step of one program), `step` (of one sequence), `product`.

    `stacked`: whether one program serves all rows of a stack.
    """

    call: float
    step: float
    product: float
    stacked: bool = True


STACK_ROWS = 64
"""Most rows of one program on the processor, whose caches larger ones overflow."""


class Tier(ABC):
    """All tiers give the same numbers within float tolerance; each on the processor gives a row the
    same bits in any stack, or in any of two rows or more where it does not take one (`takes_one`).

    A network trains in the tier of lowest `order` that has no `refusal`. `cost` is what `plan`
    reckons with. `rows_share_horizon`: whether a row that runs on past its own horizon keeps its
    bits. `device`: where the tensors are that it is given. `horizon_step`: rows are drawn to a
    multiple of so many scored steps, where a tier wants few lengths. `adds_noise`: whether it adds
    the state noise of a network that has any.
    """

    name: ClassVar[str]
    order: ClassVar[int]
    cost: ClassVar[Cost]
    rows_share_horizon: ClassVar[bool]
    device: ClassVar[torch.device] = CPU
    horizon_step: ClassVar[int] = 1
    adds_noise: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def refusal(cls, model: SequenceModel, task: Task, training: Training) -> str | None:
        """None, or why this tier does not train `model` on `task` so."""

    @classmethod
    def leaves_out(cls, model: SequenceModel) -> str | None:
        """None, or that the state of `model` has noise and this tier adds none."""
        if not cls.adds_noise and isinstance(model, RecurrentModel) and model.noise:
            return f"the state of {model.name} has noise, which the tier {cls.name} leaves out"
        return None

    @classmethod
    def lacking(cls) -> str | None:
        """None, or what this installation lacks to run it, and what to do."""
        return None

    @classmethod
    def most_rows(cls, model: SequenceModel, batch: Batch, sequences: int) -> int:
        """Most rows of one program, on `sequences` times the one in `batch`."""
        return STACK_ROWS

    @abstractmethod
    def gradients(
        self, stacked: Stacked, flat: Tensor, batch: Batch, masks: Tensor, span: Span | None = None
    ) -> Gradients:
        """Loss of each row on the steps that `masks` (M T) leaves, and its gradient.

        `span` is that of `masks`, where the caller knows it; then no number is looked at.
        """

    def takes_one(self, training: Training) -> bool:
        """Whether a row alone gets the bits that it gets in a stack; else it needs company."""
        return False

    def optimiser(
        self, trainings: Sequence[Training], like: Tensor, slots: Sequence[Slot]
    ) -> StackOptimiser:
        """What updates a stack of this tier."""
        return TensorOptimiser(trainings, like, slots)

    def fused(
        self,
        stacked: Stacked,
        trainings: Sequence[Training],
        streams: Sequence[Stream],
        flat: Tensor,
        buffers: Buffers,
    ) -> Fused | None:
        """Whole iterations of these rows, each from its next stream on, where the tier has them."""
        return None

    @abstractmethod
    def outputs(self, stacked: Stacked, flat: Tensor, batch: Batch) -> Tensor:
        """Outputs M B T O of the rows `flat` (M P), without a gradient."""

    @staticmethod
    def losses(errors: Tensor, masks: Tensor) -> Tensor:
        """The one way a row's loss is averaged: over its sequences and its scored steps."""
        return average(by_step(errors, masks), masks)
