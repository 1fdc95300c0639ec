"""What a training tier is: a way to compute the gradients of M networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from emtkit.plugin.task import Batch
from emtkit.train.stacked import CPU, Stacked, average, by_step


@dataclass(frozen=True)
class Span:
    """The steps from `first` to before `end`: no row is scored outside of them."""

    first: int
    end: int

    @classmethod
    def of(cls, masks: Tensor) -> Span:
        """Of masks M T; this looks at them, so that a device would be waited for."""
        scored = masks.any(0).nonzero().flatten().tolist()
        return cls(scored[0], scored[-1] + 1) if scored else cls(0, masks.shape[1])


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


class Tier(ABC):
    """All tiers give the same numbers within float tolerance; each gives a row the same bits in
    any stack of two rows or more.

    `rows_share_horizon`: whether a row that runs on past its own horizon keeps its bits.
    `device`: where the tensors are that it is given. `horizon_step`: rows are drawn to a multiple
    of so many scored steps, where a tier wants few lengths.
    """

    name: ClassVar[str]
    rows_share_horizon: ClassVar[bool]
    device: ClassVar[torch.device] = CPU
    horizon_step: ClassVar[int] = 1

    @abstractmethod
    def gradients(
        self, stacked: Stacked, flat: Tensor, batch: Batch, masks: Tensor, span: Span | None = None
    ) -> Step:
        """Loss of each row on the steps that `masks` (M T) leaves, and its gradient.

        `span` is that of `masks`, where the caller knows it; then no number is looked at.
        """

    @abstractmethod
    def outputs(self, stacked: Stacked, flat: Tensor, batch: Batch) -> Tensor:
        """Outputs M B T O of the rows `flat` (M P), without a gradient."""

    @staticmethod
    def losses(errors: Tensor, masks: Tensor) -> Tensor:
        """The one way a row's loss is averaged: over its sequences and its scored steps."""
        return average(by_step(errors, masks), masks)
