"""A network that hears nothing and says nothing."""

import torch
from torch import Tensor

from emtkit import SequenceModel, Task, hookimpl
from emtkit_std._parameters import Condition, Curvature, Distractors, Hidden, Scale, StateNoise
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.embedded import EmbeddedMemory, Embedding


class Dead(EmbeddedMemory):
    """Units that ignore their inputs and fade, with nothing to train: m_t = m_{t-1} / 2, y_t = 0.

    m_0 is 1 in every unit. With distractors the state varies and holds recent inputs, of which
    nothing is used. Shapes: state B H, H = `hidden` + distractors.

    References: none (own work); a control.
    """

    name = "dead"

    def __init__(
        self,
        task: Task,
        *,
        hidden: Hidden = 16,
        condition: Condition = None,
        curvature: Curvature = 0.0,
        distractors: Distractors = 0,
        scale: Scale = 1.0,
        noise: StateNoise = 0.0,
    ) -> None:
        super().__init__()
        self.hold({"W_r": torch.zeros(task.channels.outputs, hidden, dtype=torch.float64)})
        self.embed(task, hidden, Embedding(condition, curvature, distractors, scale), noise)

    def rest(self) -> Tensor:
        """One in every unit."""
        return super().rest() + 1.0

    def advance(self, memory: Tensor, inputs: Tensor) -> Tensor:
        """Half of what there was."""
        return memory / 2

    def answer(self, memory: Tensor) -> Tensor:
        """Zero."""
        return memory @ self.W_r.T

    def mechanism(self) -> Mechanism:
        """No memory."""
        return Mechanism("none", used=False)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [Dead]
