"""The optimiser of the native tier: clip and Adam of a whole stack in one compiled pass."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from emtkit.methods.optimisers.adam import Adam
from emtkit.methods.optimisers.adamw import AdamW
from emtkit.methods.optimisers.base import Optimiser
from emtkit.study.settings import Training
from emtkit.train.native.network import Doubles
from emtkit.train.optimise import Buffers, Factors, StackOptimiser, limits

IMPLEMENTED: Mapping[type[Optimiser], frozenset[str]] = {
    Adam: frozenset({"kind", "betas", "eps"}),
    AdamW: frozenset({"kind", "betas", "eps"}),
}
"""The rules that are compiled, with the options that they had then: one more is left to tensors."""


class Rule(NamedTuple):
    """Adam as compiled code is handed it; `clip` and `decay` (M) are the rows' own."""

    clip: Doubles
    decay: Doubles
    decoupled: bool
    beta1: float
    beta2: float
    epsilon: float


class CompiledAdam(StackOptimiser):
    """Adam or AdamW in float32, each row by itself, as in `optimise.TensorOptimiser`."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        rule = trainings[0].optimizer
        if not isinstance(rule, Adam) or not self.takes(trainings[0]):
            raise TypeError(f"the optimiser '{rule.kind}' is not compiled")
        self.factors = Factors(trainings)
        decays = np.array([training.weight_decay for training in trainings])
        self.rule = Rule(np.array(limits(trainings)), decays, rule.decoupled, *rule.betas, rule.eps)

    @staticmethod
    def takes(training: Training) -> bool:
        """Whether the optimiser that `training` names, with all its options, is compiled."""
        rule = type(training.optimizer)
        return IMPLEMENTED.get(rule) == rule.model_fields.keys()

    def schedule(self, iterations: Sequence[int]) -> Tensor:
        """Rates and the two factors of `Adam` (3 M 1), in double precision."""
        return torch.from_numpy(self.factors.after(iterations)[0]).unsqueeze(2)

    def step(
        self, flat: Tensor, gradients: Tensor, buffers: Buffers, schedule: Tensor, alive: Tensor
    ) -> None:
        """See `StackOptimiser.step`."""
        from emtkit.train.native.compile import clip_and_adam

        clip_and_adam(
            flat.numpy(),
            gradients.numpy(),
            buffers["first"].numpy(),
            buffers["second"].numpy(),
            np.arange(flat.shape[1]),
            schedule.squeeze(2).numpy(),
            self.rule,
            alive.squeeze(1).numpy(),
        )
