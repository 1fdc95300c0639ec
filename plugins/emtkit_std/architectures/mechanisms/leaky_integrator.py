"""A leaky integrator for every input: items fade, and none is held exactly."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from emtkit import NotApplicable, SequenceModel, Task, hookimpl
from emtkit_std._parameters import Condition, Curvature, Distractors, Scale, StateNoise
from emtkit_std._theory.facts import Array, DelayLaw, LinearHistoryLaw
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.embedded import EmbeddedLinearMemory, Embedding
from emtkit_std._theory.superposition.scored import scored_of

FAINTEST = 1e-4
"""Ages are listed down to an R^2 of this."""


class LeakyIntegrator(EmbeddedLinearMemory):
    """One unit for each input, which forgets at a fixed rate; nothing to train.

        m_t = r m_{t-1} + u_t,   y_t = w m_t + b,   r = `retention`

    w and b are the best for each output over the scored steps. Of inputs that are independent, the
    item of age a is in m_t with

        R^2 = r^(2 a) / sum_{b <= t} r^(2 b)  ->  (1 - r^2) r^(2 a),

    over all ages 1, which is all that one unit can hold. Shapes: state B H, H = I + distractors.

    References: Jaeger (2001), GMD report 152 (memory of one linear unit).
    """

    name = "leaky_integrator"

    def __init__(
        self,
        task: Task,
        *,
        retention: Annotated[
            float, Field(gt=0, lt=1, description="Share r of the memory that a step leaves.")
        ] = 0.8,
        condition: Condition = None,
        curvature: Curvature = 0.0,
        distractors: Distractors = 0,
        scale: Scale = 1.0,
        noise: StateNoise = 0.0,
    ) -> None:
        super().__init__()
        self.retention = retention
        law = task.facts(DelayLaw)
        W_r, b_r = _best_readout(law, retention, np.flatnonzero(scored_of(task)))
        self.hold({"W_r": torch.from_numpy(W_r), "b_r": torch.from_numpy(b_r)})
        embedding = Embedding(condition, curvature, distractors, scale)
        self.embed(task, law.inputs, embedding, noise)

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Delays of independent inputs that never end."""
        if DelayLaw not in task.offers:
            return f"'{task.name}' asks for no delayed items: it offers no DelayLaw"
        try:
            law = task.facts(DelayLaw)
        except NotApplicable as reason:
            return f"{reason}"
        if LinearHistoryLaw in task.offers:
            return f"what leaks does not come back, as the items of '{task.name}' have to"
        return f"the best readout is not known: {why}" if (why := law.dependence) else None

    def advance(self, memory: Tensor, inputs: Tensor) -> Tensor:
        """What is left, and the input."""
        return self.retention * memory + inputs

    def answer(self, memory: Tensor) -> Tensor:
        """The best affine answer."""
        return memory @ self.W_r.T + self.b_r

    def mechanism(self) -> Mechanism:
        """No age exactly; the law of fading."""
        first, fading = 1.0 - self.retention**2, self.retention**2
        ages = int(np.ceil(np.log(FAINTEST / first) / np.log(fading)))
        return Mechanism("leaky", (), tuple(first * fading**age for age in range(max(1, ages))))


def _best_readout(law: DelayLaw, retention: float, scored: Array) -> tuple[Array, Array]:
    """W_r (O, I) and b_r (O) of least squared error over the `scored` steps that have an answer."""
    W_r, b_r = np.zeros((len(law.delay), law.inputs)), np.zeros(len(law.delay))
    for output, (delay, source, sign) in enumerate(
        zip(law.delay, law.source, law.sign, strict=True)
    ):
        density, second = law.density[output], law.second_moment[output]
        mean = density * law.mean[output]
        variance = density * second - mean**2
        heard = scored[scored >= delay] + 1
        level = mean * (1 - retention**heard) / (1 - retention)
        spread = variance * (1 - retention ** (2 * heard)) / (1 - retention**2)
        weight = variance * retention**delay / (spread.mean() + level.var())
        W_r[output, source] = sign * weight
        b_r[output] = sign * (mean - weight * level.mean())
    return W_r, b_r


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [LeakyIntegrator]
