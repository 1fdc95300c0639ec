"""A register: every item moves on by one place a step."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from emtkit import SequenceModel, Task, hookimpl
from emtkit_std._parameters import Condition, Curvature, Distractors, Scale, StateNoise
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.delay_line import refuse_without_line, required_line
from emtkit_std._theory.networks.embedded import EmbeddedLinearMemory, Embedding


class Register(EmbeddedLinearMemory):
    """The last L items, each at the place of its age, with nothing to train.

        z_{t,0} = u_t + F z_{t-1,L-1},   z_{t,a} = z_{t-1,a-1},
        y_t = sum_a G_a z_{t,a}

    F brings the oldest item back where the task's inputs end (repeat copy), and is zero where they
    do not (delays). `phase_clock` gives the same outputs and moves nothing; what both have is a
    memory z, embedded in the state h. Shapes: state B H, H = L I + distractors.

    References: White, Lee and Sompolinsky (2004), doi:10.1103/PhysRevLett.92.148102; the
    embeddings are emtkit's.
    """

    name = "register"

    def __init__(
        self,
        task: Task,
        *,
        condition: Condition = None,
        curvature: Curvature = 0.0,
        distractors: Distractors = 0,
        scale: Scale = 1.0,
        noise: StateNoise = 0.0,
    ) -> None:
        super().__init__()
        line = required_line(task)
        self.length, self.inputs = line.length, line.inputs
        self.hold(line.weights())
        embedding = Embedding(condition, curvature, distractors, scale)
        self.embed(task, self.length * self.inputs, embedding, noise)

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Needs a task that repeats items from rest."""
        return refuse_without_line(task)

    def advance(self, memory: Tensor, inputs: Tensor) -> Tensor:
        """Each item to the next place, and the input to the first."""
        oldest = memory[..., -self.inputs :]
        return torch.cat([inputs + oldest @ self.returns.T, memory[..., : -self.inputs]], -1)

    def answer(self, memory: Tensor) -> Tensor:
        """The items of the ages that are asked for."""
        return memory @ self.reads.T

    def mechanism(self) -> Mechanism:
        """All ages, each at its place."""
        return Mechanism("register", tuple(range(self.length)), (1.0,) * self.length)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [Register]
