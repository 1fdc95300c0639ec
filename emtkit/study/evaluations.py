"""What the networks of one combination are tested on: their own task, and others elsewhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from emtkit.plugin.task import Task
from emtkit.study import settings
from emtkit.study.cells import EvaluationSpec, Stream, evaluation_elsewhere, evaluation_spec
from emtkit.study.checked import Problems
from emtkit.study.exclude import Candidate
from emtkit.study.file import Grid
from emtkit.study.pairs import Pair, Pairs
from emtkit.study.resolve import Setting, with_parameters
from emtkit.study.yaml_nodes import Trail

Evaluated = Callable[[str], tuple[EvaluationSpec, ...]]
"""By the key of a cell, its evaluation and those elsewhere."""


@dataclass(frozen=True)
class Elsewhere:
    """A task that networks of another are tested on; `path` is where its parameters are given."""

    asked: settings.Elsewhere
    task: Setting
    path: Trail


def tasks_elsewhere(task: Setting, grid: Grid, problems: Problems) -> tuple[Elsewhere, ...]:
    """The task of every evaluation elsewhere: this one with other parameters."""
    found: dict[str, Elsewhere] = {}
    for place, asked in enumerate(grid.evaluation.elsewhere):
        path = (*grid.evaluation_path, "elsewhere", place)
        if asked.name in found:
            problems.say((*path, "name"), f"'{asked.name}' appears twice", "rename one of them")
            continue
        path = (*path, "task")
        other = with_parameters(task, asked.task, f"elsewhere '{asked.name}'", path, problems)
        if other is not None:
            found[asked.name] = Elsewhere(asked, other, path)
    return tuple(found.values())


@dataclass(frozen=True)
class Evaluations:
    """The evaluations of the networks of one grid."""

    grid: Grid
    elsewhere: Mapping[str, tuple[Elsewhere, ...]]
    """By the key of a task's setting."""
    pairs: Pairs
    problems: Problems

    def of(self, at: Candidate, pair: Pair, stream: Stream) -> Evaluated:
        """Those that all seeds of one combination share."""
        own = self._own(at, pair, stream)
        others = []
        for one in self.elsewhere[at.task.key]:
            there = self.pairs.pair(one.task, at.architecture)
            if there is not None:
                others.append(self._other(one, pair, there, stream))
        return lambda cell: (own(cell), *(evaluation_elsewhere(cell, one) for one in others))

    def _own(self, at: Candidate, pair: Pair, stream: Stream) -> Callable[[str], EvaluationSpec]:
        task, asked = pair.task, self.grid.evaluation
        if not task.horizons:
            # Without horizons there is one length only: `horizon` and `at` mean nothing.
            asked = asked.model_copy(update={"at": ()})
            return partial(
                evaluation_spec, stream=stream, evaluation=asked, horizon=None, loss_horizon=None
            )
        horizon, longest = asked.horizon or task.evaluation_horizon, task.horizon
        if longest is not None:
            longest = at.regime.training.curriculum.longest(longest)
        return partial(
            evaluation_spec, stream=stream, evaluation=asked, horizon=horizon, loss_horizon=longest
        )

    def _other(self, one: Elsewhere, pair: Pair, there: Pair, stream: Stream) -> EvaluationSpec:
        """An evaluation elsewhere, still without a key."""
        asked, task = self.grid.evaluation, there.task
        if task.channels != pair.task.channels:
            text = (
                f"'{one.asked.name}' has {_counted(task)}; its networks have {_counted(pair.task)}"
            )
            hint = "a network is tested on tasks with as many inputs and outputs as its own"
            self.problems.say(one.path, text, hint)
        horizon = one.asked.horizon or asked.horizon or task.evaluation_horizon
        return EvaluationSpec(
            key="",
            sequences=one.asked.sequences or asked.sequences,
            horizon=horizon if task.horizons else None,
            loss_horizon=task.horizon if task.horizons else None,
            at=(),
            stream=stream,
            name=one.asked.name,
            task=one.task.config,
            reason=there.reason,
        )


def _counted(task: Task) -> str:
    return f"{task.channels.inputs} inputs and {task.channels.outputs} outputs"
