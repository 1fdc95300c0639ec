"""Comparisons that each break one rule; `BREAKS` says which."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field

from emtkit import Comparison, Findings, ScalarInfo, Subject

Power = Annotated[int, Field(ge=1, description="Power of the distance.")]
DISTANCE = {"distance": ScalarInfo("distance of the mean outputs")}
SAME = {"distance": 0.0}


class GoodComparison(Comparison[np.ndarray]):
    """The distance of the outputs, d = |y_a - y_b|.

    References: none (a test).
    """

    name = "good_comparison"
    scalars: ClassVar = DISTANCE
    identity: ClassVar = SAME
    unchanged_by = ("order", "signs", "rotation", "scale", "linear")

    def __init__(self, *, power: Power = 1) -> None:
        self.power = power

    def observe(self, subject: Subject) -> np.ndarray:
        batch = subject.task.sample(4, subject.stream.fork("sequences"))
        inputs = batch.inputs.double()[:, : batch.input_steps]
        trace = subject.model.trace(inputs, batch.steps)
        return self.seen(trace.states, trace.outputs)

    def seen(self, states: torch.Tensor, outputs: torch.Tensor) -> np.ndarray:
        return outputs.numpy().copy()

    def compare(self, first: np.ndarray, second: np.ndarray) -> Findings:
        return Findings({"distance": self.distance(first, second) ** self.power})

    def distance(self, first: np.ndarray, second: np.ndarray) -> float:
        return float(np.linalg.norm(first - second))


class RefusesItself(GoodComparison):
    """d = 0. References: none."""

    name = "refuses_itself"

    def __init__(self) -> None:
        raise ValueError("not today")


class NeedsTheUnknown(GoodComparison):
    """d = 0. References: none."""

    name = "needs_the_unknown"
    requires = (complex,)


class AnswersWithANumber(GoodComparison):
    """d = 0. References: none."""

    name = "answers_with_a_number"
    scalars: ClassVar = DISTANCE
    identity: ClassVar = SAME

    def compare(self, first, second):
        return self.distance(first, second)


class SomePowersRaise(GoodComparison):
    """d = 0. References: none."""

    name = "some_powers_raise"

    def __init__(self, *, power: Power = 1) -> None:
        self.power = {1: 1}[power]


class CountsItsCalls(GoodComparison):
    """d = 0. References: none."""

    name = "counts_its_calls"

    def __init__(self) -> None:
        self.power, self.calls = 1, 0

    def observe(self, subject: Subject) -> np.ndarray:
        self.calls += 1
        return super().observe(subject) * (1 + self.calls // 3)


class ChangesWhatItSaw(GoodComparison):
    """d = 0. References: none."""

    name = "changes_what_it_saw"

    def distance(self, first: np.ndarray, second: np.ndarray) -> float:
        first -= second
        return float(np.linalg.norm(first))


class GlobalDraw(GoodComparison):
    """d = 0. References: none."""

    name = "global_draw"

    def seen(self, states: torch.Tensor, outputs: torch.Tensor) -> np.ndarray:
        return super().seen(states, outputs) * (0.0 + float(torch.rand(())) * 0 + 1.0)


class ChangesTheNetwork(GoodComparison):
    """d = 0. References: none."""

    name = "changes_the_network"

    def observe(self, subject: Subject) -> np.ndarray:
        found = super().observe(subject)
        for value in subject.model.parameters():
            value.mul_(0.5)
        return found


class InfiniteArray(GoodComparison):
    """d = 0. References: none."""

    name = "infinite_array"
    scalars: ClassVar = DISTANCE
    identity: ClassVar = SAME

    def compare(self, first: np.ndarray, second: np.ndarray) -> Findings:
        found = super().compare(first, second).scalars
        return Findings(found, arrays={"far": np.array([np.inf])})


class SaysNothingOfItsScalar(GoodComparison):
    """d = 0. References: none."""

    name = "says_nothing_of_its_scalar"
    scalars: ClassVar = {"distances": ScalarInfo("another")}


class FarFromItself(GoodComparison):
    """d = 0. References: none."""

    name = "far_from_itself"

    def distance(self, first: np.ndarray, second: np.ndarray) -> float:
        return 1.0 + super().distance(first, second)


class OneWay(GoodComparison):
    """d = 0. References: none."""

    name = "one_way"

    def distance(self, first: np.ndarray, second: np.ndarray) -> float:
        return super().distance(first, second) * float(np.linalg.norm(first))


class LooksAtUnits(GoodComparison):
    """d = 0. References: none."""

    name = "looks_at_units"

    def seen(self, states: torch.Tensor, outputs: torch.Tensor) -> np.ndarray:
        return states.numpy()[..., :1].copy()


BREAKS: dict[type[Comparison], str] = {
    RefusesItself: "builds with defaults",
    NeedsTheUnknown: "finds a network",
    AnswersWithANumber: "measures untrained networks",
    SomePowersRaise: "builds with random parameters",
    CountsItsCalls: "equal subjects equal findings",
    ChangesWhatItSaw: "nothing is kept",
    GlobalDraw: "no global randomness",
    ChangesTheNetwork: "leaves the network alone",
    InfiniteArray: "findings can be stored",
    SaysNothingOfItsScalar: "scalars are declared",
    FarFromItself: "equals itself",
    OneWay: "symmetric where declared",
    LooksAtUnits: "unchanged where declared",
}
