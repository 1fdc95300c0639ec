"""One analysis of one network, at the end of its training or at each of its snapshots."""

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


def measure(registry: Registry, subject: Subjects, measured: Measure) -> Findings:
    """The findings of `measured`.

    With `at: snapshots` they are those of every snapshot, `joined`.

    Raises:
        NotApplicable: the analysis says so, or there is no snapshot to measure.
    """
    cls = registry.analyses[measured.analysis.name]
    analysis = cls(**build_arguments(cls, measured.analysis.parameters))
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


def _measure_weights(
    registry: Registry, analysis: Analysis, subject: Subjects, weights: bytes
) -> Findings:
    losses = unpack(subject.history).arrays.get("loss")
    made = np.zeros(0) if losses is None else losses
    task = build_task(registry, subject.cell.task)
    model = load_model(registry, subject.cell, task, weights)
    return measure_model(
        analysis, subject.cell, task, model, History(made, len(made), subject.tier)
    )


def measure_model(
    analysis: Analysis, cell: Cell, task: Task, model: SequenceModel, history: History
) -> Findings:
    """The findings on a model as it is."""
    dtype = DTYPES[cell.training.dtype]
    stream = Stream(None, f"analysis/{analysis.name}", dtype=dtype)
    found = analysis.measure(Subject(task, model, cell.architecture.parameters, history, stream))
    if not isinstance(found, Findings):
        raise PluginError(
            f"analysis '{analysis.name}' answered with a {type(found).__name__}; `measure` "
            "returns Findings"
        )
    return found
