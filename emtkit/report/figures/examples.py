"""Which networks an analysis's own drawing shows, and under which titles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emtkit.report.data.drawings import is_done, load_findings
from emtkit.report.data.results import Results, level_text
from emtkit.report.data.sides import short_name
from emtkit.study.views import ITERATION, Figure

if TYPE_CHECKING:
    from emtkit.plugin.analysis import Findings
    from emtkit.store.store import Store
    from emtkit.study.cells import Row


@dataclass(frozen=True)
class Example:
    """One network that an analysis's drawing shows: its key, its labels, its findings."""

    cell: str
    title: str
    findings: Findings


def stored_examples(
    results: Results, rows: Sequence[Row], store: Store, spec: Figure, label: str
) -> list[Example]:
    """What the analysis `label` found of the networks that a drawing shows, of a plan's `rows`."""
    found = []
    keys, grids = results.column("cell"), results.column("grid")
    planned = {(row.cell.key, row.grid): row for row in rows}
    for at, title in chosen_rows(results, spec):
        row = planned[keys[at], grids[at]]
        measure = next((m for m in row.measures if m.label == label), None)
        if measure is not None and is_done(measure, store):
            step = int(results.column(ITERATION)[at]) if spec.over_training else None
            found.append(Example(row.cell.key, title, load_findings(measure, store, step)))
    return found


def chosen_rows(results: Results, spec: Figure) -> list[tuple[int, str]]:
    """The rows that a drawing shows with their titles, by `spec.cells`, per facet combination.

    Raises:
        EmtkitError: `by` names no column.
    """
    choice = spec.cells
    rows = results.shown({**spec.where, **choice.where}, spec.facet)
    rows = [row for row in rows if results.column("status")[row] == "done"]
    found: list[tuple[int, str]] = []
    for levels, members in results.groups(rows, spec.facet).items():
        ranked = members
        if choice.select == "best" and choice.by is not None:
            column = results.column(choice.by)
            known = [row for row in members if column[row] is not None]
            sign = 1 if choice.direction == "min" else -1
            ranked = sorted(known, key=lambda row: sign * column[row])
        wanted = ranked if choice.select == "all" else ranked[: choice.count]
        for row in wanted:
            pair = f"{results.column('architecture')[row]} on {results.column('task')[row]}"
            where = facet_text(spec.facet, levels) or pair
            found.append((row, f"{where}, seed {level_text(results.column('seed')[row])}"))
    return found


def facet_text(facet: Sequence[str], levels: Sequence[Any]) -> str:
    """What a panel shows: `delay = 3, rule = T1`."""
    pairs = zip(facet, levels, strict=True)
    return ", ".join(f"{short_name(axis)} = {level_text(level)}" for axis, level in pairs)
