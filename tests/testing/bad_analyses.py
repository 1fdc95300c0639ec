"""Analyses that each break one rule; `BREAKS` says which."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field

from emtkit import Analysis, Bars, Control, Drawing, Findings, Plot, ScalarInfo, Subject
from emtkit.testing.probes import ProbeDelay, ProbeNetwork


def draw_bar(findings: Findings) -> Drawing:
    return Drawing([Plot([Bars([0], [findings.scalars["size"]])])])


def draw_nothing(findings: Findings) -> None:
    return


Power = Annotated[int, Field(ge=1, description="Power of the size.")]
SIZE = {"size": ScalarInfo("largest weight")}
PROBES = ({"use": ProbeDelay.name}, {"use": ProbeNetwork.name})


class GoodAnalysis(Analysis):
    """The largest weight, size = max |W|.

    References: none (a test).
    """

    name = "good_analysis"
    scalars: ClassVar = SIZE
    drawings: ClassVar = {"bar": draw_bar}
    controls = (Control(*PROBES, "size", least=0.1, most=10.0),)

    def __init__(self, *, power: Power = 1) -> None:
        self.power = power

    def measure(self, subject: Subject) -> Findings:
        return Findings({"size": self.size(subject) ** self.power})

    def size(self, subject: Subject) -> float:
        return float(max(value.abs().max() for value in subject.model.state_dict().values()))


class RefusesItself(GoodAnalysis):
    """size = 0. References: none."""

    name = "refuses_itself"

    def __init__(self) -> None:
        raise ValueError("not today")


class NeedsTheUnknown(GoodAnalysis):
    """size = 0. References: none."""

    name = "needs_the_unknown"
    requires = (complex,)


class SilentNan(GoodAnalysis):
    """size = 0. References: none."""

    name = "silent_nan"
    scalars: ClassVar = SIZE

    def measure(self, subject: Subject) -> Findings:
        return Findings({"size": float("nan")})


class SomePowersRaise(GoodAnalysis):
    """size = 0. References: none."""

    name = "some_powers_raise"

    def __init__(self, *, power: Power = 1) -> None:
        self.power = {1: 1}[power]


class CountsItsCalls(GoodAnalysis):
    """size = 0. References: none."""

    name = "counts_its_calls"
    scalars: ClassVar = SIZE
    controls = ()

    def __init__(self) -> None:
        self.power = 0

    def measure(self, subject: Subject) -> Findings:
        self.power += 1
        return super().measure(subject)


class GlobalDraw(GoodAnalysis):
    """size = 0. References: none."""

    name = "global_draw"

    def size(self, subject: Subject) -> float:
        return super().size(subject) + 0.1 * float(torch.rand(()))


class ChangesTheNetwork(GoodAnalysis):
    """size = 0. References: none."""

    name = "changes_the_network"
    scalars: ClassVar = SIZE

    def measure(self, subject: Subject) -> Findings:
        found = super().measure(subject)
        for value in subject.model.parameters():
            value.mul_(0.5)
        return found


class InfiniteArray(GoodAnalysis):
    """size = 0. References: none."""

    name = "infinite_array"
    scalars: ClassVar = SIZE

    def measure(self, subject: Subject) -> Findings:
        return Findings(super().measure(subject).scalars, arrays={"far": np.array([np.inf])})


class EmptyFigure(GoodAnalysis):
    """size = 0. References: none."""

    name = "empty_figure"
    drawings: ClassVar = {"nothing": draw_nothing}


class SaysNothingOfItsScalar(GoodAnalysis):
    """size = 0. References: none."""

    name = "says_nothing_of_its_scalar"
    scalars: ClassVar = {"sizes": ScalarInfo("another")}


class ConditionOfNothing(GoodAnalysis):
    """size = 0. References: none."""

    name = "condition_of_nothing"
    conditions: ClassVar = {"place": ("size",)}


class WrongOnItsControl(GoodAnalysis):
    """size = 0. References: none."""

    name = "wrong_on_its_control"
    controls = (Control(*PROBES, "size", most=1e-6),)


class LooksAtTheOthers(GoodAnalysis):
    """size = max |W| of all that are measured together. References: none."""

    name = "looks_at_the_others"

    def measure_many(self, subjects):
        size = max(self.size(subject) for subject in subjects)
        return [Findings({"size": size**self.power}) for _ in subjects]


BREAKS: dict[type[Analysis], str] = {
    RefusesItself: "builds with defaults",
    NeedsTheUnknown: "finds a network",
    SilentNan: "measures untrained networks",
    SomePowersRaise: "builds with random parameters",
    CountsItsCalls: "equal subjects equal findings",
    LooksAtTheOthers: "many equal one",
    GlobalDraw: "no global randomness",
    ChangesTheNetwork: "leaves the network alone",
    InfiniteArray: "findings can be stored",
    EmptyFigure: "drawings draw",
    SaysNothingOfItsScalar: "scalars are declared",
    ConditionOfNothing: "conditions are scalars",
    WrongOnItsControl: "answers on its controls",
}
