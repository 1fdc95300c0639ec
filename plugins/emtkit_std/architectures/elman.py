"""The Elman network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from emtkit import Recognised, RecurrentModel, SequenceModel, SimpleRecurrence, Task, hookimpl
from emtkit_std._theory.emt.circuit import refuse_real_values
from emtkit_std._theory.facts import PulseCircuit
from emtkit_std._theory.networks.recurrence import activated, slope, to_array
from emtkit_std._theory.networks.torch_cells import torch_cell

F = TypeVar("F")


class Elman(RecurrentModel):
    """Simple recurrent network, h_t = sigma(W_hh h_{t-1} + W_uh u_t + b), y_t = W_r h_t.

    sigma = tanh or relu; state (B H), outputs (B O). `b` is the sum of the two biases of common
    implementations. `init`: uniform is U(-1, 1) / sqrt(H) for every weight; gaussian N(0, 1/H) and
    orthogonal are for W_hh, the others staying uniform.

    References: Elman (1990), doi:10.1207/s15516709cog1402_1.
    """

    name = "elman"
    offers = (PulseCircuit,)

    def __init__(
        self,
        task: Task,
        *,
        hidden: Annotated[int, Field(ge=1)] = 128,
        activation: Literal["tanh", "relu"] = "tanh",
        bias: bool = False,
        init: Literal["uniform", "gaussian", "orthogonal"] = "uniform",
    ) -> None:
        super().__init__()
        channels = task.channels
        self.hidden, self.activation, self.outputs = hidden, activation, channels.outputs
        self.W_hh = nn.Parameter(_uniform(hidden, hidden, hidden))
        self.W_uh = nn.Parameter(_uniform(hidden, channels.inputs, hidden))
        self.W_r = nn.Parameter(_uniform(channels.outputs, hidden, hidden))
        self.b = nn.Parameter(_uniform(1, hidden, hidden)[0]) if bias else None
        if init == "gaussian":
            nn.init.normal_(self.W_hh, std=1.0 / math.sqrt(hidden))
        elif init == "orthogonal":
            nn.init.orthogonal_(self.W_hh)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor]) -> Recognised | None:
        """`nn.RNN` of one layer with a linear readout; its nonlinearity is not in its weights."""
        cell = torch_cell(weights, gates=1)
        return None if cell is None else cell.recognised({"b": cell.both_biases})

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Values that may grow are for linear networks."""
        return refuse_real_values(task, parameters["activation"])

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """sigma(W_hh h + W_uh u + b) (B H)."""
        return activated(self._drive(state, inputs), self.activation)

    def jacobian(self, state: Tensor, inputs: Tensor) -> Tensor:
        """diag(sigma') W_hh (B H H)."""
        return slope(self._drive(state, inputs), self.activation).unsqueeze(-1) * self.W_hh

    def read(self, state: Tensor) -> Tensor:
        """W_r h for states (... H) -> (... O)."""
        return state @ self.W_r.T

    def simple_form(self) -> SimpleRecurrence:
        """The same network for the fast tiers."""
        return SimpleRecurrence(self.activation)

    def facts(self, kind: type[F]) -> F:
        """The weights as a circuit whose readout sees the activations."""
        if kind is not PulseCircuit:
            return super().facts(kind)
        circuit = PulseCircuit(
            W_hh=to_array(self.W_hh),
            W_uh=to_array(self.W_uh),
            W_r=to_array(self.W_r),
            b=np.zeros(self.hidden) if self.b is None else to_array(self.b),
            b_r=np.zeros(self.outputs),
            activation=self.activation,
            readout="linear",
            reads="activation",
        )
        return cast(F, circuit)

    def _drive(self, state: Tensor, inputs: Tensor) -> Tensor:
        drive = state @ self.W_hh.T + inputs @ self.W_uh.T
        return drive if self.b is None else drive + self.b


def _uniform(rows: int, columns: int, hidden: int) -> Tensor:
    return (2.0 * torch.rand(rows, columns) - 1.0) / math.sqrt(hidden)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [Elman]
