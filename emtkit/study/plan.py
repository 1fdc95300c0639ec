"""From a study to the list of its networks and measurements; pure, nothing is trained."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from emtkit.errors import EmtkitError, PluginError, StudyError, did_you_mean
from emtkit.plugin.applies import Measuring
from emtkit.plugin.registry import Registry
from emtkit.study.axes import Axis, axes_of, conditions
from emtkit.study.cells import Cell, Measure, Row
from emtkit.study.checked import Problems
from emtkit.study.document import from_value, read_document
from emtkit.study.exclude import Exclusion
from emtkit.study.file import Study, read_study
from emtkit.study.network_pairs import (
    Chosen,
    NetworkPair,
    choose_for,
    compared_by,
    joined,
    measure_of,
)
from emtkit.study.pairs import Pairs
from emtkit.study.resolve import Setting
from emtkit.study.rows import GridRows, grid_parts, known_parameters
from emtkit.study.scalars import ScalarColumns
from emtkit.study.tuning import Choice, TunedCombination, with_choices
from emtkit.study.view_checks import check_views

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
    """Every row that a study asks for of the plugins in `registry`, or those selected.

    Of a combination that is `tuned`, the rows wait for the setting that results choose.
    """

    study: Study
    registry: Registry
    rows: tuple[Row, ...]
    tuned: tuple[TunedCombination, ...] = ()
    comparisons: tuple[Setting, ...] = ()

    @cached_property
    def tried(self) -> tuple[Row, ...]:
        """The rows of every tuning that these rows need, or waited for."""
        return tuple(row for one in self.tuned for choice in one.choices for row in choice.tried)

    @cached_property
    def known(self) -> tuple[Row, ...]:
        """What can be trained and measured now: all but the rows that wait for a tuning."""
        waiting = {row.cell.key for one in self.tuned for row in one.waiting}
        return (*self.tried, *(row for row in self.rows if row.cell.key not in waiting))

    @cached_property
    def chosen(self) -> Mapping[str, Chosen]:
        """By the label of each comparison, the pairs of networks that it looks at.

        Networks that wait for a tuning are in none.
        """
        waiting = {row.cell.key for one in self.tuned for row in one.waiting}
        rows = [row for row in self.rows if row.cell.key not in waiting]
        return {one.label: choose_for(one, rows, self.registry) for one in self.comparisons}

    @cached_property
    def pairs(self) -> tuple[NetworkPair, ...]:
        """Every two networks that are compared, and what is compared of them."""
        return joined(
            (pair, measure_of(pair, one.label, one.config, self.registry))
            for one in self.comparisons
            for pair in self.chosen[one.label].pairs
        )

    def settled(self, chosen: Sequence[tuple[TunedCombination, Choice]]) -> "Plan":
        """The plan with the rows at the chosen settings."""
        return replace(self, rows=with_choices(self.rows, chosen))

    @cached_property
    def cells(self) -> Mapping[str, Cell]:
        """Each distinct network by its key; two rows may share one."""
        return {row.cell.key: row.cell for row in self.rows}

    def measure(self, cell: str, label: str, other: str | None = None) -> Measure:
        """What is measured of a cell under a label, or compared of it with an `other`.

        Raises:
            EmtkitError: nothing is.
        """
        if other is None:
            what, where = "analysis", f"cell {cell}"
            found = [m for row in self.rows if row.cell.key == cell for m in row.measures]
        else:
            what, where = "comparison", f"cells {cell} and {other}"
            ways = {(p.first.cell.key, p.second.cell.key): p.measures for p in self.pairs}
            found = [*ways.get((other, cell), ()), *ways.get((cell, other), ())]
        known = {one.label: one for one in found}
        if label not in known:
            raise EmtkitError(f"{where} has no {what} '{label}'; {did_you_mean(label, known)}")
        return known[label]

    @cached_property
    def used(self) -> frozenset[tuple[str, str]]:
        """Kind and name of every plugin that these rows use."""
        rows = (*self.rows, *self.tried)
        found = {("task", row.cell.task.name) for row in rows}
        found |= {("architecture", row.cell.architecture.name) for row in rows}
        found |= {("comparison", one.config.name) for one in self.comparisons}
        return frozenset(
            found | {("analysis", m.analysis.name) for row in rows for m in row.measures}
        )

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """What was read besides the study: its plugins, and the weights of its networks."""
        given = {Path(c.weights.file): None for c in self.cells.values() if c.weights is not None}
        return (*self.study.plugins, *given)

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
    def scalars(self) -> ScalarColumns:
        """What every scalar column of these rows means."""
        return self.scalars_with({})

    def scalars_with(self, found: Mapping[str, Iterable[str]]) -> ScalarColumns:
        """The same with names that were found, by prefix, where plugins declare none."""
        entries = (entry for grid in self.study.grids for entry in grid.analyses)
        known = self.registry.analyses
        labelled: dict[str, Measuring] = {e.label: known[e.use] for e in entries if e.use in known}
        compared = self.registry.comparisons
        labelled |= {one.label: compared[one.config.name] for one in self.comparisons}
        return ScalarColumns.of((*self.rows, *self.tried), self.registry, labelled, found)

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
    found: Mapping[str, Iterable[str]] | None = None,
) -> Plan:
    """The plan of a study file, or of a dict that holds one.

    Without a `registry`, every installed plugin is known, and those that the study names.
    `announce` receives which call of plugin code comes next. `found` are scalars by the prefix of
    their columns, as they were found where plugins do not declare them.

    Raises:
        StudyError: all mistakes of the study at once.
        PluginError: a plugin file of the study does not load, or a plugin breaks its contract.
    """
    document = from_value(source) if isinstance(source, Mapping) else read_document(source)
    problems = Problems(document)
    study = read_study(document, problems)
    known = Registry.installed(study.plugins, announce) if registry is None else registry
    plan = make_plan(study, known, problems, announce, found)
    own = {str(path) for path in study.plugins}
    if broken := [one for one in known.broken if one.owner in own]:
        said = [f"the plugin file {one.module} does not load: {one.reason}" for one in broken]
        raise PluginError("\n".join([*said, *map(str, problems.found)]))
    if problems.found:
        raise StudyError(problems.found)
    return plan


def make_plan(
    study: Study,
    registry: Registry,
    problems: Problems,
    announce: Callable[[str], None] | None = None,
    found: Mapping[str, Iterable[str]] | None = None,
) -> Plan:
    """Every row of `study`; whatever is wrong goes to `problems`, and is left out."""
    pairs, exclusion = Pairs(problems, announce), Exclusion()
    rows: list[Row] = []
    tuned: list[TunedCombination] = []
    analyses: list[Setting] = []
    known: dict[str, set[str]] = {}
    for grid in study.grids:
        parts = grid_parts(grid, registry, problems)
        analyses.extend(parts.analyses)
        known = known_parameters(parts, known)
        own = GridRows(grid, parts, pairs, exclusion, problems)
        rows.extend(own.all())
        tuned.extend(own.tuned)
    # A mistake in a view takes no row away; any other may, and then rows cannot be checked.
    complete = all(problem.path.startswith(_VIEWS) for problem in problems.found)
    if complete:
        exclusion.report_unused(problems, known)
        if not rows:
            problems.say(("exclude",), "nothing is left to plan", "loosen the rules of `exclude`")
    compared = compared_by(study.comparisons, rows, registry, problems)
    plan = Plan(study, registry, tuple(rows), tuple(tuned), compared)
    scalars = plan.scalars_with(found or {})
    check_views(study, conditions(rows), scalars, analyses, problems, complete=complete)
    return plan
