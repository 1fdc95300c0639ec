"""The superposition paper's nonlinear recurrent network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from emtkit import RecurrentModel, SequenceModel, SimpleRecurrence, Task, hookimpl
from emtkit_std._theory.emt.circuit import refuse_real_values
from emtkit_std._theory.facts import PulseCircuit
from emtkit_std._theory.networks.recurrence import (
    activated,
    outer_weights,
    own_items,
    recurrent_weights,
    slope,
    tie_refusal,
    tied_readout,
    to_array,
)

F = TypeVar("F")


class ReluRnn(RecurrentModel):
    """Nonlinear recurrence whose readout sees the state before the activation.

    h_t = W_hh sigma(h_{t-1}) + W_uh u_t,  y_t = readout(W_r h_t + b_r), sigma = relu or tanh; h is
    the PRE-activation. State (B H), outputs (B O). `bias` adds b_r, `tied` sets W_r to the
    direction w_k = W_hh sigma(w_{k-1}) that the output should repeat.

    References: Sharma, Proca, Prieto and Mediano (ICLR 2026), "Temporal superposition".
    """

    name = "relu_rnn"
    offers = (PulseCircuit,)

    def __init__(
        self,
        task: Task,
        *,
        hidden: Annotated[int, Field(ge=1)] = 2,
        readout: Literal["relu", "linear"] = "relu",
        activation: Literal["relu", "tanh"] = "relu",
        tied: bool = False,
        bias: bool = False,
        init: Literal["spiral", "gaussian", "uniform"] = "spiral",
    ) -> None:
        super().__init__()
        channels = task.channels
        self.hidden, self.readout, self.activation = hidden, readout, activation
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
        """A tied readout needs a delay law; values that may grow are for linear networks."""
        tied = tie_refusal(task) if parameters["tied"] else None
        return tied or refuse_real_values(task, parameters["activation"])

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """W_hh sigma(h) + W_uh u (B H)."""
        return activated(state, self.activation) @ self.W_hh.T + inputs @ self.W_uh.T

    def jacobian(self, state: Tensor, inputs: Tensor) -> Tensor:
        """W_hh diag(sigma') (B H H)."""
        return self.W_hh * slope(state, self.activation).unsqueeze(1)

    def read(self, state: Tensor) -> Tensor:
        """The readout of states (... H) -> (... O)."""
        drive = state @ self._W_r().T
        if self.b_r is not None:
            drive = drive + self.b_r
        return torch.relu(drive) if self.readout == "relu" else drive

    def simple_form(self) -> SimpleRecurrence | None:
        """The same network for the fast tiers, unless its readout is tied."""
        return (
            None if self.tied else SimpleRecurrence(self.activation, self.readout, "preactivation")
        )

    def facts(self, kind: type[F]) -> F:
        """The weights as a circuit."""
        if kind is not PulseCircuit:
            return super().facts(kind)
        circuit = PulseCircuit(
            W_hh=to_array(self.W_hh),
            W_uh=to_array(self.W_uh),
            W_r=to_array(self._W_r()),
            b=np.zeros(self.hidden),
            b_r=np.zeros(self.outputs) if self.b_r is None else to_array(self.b_r),
            activation=self.activation,
            readout=self.readout,
        )
        return cast(F, circuit)

    def _W_r(self) -> Tensor:
        if self.tied:
            return tied_readout(self.W_hh, self.W_uh, self.get_buffer("own"), self.activation)
        return self.W_r


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [ReluRnn]
