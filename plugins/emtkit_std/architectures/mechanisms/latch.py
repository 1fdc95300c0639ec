"""A latch for every input: a new item takes the place of the last one."""

from collections.abc import Mapping
from typing import Any

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
from emtkit_std._theory.facts import LatchLaw
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.digits import corrected
from emtkit_std._theory.networks.embedded import EmbeddedMemory, Embedding


class Latch(EmbeddedMemory):
    """One unit for each input that holds the sign of the last pulse, with nothing to train.

        m_t = f(m_{t-1} (1 - |u_t|) + u_t),   y_t = m_t
        f(z) = z - a sin(2 pi z) / (2 pi)

    for u in {-1, 0, 1}: a pulse sets its unit to +-1, a fixed point in silence, which attracts with
    the multiplier 1 - a, as does 0, where a unit begins.

    Shapes: state B H, H = I + distractors.

    References: Hochreiter and Schmidhuber (1997), doi:10.1162/neco.1997.9.8.1735 (a gate that lets
    in or keeps); Sussillo and Barak (2013), doi:10.1162/NECO_a_00409, for the task.
    """

    name = "latch"

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
        self.correction, channels = correction, task.facts(LatchLaw).channels
        embedding = Embedding(condition, curvature, distractors, scale)
        self.embed(task, channels, embedding, noise)

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Needs a task that holds the last pulse of every channel."""
        if LatchLaw in task.offers:
            return None
        return (
            f"a latch holds the last pulse, and '{task.name}' offers no LatchLaw (flip_flop does)"
        )

    def advance(self, memory: Tensor, inputs: Tensor) -> Tensor:
        """The pulse, or what there was, corrected."""
        return corrected(memory * (1.0 - inputs.abs()) + inputs, self.correction)

    def answer(self, memory: Tensor) -> Tensor:
        """The memory."""
        return memory

    def mechanism(self) -> Mechanism:
        """The last pulse, whatever its age: of no age alone is there always one."""
        return Mechanism("latch")


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [Latch]
