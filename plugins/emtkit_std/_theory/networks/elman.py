"""The Elman form, which reads its state after the activation; architectures differ in the start."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from emtkit import Fact, RecurrentModel, Task
from emtkit_std._theory.emt.circuit import refuse_real_values
from emtkit_std._theory.facts import Activation, PulseCircuit
from emtkit_std._theory.networks.recurrence import activated, pulse_circuit, slope


class ElmanNetwork(RecurrentModel):
    """h_t = sigma(W_hh h_{t-1} + W_uh u_t + b), y_t = W_r h_t + b_r.

    A subclass sets `hidden`, `activation` and the weights, of which each bias may be None.
    """

    offers = (PulseCircuit,)
    activation: Activation
    W_hh: Tensor
    W_uh: Tensor
    W_r: Tensor
    b: Tensor | None
    b_r: Tensor | None

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
        """W_r h + b_r for states (... H) -> (... O)."""
        outputs = state @ self.W_r.T
        return outputs if self.b_r is None else outputs + self.b_r

    def facts(self, kind: type[Fact]) -> Fact:
        """The weights as a circuit whose readout sees the activations."""
        if kind is not PulseCircuit:
            return super().facts(kind)
        weights = (self.W_hh, self.W_uh, self.W_r, self.b, self.b_r)
        return pulse_circuit(*weights, self.activation, reads="activation")

    def _drive(self, state: Tensor, inputs: Tensor) -> Tensor:
        drive = state @ self.W_hh.T + inputs @ self.W_uh.T
        return drive if self.b is None else drive + self.b
