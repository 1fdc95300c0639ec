"""From a study to the list of its networks and measurements; pure, nothing is trained."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import prod
from pathlib import Path
from typing import Any

from emtkit.errors import PluginError, StudyError
from emtkit.plugin.catalogue import Kind
from emtkit.plugin.registry import Registry
from emtkit.study.axes import Axis, axes_of
from emtkit.study.cells import (
    Cell,
    EvaluationSpec,
    Measure,
    Row,
    cell_key,
    evaluation_spec,
    finding_key,
)
from emtkit.study.checked import Problems
from emtkit.study.document import from_value, read_document
from emtkit.study.entries import Entry
from emtkit.study.exclude import Candidate, Exclusion
from emtkit.study.file import Grid, Study, read_study
from emtkit.study.pairs import Pair, Pairs
from emtkit.study.resolve import Regime, Setting, regimes, settings
from emtkit.study.roles import Role
from emtkit.study.view_checks import check_views

MAX_CELLS = 200_000
_VIEWS = ("tables", "figures", "claims", "question")


@dataclass(frozen=True)
class Absence:
    """Networks or findings that do not apply: `what` is 'cell' or an analysis's label."""

    what: str
    task: str
    architecture: str
    reason: str
    count: int


@dataclass(frozen=True)
class Plan:
    """Every row that a study asks for of the plugins in `registry`, or those selected."""

    study: Study
    registry: Registry
    rows: tuple[Row, ...]

    @cached_property
    def cells(self) -> Mapping[str, Cell]:
        """Each distinct network by its key; two rows may share one."""
        return {row.cell.key: row.cell for row in self.rows}

    @cached_property
    def used(self) -> frozenset[tuple[str, str]]:
        """Kind and name of every plugin that these rows use."""
        found = {("task", row.cell.task.name) for row in self.rows}
        found |= {("architecture", row.cell.architecture.name) for row in self.rows}
        return frozenset(
            found | {("analysis", m.analysis.name) for row in self.rows for m in row.measures}
        )

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """Every axis with the values that it takes in these rows."""
        return axes_of(self.study, self.rows)

    @cached_property
    def conditions(self) -> Mapping[str, tuple[str, ...]]:
        """For each column of a scalar, the columns of the conditions that it was measured under."""
        analyses = {(m.label, m.analysis.name) for row in self.rows for m in row.measures}
        found: dict[str, tuple[str, ...]] = {}
        for label, name in sorted(analyses):
            for condition, scalars in self.registry.analyses[name].conditions.items():
                for column in (f"{label}.{scalar}" for scalar in scalars):
                    found[column] = (*found.get(column, ()), f"{label}.{condition}")
        return found

    @cached_property
    def absences(self) -> tuple[Absence, ...]:
        """What does not apply, with the reason, and how many rows that concerns."""
        counted: Counter[tuple[str, str, str, str]] = Counter()
        for row in self.rows:
            cell, reasons = row.cell.reason, {m.label: m.reason for m in row.measures}
            for what, reason in ({"cell": cell} if cell is not None else reasons).items():
                if reason is not None:
                    counted[what, row.task, row.architecture, reason] += 1
        return tuple(Absence(*what, count) for what, count in counted.items())


def plan_study(
    source: Path | str | Mapping[str, Any],
    registry: Registry | None = None,
    announce: Callable[[str], None] | None = None,
) -> Plan:
    """The plan of a study file, or of a dict that holds one.

    Without a `registry`, every installed plugin is known, and those that the study names.
    `announce` receives which call of plugin code comes next.

    Raises:
        StudyError: all mistakes of the study at once.
        PluginError: a plugin file of the study does not load, or a plugin breaks its contract.
    """
    document = from_value(source) if isinstance(source, Mapping) else read_document(source)
    problems = Problems(document)
    study = read_study(document, problems)
    known = Registry.installed(study.plugins, announce) if registry is None else registry
    plan = make_plan(study, known, problems, announce)
    own = {str(path) for path in study.plugins}
    if broken := [one for one in known.broken if one.owner in own]:
        found = [f"the plugin file {one.module} does not load: {one.reason}" for one in broken]
        raise PluginError("\n".join([*found, *map(str, problems.found)]))
    if problems.found:
        raise StudyError(problems.found)
    return plan


def make_plan(
    study: Study,
    registry: Registry,
    problems: Problems,
    announce: Callable[[str], None] | None = None,
) -> Plan:
    """Every row of `study`; whatever is wrong goes to `problems`, and is left out."""
    pairs, exclusion = Pairs(problems, announce), Exclusion()
    rows: list[Row] = []
    analyses: list[Setting] = []
    known: dict[str, set[str]] = {}
    for grid in study.grids:
        parts = _parts(grid, registry, problems)
        analyses.extend(parts.analyses)
        known = _known(parts, known)
        rows.extend(_rows(grid, parts, pairs, exclusion, problems))
    # A mistake in a view takes no row away; any other may, and then rows cannot be checked.
    complete = all(problem.path.startswith(_VIEWS) for problem in problems.found)
    if complete:
        exclusion.report_unused(problems, known)
        if not rows:
            problems.say(("exclude",), "nothing is left to plan", "loosen the rules of `exclude`")
    plan = Plan(study, registry, tuple(rows))
    check_views(study, plan.rows, analyses, problems, complete=complete)
    return plan


@dataclass(frozen=True)
class _Parts:
    """The resolved settings of one grid."""

    tasks: tuple[Setting, ...]
    architectures: tuple[Setting, ...]
    analyses: tuple[Setting, ...]
    regimes: tuple[Regime, ...]


