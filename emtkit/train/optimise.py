"""Adam, AdamW and SGD over a stack: rate, decay and clip differ by row, the arithmetic does not.

Parameters, gradients and moments are flat M P buffers. A row's update uses nothing of its
neighbours, so that it has the same bits in any stack.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emtkit.study.settings import Cosine, StepDecay, Training

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Moments:
    """Adam's running means of the gradient and of its square, each M P."""

    first: Tensor
    second: Tensor


def rate(training: Training, iteration: int) -> float:
    """Learning rate of the iteration that starts after `iteration` finished ones."""
    schedule = training.schedule
    done = iteration / max(training.steps, 1)
    if isinstance(schedule, Cosine) and done > schedule.start:
        phase = (done - schedule.start) / (1 - schedule.start)
        share = schedule.end + (1 - schedule.end) * 0.5 * (1 + math.cos(math.pi * phase))
        return training.lr * share
    if isinstance(schedule, StepDecay) and done >= schedule.at:
        return training.lr * schedule.factor
    return training.lr


class Schedules:
    """The learning rates of a stack; rows of equal schedule share the arithmetic."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        fields = {"steps", "lr", "schedule"}
        self.names = [t.model_dump_json(include=fields, by_alias=True) for t in trainings]
        self._plans = {name: t for name, t in zip(self.names, trainings, strict=True)}

    def pairs(self, iterations: Sequence[int]) -> list[tuple[str, int]]:
        """What the rate of each row follows from; `iterations` (M) are done."""
        return list(zip(self.names, iterations, strict=True))

    def rate(self, name: str, iteration: int) -> float:
        """The rate of a pair."""
        return rate(self._plans[name], iteration)


def limits(trainings: Sequence[Training]) -> list[float]:
    """The largest norm of each row's gradient; infinite where it is not clipped."""
    return [math.inf if training.clip is None else training.clip for training in trainings]


class Optimiser(ABC):
    """What updates the rows of a stack, each by its own rate, decay and clip."""

    @abstractmethod
    def schedule(self, iterations: Sequence[int]) -> Tensor:
        """What the step after `iterations` steps of each row is made with: columns (n M 1).

        Worked out on the processor in double precision, for `step` on any device.
        """

    @abstractmethod
    def step(
        self,
        parameters: Tensor,
        gradients: Tensor,
        moments: Moments,
        schedule: Tensor,
        alive: Tensor,
    ) -> None:
        """Clip (`gradients` too, in place) and update the rows that are `alive` (M 1).

        Nothing here looks at a number, so that a device is never waited for.
        """


class TensorOptimiser(Optimiser):
    """Every rule, by tensor operations; what does not change with the iteration is kept.

    `adam`: coupled L2 (the decay is added to the clipped gradient); `adamw`: decoupled; `sgd`:
    plain, with coupled L2. All rows of a stack share the optimiser. Source: Kingma and Ba 2015,
    algorithm 1; Loshchilov and Hutter 2019, algorithm 2.
    """

    def __init__(self, trainings: Sequence[Training], like: Tensor) -> None:
        self._name = trainings[0].optimizer
        self._dtype, self._device = like.dtype, like.device
        self._schedules = Schedules(trainings)
        norms = limits(trainings)
        self._limits = None if all(map(math.isinf, norms)) else self._column(norms)
        self._decays = [t.weight_decay for t in trainings]
        self._decay = self._column(self._decays) if any(self._decays) else None

    def schedule(self, iterations: Sequence[int]) -> Tensor:
        """Rates, step sizes, roots of the second moment's share, and what is kept of a weight."""
        pairs = self._schedules.pairs(iterations)
        known = {pair: self._numbers(*pair) for pair in set(pairs)}
        rates, sizes, roots = zip(*(known[pair] for pair in pairs), strict=True)
        shrinks = [1 - rate * decay for rate, decay in zip(rates, self._decays, strict=True)]
        return torch.tensor([rates, sizes, roots, shrinks], dtype=self._dtype).unsqueeze(2)

    def step(
        self,
        parameters: Tensor,
        gradients: Tensor,
        moments: Moments,
        schedule: Tensor,
        alive: Tensor,
    ) -> None:
        """See `Optimiser.step`."""
        rate, size, root, shrink = schedule
        if self._limits is not None:
            norms = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
            gradients.mul_((self._limits / (norms + 1e-6)).clamp(max=1.0))
        if self._decay is not None:
            if self._name == "adamw":
                parameters.mul_(shrink.masked_fill(~alive, 1.0))
            else:
                gradients = gradients + parameters * self._decay
        if self._name == "sgd":
            change = gradients * rate
        else:
            moments.first.lerp_(gradients, 1 - FIRST_DECAY)
            moments.second.mul_(SECOND_DECAY)
            moments.second.addcmul_(gradients, gradients, value=1 - SECOND_DECAY)
            spread = moments.second.sqrt().div_(root).add_(EPSILON)
            change = (moments.first / spread).mul_(size)
        parameters.sub_(change.masked_fill_(~alive, 0.0))

    def _numbers(self, schedule: str, iteration: int) -> tuple[float, float, float]:
        """Rate, its share of the first moment, and the root of the second moment's share."""
        now = self._schedules.rate(schedule, iteration)
        size = now / (1 - FIRST_DECAY ** (iteration + 1))
        return now, size, math.sqrt(1 - SECOND_DECAY ** (iteration + 1))

    def _column(self, numbers: Sequence[float]) -> Tensor:
        """A column (M 1), where the parameters are."""
        return torch.tensor(numbers, dtype=self._dtype).unsqueeze(1).to(self._device)
