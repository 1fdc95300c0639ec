"""The two forms of a simple recurrence: Elman's reads its state after the activation, the
superposition paper's before it.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from emtkit import Fact, NotApplicable, RecurrentModel, Stream, Task
from emtkit_std._theory.emt.circuit import refuse_real_values
from emtkit_std._theory.facts import Activation, DelayLaw, LinearRecurrence, PulseCircuit
from emtkit_std._theory.networks import recurrence
from emtkit_std._theory.networks.recurrence import activated, slope

_FEW_UNITS, _MANY_SILENT = 4, 0.2


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
        return recurrence.pulse_circuit(*weights, self.activation, reads="activation")

    def _drive(self, state: Tensor, inputs: Tensor) -> Tensor:
        drive = state @ self.W_hh.T + inputs @ self.W_uh.T
        return drive if self.b is None else drive + self.b


class PreActivationNetwork(RecurrentModel):
    """h_t = W_hh sigma(h_{t-1}) + W_uh u_t, y_t = readout(W_r h_t + b_r).

    A subclass sets `hidden`, `activation`, `readout` and the weights, of which b_r may be None.
    """

    activation: Activation
    readout: Literal["linear", "relu"]
    W_hh: Tensor
    W_uh: Tensor
    W_r: Tensor
    b_r: Tensor | None

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """W_hh sigma(h) + W_uh u (B H)."""
        return activated(state, self.activation) @ self.W_hh.T + inputs @ self.W_uh.T

    def jacobian(self, state: Tensor, inputs: Tensor) -> Tensor:
        """W_hh diag(sigma') (B H H)."""
        return self.W_hh * slope(state, self.activation).unsqueeze(1)

    def read(self, state: Tensor) -> Tensor:
        """The readout of states (... H) -> (... O)."""
        drive = state @ self.readout_weights().T
        if self.b_r is not None:
            drive = drive + self.b_r
        return activated(drive, self.readout)

    def readout_weights(self) -> Tensor:
        """W_r (O, H)."""
        return self.W_r

    def facts(self, kind: type[Fact]) -> Fact:
        """The weights as a circuit; as a linear recurrence when it is one."""
        weights = (self.W_hh, self.W_uh, self.readout_weights(), None, self.b_r)
        circuit = recurrence.pulse_circuit(*weights, self.activation, readout=self.readout)
        if kind is PulseCircuit:
            return circuit
        if kind is not LinearRecurrence or kind not in self.offers:
            return super().facts(kind)
        if self.activation != "linear":
            raise NotApplicable(
                f"'{self.name}' with {self.activation} units is not a linear recurrence"
            )
        return LinearRecurrence(circuit.W_hh, circuit.W_uh, circuit.W_r)


class TrainedPreActivation(PreActivationNetwork):
    """The same form with weights to train.

    Tied, W_r (O, H) holds the directions w_k = W_hh sigma(w_{k-1}), w_0 = W_uh, that each output
    should repeat.
    """

    def __init__(
        self,
        task: Task,
        hidden: int,
        activation: Activation,
        readout: Literal["linear", "relu"],
        init: recurrence.Init,
        *,
        tied: bool,
        bias: bool,
    ) -> None:
        super().__init__()
        inputs, self.outputs = task.channels.inputs, task.channels.outputs
        self.hidden, self.activation, self.readout, self.tied = hidden, activation, readout, tied
        self.W_hh = nn.Parameter(recurrence.recurrent_weights(init, hidden))
        # A tied readout sums over the units with weights of the size of these.
        fan_in = max(inputs, hidden) if tied else inputs
        self.W_uh = nn.Parameter(recurrence.outer_weights(init, hidden, inputs, hidden, fan_in))
        if tied:
            self.register_buffer("own", recurrence.own_items(task))
        else:
            self.W_r = nn.Parameter(recurrence.outer_weights(init, self.outputs, hidden, hidden))
        self.b_r = nn.Parameter(torch.zeros(self.outputs)) if bias else None

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """A tied readout needs a delay law; values that may grow are for linear networks."""
        if parameters["tied"]:
            if DelayLaw not in task.offers:
                return (
                    "a tied readout repeats a delayed direction, but task "
                    f"'{task.name}' has no DelayLaw"
                )
            try:
                task.facts(DelayLaw)
            except NotApplicable as error:
                return f"a tied readout repeats a delayed direction: {error}"
        return refuse_real_values(task, parameters.get("activation", "linear"))

    @classmethod
    def warns(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """One rectified output of few units is silent at first in many networks, and stays so."""
        rectified = parameters["readout"] == "relu" and not parameters["tied"]
        # Measured: with a second output, or with more units, fewer starts are silent.
        if not rectified or task.channels.outputs > 1 or parameters["hidden"] > _FEW_UNITS:
            return None
        if bool((task.sample(16, Stream(None, "starts")).inputs < 0).any()):
            return None
        activation = parameters.get("activation", "linear")
        shape = parameters["hidden"], task.channels.inputs
        share = recurrence.silent_share(parameters["init"], *shape, activation)
        if share < _MANY_SILENT:
            return None
        return (
            f"about {round(20 * share) * 5} % of them start with an output of 0 on every sequence, "
            "and stay there; plan seeds enough and compare bests, or take more units"
        )

    def readout_weights(self) -> Tensor:
        """W_r (O, H), as trained or tied."""
        if self.tied:
            return recurrence.tied_readout(
                self.W_hh, self.W_uh, self.get_buffer("own"), self.activation
            )
        return self.W_r
