"""Comparisons of known numbers, and a study of networks that tell them, without training."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from emtkit import Comparison, Findings, NotApplicable, Registry, ScalarInfo, Subject
from emtkit.plugin.architecture import RecurrentModel
from emtkit.plugin.task import Task
from emtkit.study.plan import Plan, plan_study
from emtkit.testing.probes import ProbeDelay


class Point(RecurrentModel):
    """A network that is a point of the line: at its `place`, plus what its seed draws."""

    name = "point"

    def __init__(self, task: Task, *, place: float = 0.0, hidden: int = 1) -> None:
        super().__init__()
        self.hidden = hidden
        self.at = torch.nn.Parameter(place + 0.01 * torch.rand(1))

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        return state

    def read(self, state: Tensor) -> Tensor:
        return torch.cat([state, state], -1)


class Fixed(Point):
    """The origin."""

    name = "fixed"

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.at.data.zero_()

    @classmethod
    def trains(cls, parameters: Any) -> bool:
        return False


class Gap(Comparison[float]):
    """The distance of two points."""

    name = "gap"
    scalars: ClassVar = {"distance": ScalarInfo("distance of the points")}
    identity: ClassVar = {"distance": 0.0}

    def observe(self, subject: Subject) -> float:
        return float(subject.model.at)

    def compare(self, first: float, second: float) -> Findings:
        return Findings({"distance": abs(first - second)})


class Step(Gap):
    """How far the second lies beyond the first."""

    name = "step"
    scalars: ClassVar = {"distance": ScalarInfo("second less first")}
    symmetric = False

    def compare(self, first: float, second: float) -> Findings:
        return Findings({"distance": second - first})


class Moody(Gap):
    """Refuses points near 0, and breaks at those near 1."""

    name = "moody"

    def observe(self, subject: Subject) -> float:
        at = super().observe(subject)
        if at < 0.5:
            raise NotApplicable("too near 0")
        return at

    def compare(self, first: float, second: float) -> Findings:
        raise ZeroDivisionError("no mood")


REGISTRY = Registry.of(ProbeDelay, Point, Fixed, Gap, Step, Moody)
PLACES = {"use": "point", "grid": {"place": [0.0, 1.0]}}


def plan(*comparisons: Any, seeds: int = 3, **more: Any) -> Plan:
    """A study of points at 0 and at 1."""
    study = {
        "seeds": seeds,
        "training": {"steps": 0},
        "evaluation": {"sequences": 4},
        "tasks": ["probe_delay"],
        "architectures": [PLACES],
        "comparisons": list(comparisons),
        **more,
    }
    return plan_study(study, REGISTRY)
