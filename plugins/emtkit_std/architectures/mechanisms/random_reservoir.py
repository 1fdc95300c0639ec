"""A random network that is not trained: what chance holds, and no output uses."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from emtkit import SequenceModel, Task, hookimpl
from emtkit_std._parameters import Condition, Curvature, Distractors, Hidden, Scale, StateNoise
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.embedded import EmbeddedMemory, Embedding, normal


class RandomReservoir(EmbeddedMemory):
    """Random weights, the readout's included, with nothing to train.

        m_t = tanh(W_hh m_{t-1} + W_uh u_t),   y_t = W_r m_t,
        W_hh ~ N(0, g^2 / H),  W_uh ~ N(0, 1 / I),  W_r ~ N(0, 1 / H)

    Inputs echo in the state for some steps (longest near a gain g of 1, beyond which the network
    is chaotic), and the outputs, which move with them, answer nothing. Shapes: state B H,
    H = `hidden` + distractors.

    References: Jaeger (2001), GMD report 148; Sompolinsky, Crisanti and Sommers (1988),
    doi:10.1103/PhysRevLett.61.259.
    """

    name = "random_reservoir"

    def __init__(
        self,
        task: Task,
        *,
        hidden: Hidden = 64,
        gain: Annotated[float, Field(gt=0, description="Gain g of the recurrent weights.")] = 1.0,
        condition: Condition = None,
        curvature: Curvature = 0.0,
        distractors: Distractors = 0,
        scale: Scale = 1.0,
        noise: StateNoise = 0.0,
    ) -> None:
        super().__init__()
        inputs, outputs = task.channels.inputs, task.channels.outputs
        weights = {
            "W_hh": normal(hidden, hidden) * gain / hidden**0.5,
            "W_uh": normal(hidden, inputs) / inputs**0.5,
            "W_r": normal(outputs, hidden) / hidden**0.5,
        }
        self.hold(weights)
        self.embed(task, hidden, Embedding(condition, curvature, distractors, scale), noise)

    def advance(self, memory: Tensor, inputs: Tensor) -> Tensor:
        """tanh(W_hh m + W_uh u)."""
        return torch.tanh(memory @ self.W_hh.T + inputs @ self.W_uh.T)

    def answer(self, memory: Tensor) -> Tensor:
        """W_r m."""
        return memory @ self.W_r.T

    def mechanism(self) -> Mechanism:
        """Nothing that is used."""
        return Mechanism("none", used=False)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [RandomReservoir]
