"""Items of all ages on one direction, told apart by magnitude ("onion" code)."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from emtkit import SequenceModel, Task, hookimpl
from emtkit_std._parameters import Condition, Curvature, Distractors, Scale, StateNoise
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.delay_line import refuse_without_digits, required_line
from emtkit_std._theory.networks.embedded import EmbeddedMemory, Embedding


class MagnitudeCode(EmbeddedMemory):
    """One unit for each input that holds L items, of magnitudes r^age; nothing to train.

        m_t = sum_{a < L} r^a z_{t-a},   y_t = sum_a G_a z_{t-a},   z in {-1, 0, 1}
            = z_t + r (m_{t-1} - r^(L-1) z_{t-L}),   z_t = u_t + F z_{t-L}

    Items are peeled off, the newest first: z_{t-a} is the integer next to what is left, which is
    less than r / (1 - r) < 1/2 away, and what is left is then taken times 1 / r. No linear map does
    that; it reads the item of age a with R^2 = r^(2 a) / sum_b r^(2 b). Where the task gives its
    inputs back (repeat copy) the oldest item returns by F, else F = 0.

    Shapes: state B H, H = I + distractors.

    References: Csordás et al. (2024), arXiv:2408.10920 (such codes in trained networks).
    """

    name = "magnitude_code"

    def __init__(
        self,
        task: Task,
        *,
        ratio: Annotated[
            float,
            Field(
                ge=0.05,
                le=0.32,
                description="Ratio r of magnitudes from one age to the next; the depth of L "
                "items is r^(L-1), which the precision of the state has to resolve.",
            ),
        ] = 0.3,
        condition: Condition = None,
        curvature: Curvature = 0.0,
        distractors: Distractors = 0,
        scale: Scale = 1.0,
        noise: StateNoise = 0.0,
    ) -> None:
        super().__init__()
        line = required_line(task)
        self.length, self.ratio = line.length, ratio
        self.hold(line.weights())
        embedding = Embedding(condition, curvature, distractors, scale)
        self.embed(task, line.inputs, embedding, noise)

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Needs a task that repeats digits from rest."""
        return refuse_without_digits(task)

    def advance(self, memory: Tensor, inputs: Tensor) -> Tensor:
        """All items a magnitude down, the oldest out, the input and what returns in."""
        oldest = self._items(memory)[..., -1, :]
        kept = self.ratio * (memory - self.ratio ** (self.length - 1) * oldest)
        return kept + inputs + oldest @ self.returns.T

    def answer(self, memory: Tensor) -> Tensor:
        """The items of the ages that are asked for."""
        return self._items(memory).flatten(-2) @ self.reads.T

    def mechanism(self) -> Mechanism:
        """All ages, by magnitude; linearly the newest best."""
        energy = [self.ratio ** (2 * age) for age in range(self.length)]
        linear = tuple(one / sum(energy) for one in energy)
        return Mechanism("magnitude", tuple(range(self.length)), linear)

    def _items(self, memory: Tensor) -> Tensor:
        """The digits (... L I) of a memory (... I), the newest first."""
        items, left = [], memory
        for _ in range(self.length):
            items.append(left.round().clamp(-1.0, 1.0))
            left = (left - items[-1]) / self.ratio
        return torch.stack(items, -2)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [MagnitudeCode]
