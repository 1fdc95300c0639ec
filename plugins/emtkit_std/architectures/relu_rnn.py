"""The superposition paper's nonlinear recurrent network."""

from typing import Annotated, Literal

from emtkit import SequenceModel, SimpleRecurrence, Task, hookimpl
from emtkit_std._parameters import (
    Activation,
    Hidden,
    Init,
    Readout,
    ReadoutBias,
    StateNoise,
    Tied,
)
from emtkit_std._theory.facts import PulseCircuit
from emtkit_std._theory.networks.forms import TrainedPreActivation


class ReluRnn(TrainedPreActivation):
    """Nonlinear recurrence whose readout sees the state before the activation.

    h_t = W_hh sigma(h_{t-1}) + W_uh u_t,  y_t = readout(W_r h_t + b_r); h is the PRE-activation.
    State (B H), outputs (B O). Tied, W_r holds the directions w_k = W_hh sigma(w_{k-1}).

    References: Sharma, Proca, Prieto and Mediano (ICLR 2026), "Temporal superposition".
    """

    name = "relu_rnn"
    version = 2  # starts scaled by what is summed: others beyond five inputs or units
    offers = (PulseCircuit,)

    def __init__(
        self,
        task: Task,
        *,
        hidden: Hidden = 2,
        readout: Readout = "relu",
        activation: Annotated[Literal["relu", "tanh"], Activation] = "relu",
        tied: Tied = False,
        bias: ReadoutBias = False,
        init: Init = "spiral",
        noise: StateNoise = 0.0,
    ) -> None:
        super().__init__(task, hidden, activation, readout, init, tied=tied, bias=bias)
        self.noise = noise

    def simple_form(self) -> SimpleRecurrence | None:
        """The same network for the fast tiers, unless its readout is tied."""
        return (
            None if self.tied else SimpleRecurrence(self.activation, self.readout, "preactivation")
        )


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [ReluRnn]
