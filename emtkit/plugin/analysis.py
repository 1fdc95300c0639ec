"""What an analysis is: it measures one trained network and says what it found."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from emtkit.errors import NotApplicable, PluginError
from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.drawing import Drawing
from emtkit.plugin.inherited import forget_inherited
from emtkit.plugin.scalars import Scalars
from emtkit.plugin.task import Fact, Task

if TYPE_CHECKING:
    from emtkit.plugin.stream import Stream

Scalar = float | int | bool | str


@dataclass(frozen=True)
class Findings:
    """What an analysis says of one subject.

    `scalars` become columns of the frame; `tables` and `arrays` are stored beside them. NaN means
    undefined, and `reasons` then says why, by the scalar's name.

    Raises:
        PluginError: a scalar is infinite or no scalar at all, or is NaN without a reason.
    """

    scalars: Mapping[str, Scalar]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scalars", {k: _plain(k, v) for k, v in self.scalars.items()})
        for name, value in self.scalars.items():
            if isinstance(value, float) and math.isnan(value) and name not in self.reasons:
                raise PluginError(
                    f"the finding '{name}' is NaN without a reason; say why it is undefined in "
                    f"`reasons={{'{name}': ...}}`"
                )
            if isinstance(value, float) and math.isinf(value):
                raise PluginError(
                    f"the finding '{name}' is infinite; a scalar is finite, or NaN with a reason"
                )


@dataclass(frozen=True)
class History:
    """How training went: `loss` per iteration, the number of iterations, and the tier's name."""

    loss: np.ndarray[Any, Any]
    steps: int
    tier: str


@dataclass(frozen=True)
class Subject:
    """What an analysis is given; the model is in evaluation mode and tracks no gradient.

    `parameters` are the architecture's, defaults resolved; `stream` carries no seed, so that all
    networks are compared on the same draws.
    """

    task: Task
    model: SequenceModel
    parameters: Mapping[str, Any]
    history: History
    stream: Stream

    def fact(self, kind: type[Fact]) -> Fact:
        """The fact of type `kind` that the task, else the model, offers.

        Raises:
            NotApplicable: neither offers it.
        """
        for owner in (self.task, self.model):
            if kind in owner.offers:
                return owner.facts(kind)
        raise NotApplicable(
            f"needs {kind.__name__}, which neither task '{self.task.name}' nor architecture "
            f"'{self.model.name}' offers; offer it in one of them (`facts`)"
        )


Draw = Callable[[Findings], Drawing]
"""From stored findings to what they show; NotApplicable says why they show nothing."""


@dataclass(frozen=True)
class Control:
    """A network whose answer is known: a constructed one (positive), an untrained one (negative).

    `task` and `architecture` are written as in a study (`{"use": "hds", "rule": "T1"}`); `scalar`
    must then be at least `least`, at most `most`, and `equals`, whichever is given. An answer that
    does not apply, or is undefined, fails the control.
    """

    task: Mapping[str, Any]
    architecture: Mapping[str, Any]
    scalar: str
    least: float | None = None
    most: float | None = None
    equals: Scalar | None = None


class Analysis(ABC):
    """One way to measure a network; an instance is one setting of its parameters.

    `models` is SequenceModel (any network) or RecurrentModel (those with a state map);
    `requires` are types of facts. `drawings` draw from stored findings alone.
    `scalars` says what each scalar of its findings means; without it a misspelt one is found late.
    `conditions` names scalars (keys) that say under which condition others (values) were measured:
    numbers of different conditions are not comparable, and a table that mixes them says so.
    `controls` are networks with a known answer, which `emtkit check` holds the analysis to.

    A subclass that writes `measure` anew inherits neither `scalars` nor `measure_many`; it may
    write its own.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    models: ClassVar[type[SequenceModel]] = SequenceModel
    requires: ClassVar[tuple[type, ...]] = ()
    scalars: ClassVar[Scalars] = {}
    drawings: ClassVar[Mapping[str, Draw]] = {}
    conditions: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    controls: ClassVar[tuple[Control, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        said = ("measure",)
        forget_inherited(cls, Analysis, {("scalars",): said, ("measure_many",): said})

    @abstractmethod
    def measure(self, subject: Subject) -> Findings:
        """Measure one subject.

        Raises:
            NotApplicable: measuring shows that the analysis does not apply; the reason is stored.
        """

    def measure_many(self, subjects: Sequence[Subject]) -> list[Findings]:
        """Measure networks of one setting, on one task; optional, where this is faster.

        Each gets the findings of `measure` to the last bit, whichever others there are. If it
        raises, they are measured one by one.
        """
        return [self.measure(subject) for subject in subjects]


def _plain(name: str, value: object) -> Scalar:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int | float | str):
        return value
    raise PluginError(
        f"the finding '{name}' is a {type(value).__name__}; a scalar is a float, int, bool or str "
        "(put arrays into `arrays` and rows into `tables`)"
    )
