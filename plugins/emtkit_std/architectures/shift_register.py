"""Registers that solve a delay task exactly, constructed."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from emtkit import Fact, SequenceModel, Task, hookimpl
from emtkit_std._parameters import Hidden
from emtkit_std._theory.facts import DelayLaw, LinearRecurrence, PulseCircuit
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.forms import PreActivationNetwork
from emtkit_std._theory.networks.recurrence import Constructed, as_buffer


class ShiftRegister(Constructed, PreActivationNetwork):
    """A register of hidden / inputs units per input that hands its item on; nothing to train.

    h_t = W_hh sigma(h_{t-1}) + W_uh u_t,  y_t = sigma(W_r h_t), W_uh = e_1, W_hh e_i = e_{i+1}.
    linear: n units are exact up to delay n - 1. relu: n units reach delay n for a lone pulse, by
    W_hh e_n = -1 and W_r = -1/n: projections (-1/n, .., -1/n, 1, 0, ..), all but the item hidden
    behind the readout; shorter delays are read from the register as it is.
    State (B H), outputs (B O).

    References: White, Lee and Sompolinsky (2004), doi:10.1103/PhysRevLett.92.148102 (linear); the
    ReLU circuit is emtkit's.
    """

    name = "shift_register"
    offers = (LinearRecurrence, PulseCircuit, Mechanism)

    def __init__(
        self,
        task: Task,
        *,
        hidden: Hidden = 4,
        activation: Annotated[
            Literal["linear", "relu"],
            Field(description="Nonlinearity sigma of the units and of the outputs."),
        ] = "linear",
    ) -> None:
        super().__init__()
        self.hidden, self.activation, self.readout = hidden, activation, activation
        law = task.facts(DelayLaw)
        self.units, self.longest = hidden // law.inputs, max(law.delay)
        register = _register(law, hidden)
        self.hold({name: as_buffer(value) for name, value in vars(register).items()})
        self.b_r = None

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """The register must be long enough and, behind a relu, the items positive."""
        if DelayLaw not in task.offers:
            return f"a register holds delayed items, but task '{task.name}' does not offer DelayLaw"
        law, hidden = task.facts(DelayLaw), parameters["hidden"]
        relu = parameters["activation"] == "relu"
        if relu and (not law.one_signed or min(law.sign) < 0):
            return "a relu register passes positive items only, and these are not known to be"
        units, needed = hidden // law.inputs, max(law.delay) + (0 if relu else 1)
        if units < max(needed, 1):
            return (
                f"{hidden} units for {law.inputs} inputs are {units} each; delay {max(law.delay)} "
                f"needs {max(needed, 1)} each"
            )
        return None

    def facts(self, kind: type[Fact]) -> Fact:
        """Its weights; and that a relu register of n units for delay n hides what it does not ask.

        That one is exact for a lone pulse; of others it holds what is left.
        """
        if kind is not Mechanism:
            return super().facts(kind)
        if self.longest == self.units:
            return kind("superposed")
        return kind("register", tuple(range(self.units)), (1.0,) * self.units)


def _register(law: DelayLaw, hidden: int) -> LinearRecurrence:
    """Weights of one register per input, side by side; units left over stay silent."""
    units = hidden // law.inputs
    W_hh = np.zeros((hidden, hidden))
    W_uh, W_r = np.zeros((hidden, law.inputs)), np.zeros((len(law.delay), hidden))
    for source in range(law.inputs):
        place = slice(source * units, (source + 1) * units)
        wiped = any(
            delay == units for delay, of in zip(law.delay, law.source, strict=True) if of == source
        )
        W_hh[place, place] = np.eye(units, k=-1)
        if wiped:  # the last unit's item is subtracted from all, else it is dropped
            W_hh[place, place.stop - 1] = -1.0
        W_uh[source * units, source] = 1.0
    for output, (delay, source) in enumerate(zip(law.delay, law.source, strict=True)):
        first = source * units
        if delay == units:
            W_r[output, first : first + units] = -1.0 / units
        else:
            W_r[output, first + delay] = law.sign[output]
    return LinearRecurrence(W_hh, W_uh, W_r)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [ShiftRegister]
