"""The exact linear optimum for a delay task, constructed."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from emtkit import Fact, RecurrentModel, SequenceModel, Task, hookimpl
from emtkit_std._parameters import ReadoutBias
from emtkit_std._theory.facts import DelayLaw, LinearRecurrence, PulseCircuit
from emtkit_std._theory.networks.recurrence import as_buffer, to_array
from emtkit_std._theory.superposition.linear_optimum import linear_optimum


class OptimalLinear(RecurrentModel):
    """The best linear network with one or two units for its task; nothing to train.

    h_t = W_hh h_{t-1} + W_uh u_t,  y_t = W_r h_t + b_r with the weights that minimise the
    stationary expected loss (infinite history), known in closed form up to the two poles. State
    (B H), outputs (B 1).

    References: Sharma, Proca, Prieto and Mediano (ICLR 2026), linear case; the optimum is emtkit's.
    """

    name = "optimal_linear"
    offers = (LinearRecurrence, PulseCircuit)

    def __init__(
        self,
        task: Task,
        *,
        hidden: Annotated[Literal[1, 2], Field(description="Number of units H.")] = 2,
        bias: ReadoutBias = False,
    ) -> None:
        super().__init__()
        best = linear_optimum(task.facts(DelayLaw), hidden, bias=bias)
        self.hidden = hidden
        self.register_buffer("W_hh", as_buffer(best.W_hh))
        self.register_buffer("W_uh", as_buffer(best.W_uh))
        self.register_buffer("W_r", as_buffer(best.W_r))
        self.register_buffer("b_r", as_buffer(best.bias))

    @classmethod
    def trains(cls, parameters: Mapping[str, Any]) -> bool:
        """Never: it is constructed."""
        return False

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """The optimum is known for one delayed feature."""
        if DelayLaw not in task.offers:
            return f"the linear optimum needs a DelayLaw, which task '{task.name}' does not offer"
        channels = task.channels
        if (channels.inputs, channels.outputs) != (1, 1):
            return f"the exact linear optimum is known for one feature, not for {channels.inputs}"
        return None

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """W_hh h + W_uh u (B H)."""
        return state @ self.get_buffer("W_hh").T + inputs @ self.get_buffer("W_uh").T

    def read(self, state: Tensor) -> Tensor:
        """W_r h + b_r for states (... H) -> (... 1)."""
        return state @ self.get_buffer("W_r").T + self.get_buffer("b_r")

    def facts(self, kind: type[Fact]) -> Fact:
        """The weights as a linear recurrence, or as a circuit with its readout."""
        names = ("W_hh", "W_uh", "W_r", "b_r")
        W_hh, W_uh, W_r, b_r = (to_array(self.get_buffer(name)) for name in names)
        if kind is LinearRecurrence:
            return LinearRecurrence(W_hh, W_uh, W_r)
        if kind is PulseCircuit:
            silent = np.zeros(self.hidden)
            return PulseCircuit(W_hh, W_uh, W_r, silent, b_r, "linear", "linear")
        return super().facts(kind)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [OptimalLinear]
