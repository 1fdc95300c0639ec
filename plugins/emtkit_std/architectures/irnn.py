"""A relu network whose recurrence begins as the identity: the wave-RNN's baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from emtkit import RecurrentModel, Task, hookimpl
from emtkit_std._theory.emt.circuit import refuse_real_values
from emtkit_std._theory.facts import PulseCircuit
from emtkit_std._theory.networks.recurrence import activated, slope

F = TypeVar("F")


class IdentityRnn(RecurrentModel):
    """h_t = sigma(W_hh h_{t-1} + W_uh u_t + b), y_t = W_r h_t + b_r, W_hh = 1 at first.

    `start: shift` begins with the identity rolled by one unit instead, an ablation of the wave-RNN.
    W_uh begins as N(0, .001^2).

    References: Le, Jaitly and Hinton 2015, arXiv:1504.00941; Keller et al. 2023, arXiv:2309.08045.
    """

    name = "irnn"
    offers = (PulseCircuit,)

    def __init__(
        self,
        task: Task,
        *,
        hidden: Annotated[int, Field(ge=1)] = 100,
        activation: Literal["relu", "tanh", "linear"] = "relu",
        start: Literal["identity", "shift"] = "identity",
    ) -> None:
        super().__init__()
        inputs, outputs = task.channels.inputs, task.channels.outputs
        self.hidden, self.activation = hidden, activation
        identity = torch.eye(hidden)
        # rolled so that unit x hears unit x + 1, like the wave-RNN's shift kernel
        self.W_hh = nn.Parameter(identity if start == "identity" else identity.roll(1, 1))
        self.W_uh = nn.Parameter(1e-3 * torch.randn(hidden, inputs))
        self.b = nn.Parameter(_uniform((hidden,), inputs))
        self.W_r = nn.Parameter(_uniform((outputs, hidden), hidden))
        self.b_r = nn.Parameter(_uniform((outputs,), hidden))

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Values that may grow are for linear networks."""
        return refuse_real_values(task, parameters["activation"])

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """The next state (B H) from the last one and one step of input (B I)."""
        return activated(self._drive(state, inputs), self.activation)

    def jacobian(self, state: Tensor, inputs: Tensor) -> Tensor:
        """diag(sigma') W_hh (B H H)."""
        return slope(self._drive(state, inputs), self.activation).unsqueeze(-1) * self.W_hh

    def read(self, state: Tensor) -> Tensor:
        """Outputs (... O) of states (... H)."""
        return state @ self.W_r.T + self.b_r

    def facts(self, kind: type[F]) -> F:
        """Its weights in the form of the temporal superposition paper."""
        if kind is not PulseCircuit:
            return super().facts(kind)
        W_hh, W_uh, W_r, b, b_r = (
            tensor.detach().double().cpu().numpy()
            for tensor in (self.W_hh, self.W_uh, self.W_r, self.b, self.b_r)
        )
        return kind(
            W_hh=W_hh,
            W_uh=W_uh,
            W_r=W_r,
            b=b,
            b_r=b_r,
            activation=self.activation,
            readout="linear",
            reads="activation",
        )

    def _drive(self, state: Tensor, inputs: Tensor) -> Tensor:
        return state @ self.W_hh.T + inputs @ self.W_uh.T + self.b


def _uniform(shape: tuple[int, ...], fan_in: int) -> Tensor:
    bound = fan_in**-0.5
    return torch.empty(shape).uniform_(-bound, bound)


@hookimpl
def emtkit_architectures() -> list[type[RecurrentModel]]:
    """The identity-recurrence baseline."""
    return [IdentityRnn]
