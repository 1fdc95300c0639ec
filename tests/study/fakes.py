"""Small plugins for tests of studies: real subclasses that draw and compute next to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from emtkit.plugin.analysis import Analysis, Findings, Subject
from emtkit.plugin.architecture import RecurrentModel, SequenceModel, Trace
from emtkit.plugin.registry import Registry
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Batch, Channels, Task


@dataclass(frozen=True)
class Law:
    delay: int


class Echo(Task):
    """Scores every step, driven all the way; offers the law, has no horizons."""

    name = "echo"
    offers = (Law,)

    def __init__(
        self,
        *,
        delay: Annotated[int, Field(ge=0)] = 3,
        density: Annotated[float, Field(gt=0, le=1)] = 1.0,
        amplitude: Literal["uniform", "constant"] = "uniform",
        weights: tuple[int, ...] | None = None,
    ) -> None:
        if amplitude == "constant" and density == 1.0:
            raise ValueError("constant amplitude with density 1 is degenerate")
        self.delay = delay

    def facts(self, kind):
        return Law(self.delay) if kind is Law else super().facts(kind)

    @property
    def channels(self) -> Channels:
        return Channels(1, 1)

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        inputs = stream.uniform((batch, 5, 1))
        return Batch(inputs, inputs, torch.ones(5), 5)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return (outputs - batch.targets).square().sum(-1)


class Recall(Task):
    """Hears two steps and answers after them; has horizons."""

    name = "recall"
    horizons = True

    def __init__(self, *, horizon: int = 20, rule: str = "T1") -> None:
        self.horizon = horizon
        self.evaluation_horizon = 2 * horizon

    @property
    def channels(self) -> Channels:
        return Channels(2, 2)

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        steps = 2 + (horizon or 20)
        inputs = torch.zeros(batch, steps, 2)
        mask = torch.ones(steps)
        mask[:2] = 0
        return Batch(inputs, inputs, mask, 2)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return (outputs - batch.targets).square().sum(-1)


class Plain(RecurrentModel):
    """A recurrent network with the usual parameters."""

    name = "plain"

    def __init__(
        self, task: Task, *, hidden: Annotated[int, Field(ge=1)] = 2, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.hidden = hidden

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        return state

    def read(self, state: Tensor) -> Tensor:
        return state


class Clamped(Plain):
    """Set from its history at once; wants at least two units."""

    name = "clamped"

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        return "needs two units" if parameters["hidden"] < 2 else None

    def encode(self, inputs: Tensor) -> Tensor:
        return inputs[:, -1]


class Exact(Plain):
    """Constructed: there is nothing to train."""

    name = "exact"

    @classmethod
    def trains(cls, parameters: Mapping[str, Any]) -> bool:
        return False


class Attend(SequenceModel):
    """No state map."""

    name = "attend"

    def __init__(self, task: Task, *, heads: int = 1) -> None:
        super().__init__()

    def trace(self, inputs: Tensor, steps: int) -> Trace:
        return Trace(inputs, inputs)


class Radius(Analysis):
    """Looks at state maps only."""

    name = "radius"
    models = RecurrentModel

    def __init__(self, *, of: Literal["recurrent", "jacobian"] = "recurrent") -> None:
        self.of = of

    def measure(self, subject: Subject) -> Findings:
        return Findings({"radius": 1.0})


class Delays(Analysis):
    """Needs the law of the task."""

    name = "delays"
    requires = (Law,)
    drawings: ClassVar = {"curve": lambda findings: None}

    def __init__(self, *, samples: int = 100) -> None:
        self.samples = samples

    def measure(self, subject: Subject) -> Findings:
        return Findings({"delay": 3})


def registry() -> Registry:
    return Registry.of(Echo, Recall, Plain, Clamped, Exact, Attend, Radius, Delays)
