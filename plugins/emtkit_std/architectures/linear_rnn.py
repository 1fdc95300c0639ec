"""A linear recurrence with a linear or a ReLU readout."""

from torch import Tensor

from emtkit import SequenceModel, SimpleRecurrence, Task, Trace, hookimpl
from emtkit_std._parameters import Hidden, Init, Readout, ReadoutBias, StateNoise, Tied
from emtkit_std._theory.facts import LinearRecurrence, PulseCircuit
from emtkit_std._theory.networks.forms import TrainedPreActivation
from emtkit_std._theory.networks.recurrence import is_one_product_cheaper, linear_states


class LinearRnn(TrainedPreActivation):
    """Linear recurrence; with a ReLU readout it is the superposition paper's SSM.

    h_t = W_hh h_{t-1} + W_uh u_t,  y_t = readout(W_r h_t + b_r). State (B H), outputs (B O).
    Tied, W_r holds the directions w_k = W_hh^k W_uh.

    References: Sharma, Proca, Prieto and Mediano (ICLR 2026), "Temporal superposition".
    """

    name = "linear_rnn"
    version = 2  # starts scaled by what is summed: others beyond five inputs or units
    offers = (LinearRecurrence, PulseCircuit)

    def __init__(
        self,
        task: Task,
        *,
        hidden: Hidden = 2,
        readout: Readout = "linear",
        tied: Tied = False,
        bias: ReadoutBias = False,
        init: Init = "spiral",
        noise: StateNoise = 0.0,
    ) -> None:
        super().__init__(task, hidden, "linear", readout, init, tied=tied, bias=bias)
        self.noise = noise

    def trace(self, inputs: Tensor, steps: int) -> Trace:
        """As step by step; short sequences in one product with the powers of W_hh."""
        if not is_one_product_cheaper(inputs.shape[1], inputs.shape[2], self.hidden):
            return super().trace(inputs, steps)
        states = linear_states(self.W_hh, self.W_uh, inputs, steps)
        return Trace(states, self.read(states))

    def simple_form(self) -> SimpleRecurrence | None:
        """The same network for the fast tiers, unless its readout is tied."""
        return None if self.tied else SimpleRecurrence("linear", self.readout)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [LinearRnn]
