"""Architecture `emt_circuit`: the exact circuit of the task's rule in a random basis."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from emtkit import Fact, NotApplicable, RecurrentModel, SequenceModel, Since, Task, hookimpl
from emtkit_std._parameters import Activation, Amplitude, Hidden, StateNoise
from emtkit_std._theory.emt import circuit
from emtkit_std._theory.facts import LinearHistoryLaw
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.delay_line import delay_line_of
from emtkit_std._theory.networks.forms import ElmanNetwork
from emtkit_std._theory.networks.recurrence import Constructed


class EmtCircuit(Constructed, ElmanNetwork):
    """The binding circuit that theory predicts, with nothing to train: the positive control.

        h(t) = s(W_hh h(t-1) + eps W_uh u(t)),   y(t) = W_r h(t) / eps
        W_hh = g Psi Phi Psi^+,   W_uh = Psi_s,   W_r = Psi_s^+

    Phi is the task's, on the coordinates that its optimised mask keeps, in the basis Psi (H, m).
    `start: history` sets h(s) = eps sum_k Psi_k u(k); `start: input` runs the driven phase through
    W_uh from h(0) = 0. With `activation: tanh` the circuit is exact in the limit of a small eps.

    A gain g below 1 makes the memory leak. With `basis: units` (each memory its own unit), tanh and
    g > 1 every history of signs ends on a cycle of its own, h in {-a, a}^m with a = tanh(g a), that
    attracts: all Floquet multipliers of the core have modulus g (1 - a^2) per step.

    Shapes: state B H, inputs B d, outputs B d.

    References: Episodic Memory Theory, arXiv:2310.02430, Eqs. 6-8.
    """

    name = "emt_circuit"
    # `encode` begins elsewhere, and the step stays what it is
    offers = (*ElmanNetwork.offers, Mechanism)
    jacobian = RecurrentModel.jacobian  # fixed points are recorded to its last bit

    def __init__(
        self,
        task: Task,
        *,
        hidden: Hidden = 128,
        basis: Annotated[
            circuit.Basis,
            Field(
                description="Kind of the basis Psi: random, `orthonormal` or `gaussian` of entries "
                "N(0, 1/H), or the first `units`, one for each memory."
            ),
        ] = "orthonormal",
        start: Annotated[
            Literal["history", "input"],
            Field(
                description="Whether the state is set to the whole history at once, exact for "
                "every rule, or receives it step by step, exact for repeat copy alone."
            ),
        ] = "history",
        activation: Annotated[Literal["linear", "tanh"], Activation] = "linear",
        amplitude: Amplitude = 1.0,
        gain: Annotated[
            float, Since.LATER, Field(gt=0, description="Factor g of the recurrent weights.")
        ] = 1.0,
        noise: StateNoise = 0.0,
    ) -> None:
        super().__init__()
        law = task.facts(LinearHistoryLaw)
        self.hidden, self.start, self.activation = hidden, start, activation
        self.corrects = activation == "tanh" and basis == "units" and gain > 1
        self.polluted = start == "input" and isinstance(delay_line_of(task), str)
        self.kept = law.mask.reshape(law.history, -1)
        self.noise = noise
        self.b = self.b_r = None
        psi = circuit.draw_basis(basis, hidden, int(law.mask.sum()))
        exact = circuit.build(law, psi, amplitude)
        self.hold({"W_hh": gain * psi @ exact["phi"] @ exact["dual"]})
        self.hold({name: exact[name] for name in ("W_uh", "W_r", "loads")})

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Needs a rule whose core fits into `hidden`."""
        return circuit.refuse(task, int(parameters["hidden"]))

    def encode(self, inputs: Tensor) -> Tensor:
        """The state after the driven inputs: loaded at once, or step by step."""
        if self.start == "history":
            return inputs.flatten(1) @ self.loads.T
        return super().encode(inputs)

    def facts(self, kind: type[Fact]) -> Fact:
        """Its weights as a circuit; its mechanism, where that is certain."""
        if kind is not Mechanism:
            return super().facts(kind)
        if self.activation == "tanh" and not self.corrects:
            raise NotApplicable(
                "in tanh units it remembers in the limit of a small amplitude alone"
            )
        if self.polluted:
            raise NotApplicable("from rest this rule pollutes what the circuit should hold")
        shares = tuple(float(share) for share in self.kept.mean(1)[::-1])
        whole = tuple(age for age, share in enumerate(shares) if share == 1)
        return Mechanism("cycle" if self.corrects else "register", whole, shares)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """Offer `emt_circuit`."""
    return [EmtCircuit]
