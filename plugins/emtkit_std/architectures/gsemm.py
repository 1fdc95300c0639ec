"""Architecture `gsemm`: a sequential episodic memory that runs the task's rule on its memories."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from emtkit import EmtkitError, Fact, NotApplicable, SequenceModel, Task, hookimpl
from emtkit_std._parameters import Activation, Amplitude, Hidden
from emtkit_std._theory.emt import circuit
from emtkit_std._theory.facts import LinearHistoryLaw, PulseCircuit
from emtkit_std._theory.networks.recurrence import Constructed, activated, pulse_circuit


class SequentialEpisodicMemory(Constructed):
    """Sequential episodic memory that runs the task's rule on its memories, with nothing to train.

        V(t) = Xi Phi Xi^+ s(V(t-1)) + eps Xi_s u(t),  y(t) = (Xi^+ s(V(t)))_s / eps

    The discrete form of GSEMM with its fast variables slaved; h = s(V) is an Elman network with
    W = Xi Phi Xi^+ (the analysis `conjugacy` measures that). Phi is the task's, on the m
    coordinates that its mask keeps, and the memories are Xi (H, m). The state starts from the
    history, V(s) = eps Xi (u(1), ..., u(s)). For tanh a small eps keeps it near linear; `sign`
    holds binary memories, of any scale.

    Shapes: state B H, inputs B d, outputs B d.

    References: Episodic Memory Theory, arXiv:2310.02430, section 3, Eqs. 12-21.
    """

    name = "gsemm"
    offers = (PulseCircuit,)

    def __init__(
        self,
        task: Task,
        *,
        hidden: Hidden = 128,
        memories: Annotated[
            tuple[tuple[float, ...], ...] | None,
            Field(description="Xi as H rows of m numbers; null draws its entries from N(0, 1/H)."),
        ] = None,
        activation: Annotated[Literal["tanh", "linear", "sign"], Activation] = "tanh",
        amplitude: Amplitude = 0.1,
    ) -> None:
        super().__init__()
        law = task.facts(LinearHistoryLaw)
        self.hidden, self.activation = hidden, activation
        xi = _memories(memories, hidden, int(law.mask.sum()))
        self.hold(circuit.build(law, xi, amplitude))

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Needs a rule whose core fits into `hidden`."""
        return circuit.refuse(task, int(parameters["hidden"]))

    def encode(self, inputs: Tensor) -> Tensor:
        """V(s), loaded from the history at once."""
        return inputs.flatten(1) @ self.loads.T

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """Xi Phi Xi^+ s(V) + eps Xi_s u, factor by factor."""
        held = self._activate(state) @ self.dual.T
        return held @ self.phi.T @ self.memories.T + inputs @ self.W_uh.T

    def read(self, state: Tensor) -> Tensor:
        """The newest variable of Xi^+ s(V), in the task's units."""
        return self._activate(state) @ self.W_r.T

    def facts(self, kind: type[Fact]) -> Fact:
        """The Elman network that it is conjugate to; V is the pre-activation."""
        if kind is not PulseCircuit:
            return super().facts(kind)
        if self.activation == "sign":
            raise NotApplicable("a network of sign units has no pulse responses")
        weights = (self.memories @ self.phi @ self.dual, self.W_uh, self.W_r, None, None)
        return pulse_circuit(*weights, self.activation, reads="activation")

    def _activate(self, state: Tensor) -> Tensor:
        if self.activation == "sign":
            return torch.sign(state)
        return activated(state, self.activation)


def _memories(given: tuple[tuple[float, ...], ...] | None, hidden: int, size: int) -> Tensor:
    if given is None:
        return circuit.draw_basis("gaussian", hidden, size)
    if len(given) != hidden or any(len(row) != size for row in given):
        raise EmtkitError(
            f"gsemm.memories must have {hidden} rows (hidden) of {size} numbers (the core of the "
            f"task's rule), not {len(given)} rows of {sorted({len(row) for row in given})}"
        )
    return torch.tensor(given, dtype=torch.float64)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """Offer `gsemm`."""
    return [SequentialEpisodicMemory]
