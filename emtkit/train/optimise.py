"""Updating a stack: rate, decay and clip differ by row, the rule (an `Optimiser`) does not."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emtkit.methods.optimisers.base import Slot, Update
from emtkit.study.settings import Training

Buffers = dict[str, Tensor]
"""What an optimiser keeps from step to step, by name: M P each."""


class Factors:
    """What the steps of a stack are made with: learning rate, and what the rule makes of it.

    A rate follows from schedule, `lr` and `steps` alone; rows that have these and the iteration in
    common share the arithmetic, which is Python's own: it does not depend on vector libraries.
    """

    def __init__(self, trainings: Sequence[Training]) -> None:
        causes = [(t.schedule, t.lr, t.steps) for t in trainings]
        places = {cause: place for place, cause in enumerate(dict.fromkeys(causes))}
        self._of_row = [places[cause] for cause in causes]
        self._rates = [partial(schedule.rate, lr, steps) for schedule, lr, steps in places]
        self._rule = trainings[0].optimizer

    def after(self, iterations: Sequence[int], count: int = 1) -> NDArray[np.float64]:
        """Rates and the rule's factors (count n M) of the steps that follow `iterations` (M)."""
        pairs = list(zip(self._of_row, iterations, strict=True))
        places = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
        known = [[self._of(which, begun + n) for which, begun in places] for n in range(count)]
        rows = [places[pair] for pair in pairs]
        return np.ascontiguousarray(np.array(known).transpose(0, 2, 1)[:, :, rows])

    def _of(self, which: int, iteration: int) -> tuple[float, ...]:
        rate = self._rates[which](iteration)
        return (rate, *self._rule.factors(rate, iteration))


def limits(trainings: Sequence[Training]) -> list[float]:
    """The largest norm of each row's gradient; infinite where it is not clipped."""
    return [math.inf if training.clip is None else training.clip for training in trainings]


class StackOptimiser(ABC):
    """What updates the rows of a stack, each by its own rate, decay and clip."""

    @abstractmethod
    def schedule(self, iterations: Sequence[int]) -> Tensor:
        """What the step after `iterations` steps of each row is made with: columns (n M 1).

        Worked out on the processor in double precision, for `step` on any device.
        """

    @abstractmethod
    def step(
        self, flat: Tensor, gradients: Tensor, buffers: Buffers, schedule: Tensor, alive: Tensor
    ) -> None:
        """Clip (`gradients` too, in place) and update the rows (M P) that are `alive` (M 1).

        Nothing here looks at a number, so that a device is never waited for.
        """


class TensorOptimiser(StackOptimiser):
    """Every rule, by tensor operations; what does not change with the iteration is kept."""

    def __init__(
        self, trainings: Sequence[Training], like: Tensor, slots: Sequence[Slot] = ()
    ) -> None:
        self._rule, self._slots = trainings[0].optimizer, slots
        self._dtype, self._device = like.dtype, like.device
        self._factors = Factors(trainings)
        norms = limits(trainings)
        self._limits = None if all(map(math.isinf, norms)) else self._column(norms)
        self._decays = np.array([t.weight_decay for t in trainings])
        self._decay = self._column(self._decays.tolist()) if self._decays.any() else None

    def schedule(self, iterations: Sequence[int]) -> Tensor:
        """What is kept of a weight where its decay is decoupled, and the factors of the rule."""
        (rates, *factors), *_ = self._factors.after(iterations)
        rows = np.stack([1 - rates * self._decays, *factors])
        return torch.from_numpy(rows).to(self._dtype).unsqueeze(2)

    def step(
        self, flat: Tensor, gradients: Tensor, buffers: Buffers, schedule: Tensor, alive: Tensor
    ) -> None:
        """See `StackOptimiser.step`, and `Optimiser` for the equations."""
        kept, *factors = schedule
        if self._limits is not None:
            norms = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
            scales = (self._limits / (norms + 1e-6)).clamp(max=1.0)
            # A row that is not clipped must not notice that its neighbours are: inf / inf is NaN.
            gradients.mul_(scales.masked_fill_(self._limits.isinf(), 1.0))
        if self._decay is not None:
            if self._rule.decoupled:
                flat.mul_(kept.masked_fill(~alive, 1.0))
            else:
                # The same for a row without decay: -0 + 0 is 0.
                decayed = gradients + flat * self._decay
                gradients = torch.where(self._decay > 0, decayed, gradients)
        change = self._rule.change(Update(gradients, buffers, factors, self._slots))
        flat.sub_(change.masked_fill_(~alive, 0.0))

    def _column(self, numbers: Sequence[float]) -> Tensor:
        """A column (M 1), where the parameters are."""
        return torch.tensor(numbers, dtype=self._dtype).unsqueeze(1).to(self._device)
