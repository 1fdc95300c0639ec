"""One analysis of networks, at the end of their training or at each of their snapshots."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from safetensors.torch import load

from emtkit.errors import EmtkitError, NotApplicable, PluginError
from emtkit.execute.messages import Subjects
from emtkit.plugin.analysis import Analysis, Findings, History, Subject
from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.over_training import joined
from emtkit.plugin.params import build_arguments
from emtkit.plugin.registry import Registry
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Task
from emtkit.store.content import unpack
from emtkit.study.cells import Cell, Measure
from emtkit.train.build import DTYPES, build_model, build_task


@dataclass(frozen=True)
class Outcome:
    """What an analysis says of a network, or what it raised, and the seconds that it took."""

    said: Findings | Exception
    seconds: float


@dataclass(frozen=True)
class Asked:
    """One network, and the analysis that is to be made of it."""

    subject: Subjects
    measure: Measure

    @property
    def alike(self) -> str:
        """Equal of those that an analysis may measure together."""
        cell, at = self.subject.cell, self.measure.at
        setting = [cell.task.identity(), cell.architecture.identity(), cell.training.dtype]
        return str(setting if at == "end" else [cell.key])


def measure_all(registry: Registry, asked: Sequence[Asked]) -> list[Outcome]:
    """One analysis of each network: together those of one setting, where the analysis does that.

    Whatever it raises on several is not said of any: they are then measured one by one.
    """
    cls = registry.analyses[asked[0].measure.analysis.name]
    found: dict[str, Outcome] = {}
    groups: dict[str, list[Asked]] = {}
    for one in asked if cls.measure_many is not Analysis.measure_many else ():
        groups.setdefault(one.alike, []).append(one)
    for group in groups.values():
        with contextlib.suppress(Exception):
            found.update(_together(registry, group) if len(group) > 1 else {})
    return [found.get(one.measure.key) or _alone(registry, one) for one in asked]


def _together(registry: Registry, asked: Sequence[Asked]) -> dict[str, Outcome]:
    """The findings by their keys."""
    begun = time.monotonic()
    first = asked[0].subject.cell
    analysis, task = _analysis(registry, asked[0].measure), build_task(registry, first.task)
    made = [loaded(registry, one.subject, one.subject.weights, task) for one in asked]
    given = [_given(analysis, one.subject.cell, *of) for one, of in zip(asked, made, strict=True)]
    said = [_checked(analysis, one) for one in analysis.measure_many(given)]
    seconds = (time.monotonic() - begun) / len(asked)
    pairs = zip(asked, said, strict=True)
    return {one.measure.key: Outcome(findings, seconds) for one, findings in pairs}


def _alone(registry: Registry, asked: Asked) -> Outcome:
    begun = time.monotonic()
    said: Findings | Exception
    try:
        said = measure(registry, asked.subject, asked.measure)
    except Exception as error:  # whatever a plugin raises
        said = error
    return Outcome(said, time.monotonic() - begun)


def measure(registry: Registry, subject: Subjects, measured: Measure) -> Findings:
    """The findings of `measured`.

    With `at: snapshots` they are those of every snapshot, `joined`.

    Raises:
        NotApplicable: the analysis says so, or there is no snapshot to measure.
    """
    analysis = _analysis(registry, measured)
    if measured.at == "end":
        return _measure_weights(registry, analysis, subject, subject.weights)
    steps = sorted(measured.steps)
    if not steps:
        raise NotApplicable("there is no snapshot to measure; list some in training.snapshots")
    missing = [step for step in steps if step not in subject.snapshots]
    if missing:
        raise EmtkitError(f"the store lacks the snapshots {missing} of cell {subject.cell.key}")
    return joined(
        {
            step: _measure_weights(registry, analysis, subject, subject.snapshots[step])
            for step in steps
        }
    )


def load_model(registry: Registry, cell: Cell, task: Task, weights: bytes) -> SequenceModel:
    """The model of a cell with its trained weights."""
    model = build_model(registry, cell, task, empty=True)
    model.load_state_dict(load(weights))
    return model.eval().requires_grad_(False)


def measure_model(
    analysis: Analysis, cell: Cell, task: Task, model: SequenceModel, history: History
) -> Findings:
    """The findings on a model as it is."""
    given = _given(analysis, cell, task, model, history)
    return _checked(analysis, analysis.measure(given))


def loaded(
    registry: Registry, subject: Subjects, weights: bytes, task: Task
) -> tuple[Task, SequenceModel, History]:
    """The task, the network with its weights, and how its training went."""
    losses = unpack(subject.history).arrays.get("loss")
    made = np.zeros(0) if losses is None else losses
    model = load_model(registry, subject.cell, task, weights)
    return task, model, History(made, len(made), subject.tier)


def subject_of(
    purpose: str, cell: Cell, task: Task, model: SequenceModel, history: History
) -> Subject:
    """A network as it is handed to what looks at it; `purpose` names its draws."""
    stream = Stream(None, purpose, dtype=DTYPES[cell.training.dtype])
    return Subject(task, model, cell.architecture.parameters, history, stream)


def _analysis(registry: Registry, measured: Measure) -> Analysis:
    cls = registry.analyses[measured.analysis.name]
    return cls(**build_arguments(cls, measured.analysis.parameters))


def _measure_weights(
    registry: Registry, analysis: Analysis, subject: Subjects, weights: bytes
) -> Findings:
    task = build_task(registry, subject.cell.task)
    return measure_model(analysis, subject.cell, *loaded(registry, subject, weights, task))


def _given(
    analysis: Analysis, cell: Cell, task: Task, model: SequenceModel, history: History
) -> Subject:
    return subject_of(f"analysis/{analysis.name}", cell, task, model, history)


def _checked(analysis: Analysis, found: object) -> Findings:
    if not isinstance(found, Findings):
        raise PluginError(
            f"analysis '{analysis.name}' answered with a {type(found).__name__}; `measure` "
            "returns Findings"
        )
    return found
