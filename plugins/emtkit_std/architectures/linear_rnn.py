"""A linear recurrence with a linear or a ReLU readout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from emtkit import RecurrentModel, SequenceModel, SimpleRecurrence, Task, Trace, hookimpl
from emtkit_std._theory.facts import LinearRecurrence, PulseCircuit
from emtkit_std._theory.networks.recurrence import (
    is_one_product_cheaper,
    linear_states,
    outer_weights,
    own_items,
    recurrent_weights,
    tie_refusal,
    tied_readout,
    to_array,
)

F = TypeVar("F")


class LinearRnn(RecurrentModel):
    """Linear recurrence; with a ReLU readout it is the superposition paper's SSM.

    h_t = W_hh h_{t-1} + W_uh u_t,  y_t = readout(W_r h_t + b_r). State (B H), outputs (B O).
    `bias` adds b_r, `tied` sets W_r to the direction w_k that the output should repeat.
    `init`: spiral is rho Rot(theta) in blocks of two.

    References: Sharma, Proca, Prieto and Mediano (ICLR 2026), "Temporal superposition".
    """

    name = "linear_rnn"
    offers = (LinearRecurrence, PulseCircuit)

    def __init__(
        self,
        task: Task,
        *,
        hidden: Annotated[int, Field(ge=1)] = 2,
        readout: Literal["linear", "relu"] = "linear",
        tied: bool = False,
        bias: bool = False,
        init: Literal["spiral", "gaussian", "uniform"] = "spiral",
    ) -> None:
        super().__init__()
        channels = task.channels
        self.hidden, self.readout = hidden, readout
        self.W_hh = nn.Parameter(recurrent_weights(init, hidden))
        self.W_uh = nn.Parameter(outer_weights(init, hidden, channels.inputs, hidden))
        if tied:
            self.register_buffer("own", own_items(task))
        else:
            self.W_r = nn.Parameter(outer_weights(init, channels.outputs, hidden, hidden))
        self.tied = tied
        self.outputs = channels.outputs
        self.b_r = nn.Parameter(torch.zeros(channels.outputs)) if bias else None

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """A tied readout needs a delay law."""
        return tie_refusal(task) if parameters["tied"] else None

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """W_hh h + W_uh u (B H)."""
        return state @ self.W_hh.T + inputs @ self.W_uh.T

    def jacobian(self, state: Tensor, inputs: Tensor) -> Tensor:
        """W_hh (B H H)."""
        return self.W_hh.expand(len(state), -1, -1)

    def read(self, state: Tensor) -> Tensor:
        """The readout of states (... H) -> (... O)."""
        drive = state @ self._W_r().T
        if self.b_r is not None:
            drive = drive + self.b_r
        return torch.relu(drive) if self.readout == "relu" else drive

    def trace(self, inputs: Tensor, steps: int) -> Trace:
        """As step by step; short sequences in one product with the powers of W_hh."""
        if not is_one_product_cheaper(inputs.shape[1], inputs.shape[2], self.hidden):
            return super().trace(inputs, steps)
        states = linear_states(self.W_hh, self.W_uh, inputs, steps)
        return Trace(states, self.read(states))

    def simple_form(self) -> SimpleRecurrence | None:
        """The same network for the fast tiers, unless its readout is tied."""
        return None if self.tied else SimpleRecurrence("linear", self.readout)

    def facts(self, kind: type[F]) -> F:
        """The weights as a linear recurrence, or as a circuit with its readout."""
        W_hh, W_uh, W_r = to_array(self.W_hh), to_array(self.W_uh), to_array(self._W_r())
        if kind is LinearRecurrence:
            return cast(F, LinearRecurrence(W_hh, W_uh, W_r))
        if kind is PulseCircuit:
            b_r = np.zeros(self.outputs) if self.b_r is None else to_array(self.b_r)
            silent = np.zeros(self.hidden)
            return cast(F, PulseCircuit(W_hh, W_uh, W_r, silent, b_r, "linear", self.readout))
        return super().facts(kind)

    def _W_r(self) -> Tensor:
        if self.tied:
            return tied_readout(self.W_hh, self.W_uh, self.get_buffer("own"), "linear")
        return self.W_r


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [LinearRnn]
