"""The exact best linear network for one delayed feature."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from emtkit import Fact, SequenceModel, Task, hookimpl
from emtkit_std._parameters import Hidden, ReadoutBias
from emtkit_std._theory.facts import DelayLaw, LinearRecurrence, PulseCircuit
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.forms import PreActivationNetwork
from emtkit_std._theory.networks.recurrence import Constructed, as_buffer
from emtkit_std._theory.superposition.linear_optimum import linear_optimum
from emtkit_std._theory.superposition.scored import one_feature, scored_of


class OptimalLinear(Constructed, PreActivationNetwork):
    """The best linear network of its width for its task; nothing to train.

    h_t = W_hh h_{t-1} + W_uh u_t,  y_t = W_r h_t + b_r with the weights that minimise the expected
    loss over the steps that the task scores: the readout by a linear system, the poles by a search
    over every stable recurrence. State (B H), outputs (B 1).

    References: Sharma, Proca, Prieto and Mediano (ICLR 2026), linear case; the optimum is emtkit's.
    """

    name = "optimal_linear"
    version = 2  # over the steps that are scored, any width
    offers = (LinearRecurrence, PulseCircuit, Mechanism)
    activation = "linear"
    readout = "linear"

    def __init__(self, task: Task, *, hidden: Hidden = 2, bias: ReadoutBias = False) -> None:
        super().__init__()
        law = task.facts(DelayLaw)
        best = linear_optimum(law, hidden, scored_of(task), bias=bias)
        self.hidden, self.delay = hidden, max(law.delay)
        weights = {"W_hh": best.W_hh, "W_uh": best.W_uh, "W_r": best.W_r, "b_r": best.bias}
        self.hold({name: as_buffer(np.ascontiguousarray(value)) for name, value in weights.items()})

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """The optimum is known for one delayed feature."""
        return one_feature(task)

    def facts(self, kind: type[Fact]) -> Fact:
        """Its weights; and that ages share its units, unless there is one for each."""
        if kind is not Mechanism:
            return super().facts(kind)
        if self.hidden <= self.delay:
            return kind("superposed")
        return kind("register", tuple(range(self.delay + 1)), (1.0,) * (self.delay + 1))


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [OptimalLinear]
