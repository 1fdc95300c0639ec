"""A register that corrects its digits: every history is on a cycle, or a path, that attracts."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from emtkit import SequenceModel, Task, hookimpl
from emtkit_std._parameters import (
    Condition,
    Correction,
    Curvature,
    Distractors,
    Scale,
    StateNoise,
)
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.delay_line import refuse_without_digits, required_line
from emtkit_std._theory.networks.digits import corrected
from emtkit_std._theory.networks.embedded import EmbeddedMemory, Embedding


class StableCycle(EmbeddedMemory):
    """The last L items, each at the place of its age and drawn to its digit, with nothing to train.

        z_{t,0} = f(u_t + F z_{t-1,L-1}),   z_{t,a} = f(z_{t-1,a-1})
        y_t = sum_a G_a z_{t,a},   f(z) = z - a sin(2 pi z) / (2 pi)

    F brings the oldest item back where the task's inputs end (repeat copy): then every history of
    signs is on a cycle of L steps whose multipliers are (1 - a)^L.

    Shapes: state B H, H = L I + distractors.

    References: Episodic Memory Theory, arXiv:2310.02430, for cycles; the correction is emtkit's.
    """

    name = "stable_cycle"

    def __init__(
        self,
        task: Task,
        *,
        correction: Correction = 0.8,
        condition: Condition = None,
        curvature: Curvature = 0.0,
        distractors: Distractors = 0,
        scale: Scale = 1.0,
        noise: StateNoise = 0.0,
    ) -> None:
        super().__init__()
        line = required_line(task)
        self.correction, self.length, self.inputs = correction, line.length, line.inputs
        self.hold(line.weights())
        embedding = Embedding(condition, curvature, distractors, scale)
        self.embed(task, self.length * self.inputs, embedding, noise)

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Needs a task that repeats digits from rest."""
        return refuse_without_digits(task)

    def advance(self, memory: Tensor, inputs: Tensor) -> Tensor:
        """Each item to the next place, and the input to the first, all corrected."""
        oldest = memory[..., -self.inputs :]
        moved = torch.cat([inputs + oldest @ self.returns.T, memory[..., : -self.inputs]], -1)
        return corrected(moved, self.correction)

    def answer(self, memory: Tensor) -> Tensor:
        """The items of the ages that are asked for."""
        return memory @ self.reads.T

    def mechanism(self) -> Mechanism:
        """All ages, each at its place."""
        return Mechanism("cycle", tuple(range(self.length)), (1.0,) * self.length)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [StableCycle]
