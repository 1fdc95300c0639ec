"""The optimiser of the native tier: clip and Adam of a whole stack in one compiled pass.

Numbers that differ by row and iteration are worked out in Python's own arithmetic, so that they do
not depend on the machine's vector libraries.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from emtkit.study.settings import Training
from emtkit.train.native.state import Doubles
from emtkit.train.optimise import (
    EPSILON,
    FIRST_DECAY,
    SECOND_DECAY,
    Moments,
    Optimiser,
    Schedules,
    limits,
)


class Adam(Optimiser):
    """Adam or AdamW in float32, each row by itself, as in `optimise.TensorOptimiser`."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        self._schedules = Schedules(trainings)
        self.clip: Doubles = np.array(limits(trainings), dtype=np.float64)
        self.decay: Doubles = np.array([t.weight_decay for t in trainings], dtype=np.float64)
        self.decoupled = trainings[0].optimizer == "adamw"
        models = len(trainings)
        self.decays = (np.full(models, FIRST_DECAY), np.full(models, SECOND_DECAY))
        self.epsilon: Doubles = np.full(models, EPSILON)

    @staticmethod
    def takes(training: Training) -> bool:
        """Whether the optimiser that `training` names is one of these."""
        return training.optimizer in ("adam", "adamw")

    def numbers(self, iterations: Sequence[int], count: int) -> tuple[Doubles, Doubles, Doubles]:
        """Rates and the two corrections (count M) of the steps after `iterations` (M)."""
        pairs = self._schedules.pairs(iterations)
        places = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
        known = [[self._numbers(name, begun + n) for name, begun in places] for n in range(count)]
        rows = [places[pair] for pair in pairs]
        rates, first, second = np.array(known).transpose(2, 0, 1)[:, :, rows].copy()
        return rates, first, second

    def _numbers(self, schedule: str, iteration: int) -> tuple[float, float, float]:
        power = iteration + 1
        now = self._schedules.rate(schedule, iteration)
        return now, 1.0 - FIRST_DECAY**power, 1.0 - SECOND_DECAY**power

    def schedule(self, iterations: Sequence[int]) -> Tensor:
        """Rates and the two corrections (3 M 1), in double precision."""
        return torch.from_numpy(np.concatenate(self.numbers(iterations, 1))).unsqueeze(2)

    def step(
        self,
        parameters: Tensor,
        gradients: Tensor,
        moments: Moments,
        schedule: Tensor,
        alive: Tensor,
    ) -> None:
        """See `Optimiser.step`."""
        from emtkit.train.native.compile import clip_and_adam

        rates, first, second = schedule.squeeze(2).numpy()
        clip_and_adam(
            parameters.numpy(),
            gradients.numpy(),
            moments.first.numpy(),
            moments.second.numpy(),
            np.arange(parameters.shape[1]),
            rates,
            self.decay,
            self.decoupled,
            self.clip,
            *self.decays,
            self.epsilon,
            first,
            second,
            alive.squeeze(1).numpy(),
        )