def _parts(grid: Grid, registry: Registry, problems: Problems) -> _Parts:
    counts = [sum(entry.axes.size for entry in part) for part in (grid.tasks, grid.architectures)]
    counts += [grid.training.size, grid.seeds.count]
    total = prod(counts)
    if max(total, *counts) > MAX_CELLS:
        # Checked before anything is expanded: a short file can ask for billions.
        text = f"the grid '{grid.name}' asks for {max(total, *counts):,} networks"
        problems.say(grid.path, text, f"a grid has at most {MAX_CELLS:,}; ask for fewer")
        return _Parts((), (), (), ())

    def resolved(kind: Kind, entries: tuple[Entry, ...]) -> tuple[Setting, ...]:
        return tuple(s for entry in entries for s in settings(kind, entry, registry, problems))

    return _Parts(
        resolved("task", grid.tasks),
        resolved("architecture", grid.architectures),
        resolved("analysis", grid.analyses),
        regimes(grid.training, (*grid.path, "training"), problems),
    )


def _known(parts: _Parts, before: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The parameters that a rule may name, by family, with those of the grids `before`."""
    families = {"tasks": parts.tasks, "architectures": parts.architectures}
    found = {
        family: {name for setting in settings for name in setting.config.parameters}
        for family, settings in families.items()
    }
    names = {name for regime in parts.regimes for name in regime.columns}
    found["training"] = {name.removeprefix("training.") for name in names}
    return {family: before.get(family, set()) | names for family, names in found.items()}


def _rows(
    grid: Grid, parts: _Parts, pairs: Pairs, exclusion: Exclusion, problems: Problems
) -> list[Row]:
    found: dict[tuple[str, str, str], Row] = {}
    seeds = tuple(grid.seeds.all()) if parts.regimes else ()
    for task in parts.tasks:
        for architecture in parts.architectures:
            for regime in parts.regimes:
                at = Candidate(grid.name, task, architecture, regime)
                kept = exclusion.kept(grid.exclude, at, seeds)
                pair = pairs.pair(task, architecture) if kept else None
                if pair is None:
                    continue
                _check_horizons(pair, regime, task, problems)
                _check_snapshots(pair, regime, parts, problems)
                evaluated = _evaluated(grid, at, pair)
                measures = [_measure(one, at, pair, pairs) for one in parts.analyses]
                for seed in kept:
                    row = _row(at, pair, seed, evaluated, measures, grid.role)
                    # A constructed network is one and the same in every regime of training.
                    found.setdefault((row.task, row.architecture, row.cell.key), row)
    return list(found.values())


def _evaluated(grid: Grid, at: Candidate, pair: Pair) -> Callable[[str], EvaluationSpec]:
    """The evaluation that all seeds of one combination share, by the key of their cell."""
    task, asked = pair.task, grid.evaluation
    if not task.horizons:
        # Without horizons there is one length only: `horizon` and `at` mean nothing.
        asked = asked.model_copy(update={"at": ()})
        return partial(evaluation_spec, evaluation=asked, horizon=None, loss_horizon=None)
    horizon, longest = asked.horizon or task.evaluation_horizon, task.horizon
    if longest is not None:
        longest = at.regime.training.curriculum.longest(longest)
    return partial(evaluation_spec, evaluation=asked, horizon=horizon, loss_horizon=longest)


def _measure(analysis: Setting, at: Candidate, pair: Pair, pairs: Pairs) -> Measure:
    """One analysis of the networks of one combination, still without a key."""
    when = analysis.entry.at
    over_training = when == "snapshots"
    steps = at.regime.training.snapshots if over_training and pair.trains else ()
    reason = pair.reason or pairs.refusal(analysis, at.task, at.architecture)
    if reason is None and over_training and not pair.trains:
        reason = f"{at.architecture.config.name} is constructed; it has no training to measure"
    return Measure("", analysis.label, analysis.config, when, steps, reason)


def _row(
    at: Candidate,
    pair: Pair,
    seed: int,
    evaluated: Callable[[str], EvaluationSpec],
    measures: Sequence[Measure],
    role: Role,
) -> Row:
    task, architecture, training = at.task.config, at.architecture.config, at.regime.training
    key = cell_key(task, architecture, training, seed, pair.trains)
    cell = Cell(key, task, architecture, training, seed, pair.trains, pair.reason)
    found = tuple(
        replace(one, key=finding_key(key, one.analysis, one.at, one.steps)) for one in measures
    )
    labels = at.grid, at.task.label, at.architecture.label
    return Row(*labels, cell, evaluated(key), found, role)


def _check_horizons(pair: Pair, regime: Regime, task: Setting, problems: Problems) -> None:
    curriculum = regime.training.curriculum
    if not curriculum.moves or not pair.trains:
        return
    here = regime.source["curriculum"]
    if not pair.task.horizons:
        text = f"a curriculum lengthens horizons, and the task '{task.config.name}' has none"
        hint = "give this task a grid of its own with `curriculum: none`"
        problems.say(here, text, hint)
    elif pair.task.horizon is not None:
        reason = curriculum.refusal(pair.task.horizon)
        if reason is not None:
            problems.say(here, f"{reason} of the task '{task.config.name}'", "shorten it")


def _check_snapshots(pair: Pair, regime: Regime, parts: _Parts, problems: Problems) -> None:
    if regime.training.snapshots or not pair.trains:
        return
    for analysis in parts.analyses:
        if analysis.entry.at == "snapshots":
            text = f"'{analysis.label}' measures snapshots, and training takes none"
            hint = "write for instance `training: {snapshots: [100, 200]}`"
            problems.say((*analysis.entry.path, "at"), text, hint)
