"""The optimiser of the native tier: clip and Adam of a whole stack in one compiled pass.

Numbers that differ by row and iteration are worked out in Python's own arithmetic, so that they do
not depend on the machine's vector libraries.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from emtkit.methods.optimisers.adam import Adam
from emtkit.methods.optimisers.adamw import AdamW
from emtkit.methods.optimisers.base import Optimiser
from emtkit.study.settings import Training
from emtkit.train.native.state import Doubles
from emtkit.train.optimise import Buffers, Rates, StackOptimiser, limits

IMPLEMENTED: Mapping[type[Optimiser], frozenset[str]] = {
    Adam: frozenset({"kind", "betas", "eps"}),
    AdamW: frozenset({"kind", "betas", "eps"}),
}
"""The rules that are compiled, with the options that they had then: one more is left to tensors."""


class CompiledAdam(StackOptimiser):
    """Adam or AdamW in float32, each row by itself, as in `optimise.TensorOptimiser`."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        rule = trainings[0].optimizer
        if not isinstance(rule, Adam | AdamW):
            raise TypeError(f"the optimiser '{rule.kind}' is not compiled")
        self._rates, self._betas = Rates(trainings), rule.betas
        self.clip: Doubles = np.array(limits(trainings), dtype=np.float64)
        self.decay: Doubles = np.array([t.weight_decay for t in trainings], dtype=np.float64)
        self.decoupled = rule.decoupled
        models = len(trainings)
        self.decays = (np.full(models, rule.betas[0]), np.full(models, rule.betas[1]))
        self.epsilon: Doubles = np.full(models, rule.eps)

    @staticmethod
    def takes(training: Training) -> bool:
        """Whether the optimiser that `training` names, with all its options, is compiled."""
        rule = type(training.optimizer)
        return IMPLEMENTED.get(rule) == rule.model_fields.keys()

    def numbers(self, iterations: Sequence[int], count: int) -> tuple[Doubles, Doubles, Doubles]:
        """Rates and the two corrections (count M) of the steps after `iterations` (M)."""
        pairs = self._rates.pairs(iterations)
        places = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
        known = [[self._numbers(which, begun + n) for which, begun in places] for n in range(count)]
        rows = [places[pair] for pair in pairs]
        rates, first, second = np.array(known).transpose(2, 0, 1)[:, :, rows].copy()
        return rates, first, second

    def _numbers(self, which: int, iteration: int) -> tuple[float, float, float]:
        power = iteration + 1
        now = self._rates.rate(which, iteration)
        first, second = self._betas
        return now, 1.0 - first**power, 1.0 - second**power

    def schedule(self, iterations: Sequence[int]) -> Tensor:
        """Rates and the two corrections (3 M 1), in double precision."""
        return torch.from_numpy(np.concatenate(self.numbers(iterations, 1))).unsqueeze(2)

    def step(
        self,
        parameters: Tensor,
        gradients: Tensor,
        buffers: Buffers,
        schedule: Tensor,
        alive: Tensor,
    ) -> None:
        """See `StackOptimiser.step`."""
        from emtkit.train.native.compile import clip_and_adam

        rates, first, second = schedule.squeeze(2).numpy()
        clip_and_adam(
            parameters.numpy(),
            gradients.numpy(),
            buffers["first"].numpy(),
            buffers["second"].numpy(),
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
