"""Two sides of results against each other: architectures, studies or stores, paired by seed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from emtkit.errors import EmtkitError, did_you_mean
from emtkit.report.data.results import Results
from emtkit.report.data.unlike import ALSO, unlike
from emtkit.report.inference.aggregate import Aggregate
from emtkit.report.tables.drawn import DrawnTable, Heading, TableCell, TableEntry
from emtkit.report.tables.numbers import interval_text, number_text, p_text
from emtkit.report.tables.table import draw_table, value_label
from emtkit.study.quantity import Stat, check_ranking
from emtkit.study.views import Table


@dataclass(frozen=True)
class Sides:
    """Results in which the column `axis` tells the two sides `first` and `second` apart."""

    results: Results
    axis: str
    first: str
    second: str

    @property
    def names(self) -> tuple[str, str]:
        """Both, in their order."""
        return self.first, self.second

    def rows(self, results: Results) -> tuple[list[int], list[int]]:
        """The rows of either side, here or in a part; its controls where it has no others."""

        def of(side: str) -> list[int]:
            where = {self.axis: side}
            return results.shown(where) or results.keep(range(len(results)), where)

        return of(self.first), of(self.second)


def joined(axis: str, first: tuple[str, Results], second: tuple[str, Results]) -> Sides:
    """Two pieces of evidence as one; equal networks of both stay apart, as `name:key`."""
    sides = (first, second)
    frames = [_named(one.frame, name).assign(**{axis: name}) for name, one in sides]
    reasons = [_named(one.reasons, name) for name, one in sides if len(one.reasons)]
    why = pd.concat(reasons, ignore_index=True) if reasons else None
    whole = pd.concat(frames, ignore_index=True)
    conditions = {**second[1].conditions, **first[1].conditions}
    return Sides(Results(whole, why, conditions), axis, first[0], second[0])


def contrast(
    sides: Sides, values: Sequence[str] = (), stat: Stat = "mean", of: int | None = None
) -> DrawnTable:
    """Each value on both sides where both have networks, and first minus second, paired by seed.

    A row per combination of everything that varies within a side. `values` are columns of the
    frame (default: every `test.*` that both have). What else differs between the sides, though
    it is the same within each, is said below the table: it may be the cause.

    Raises:
        EmtkitError: a side that has no network, a column that does not exist, no combination that
            both sides have, or an `of` that `stat` does not read, or needs.
    """
    results, axis = sides.results, sides.axis
    try:
        check_ranking(None, of, stat)
    except ValueError as error:
        raise EmtkitError(str(error)) from None
    if sides.first == sides.second:
        raise EmtkitError(f"both sides are {sides.first}; name two that differ")
    names = list(dict.fromkeys(str(name) for name in results.column(axis)))
    first, second = rows = sides.rows(results)
    for name, found in zip(sides.names, rows, strict=True):
        if not found:
            raise EmtkitError(f"there is no {axis} '{name}'; {did_you_mean(name, names)}")
    varying = [name for one in rows for name in results.distinguishing(one, aside=["seed", axis])]
    shared = list(dict.fromkeys(["task", *varying]))
    groups = [results.groups(one, shared).keys() for one in rows]
    both = groups[0] & groups[1]
    if not both:
        raise EmtkitError(
            f"no combination of {', '.join(shared)} has networks of both {sides.first} and "
            f"{sides.second}; choose comparable parts with --only"
        )
    kept = [row for row in (*first, *second) if results.levels(row, shared) in both]
    chosen = results.frame.iloc[sorted(kept)].reset_index(drop=True)
    part = Results(chosen, results.reasons, results.conditions)
    whole = range(len(part))
    shown = [name for name in shared if name == "task" or len(part.groups(whole, [name])) > 1]
    columns = list(values) or _metrics(part, axis)
    spec = Table.model_validate(
        {
            "name": "compare",
            "caption": f"{sides.first} against {sides.second}",
            "rows": shown,
            "values": [{"value": column, "stat": stat, "of": of} for column in columns],
            "baseline": {axis: sides.second},
            "columns": axis,
        }
    )
    drawn = _side_by_side(draw_table(part, spec), spec, sides)
    remarks = [
        f"{alone} combinations have networks of {name} only, and are left out"
        for name, own in zip(sides.names, groups, strict=True)
        if (alone := len(own) - len(both))
    ]
    if differing := unlike(part, sides.rows(part), {*shared, axis}):
        remarks.append(f"the sides also differ in {', '.join(differing)}")
    # Two studies may share networks; in two stores they are the same by intent.
    if axis == "study" and (common := len(set.intersection(*_keys(part, sides)))):
        remarks.append(f"{common} networks are the same on both sides (equal keys)")
    # Of the sides, not of all that the table shows.
    own = [remark for remark in drawn.remarks if not remark.startswith(ALSO)]
    return replace(drawn, remarks=(*own, *remarks))


def _keys(results: Results, sides: Sides) -> list[set[str]]:
    """The keys of the networks of both sides, as each side had them."""
    keys = [str(key).rpartition(":")[2] for key in results.column("cell")]
    return [{keys[row] for row in rows} for rows in sides.rows(results)]


def _side_by_side(drawn: DrawnTable, spec: Table, sides: Sides) -> DrawnTable:
    """A row per combination and value; beside both sides their difference, p and effect size."""
    labels = [value_label(value) for value in spec.shown]
    rows, body = [], []
    for levels, line in zip(drawn.rows, drawn.body, strict=True):
        cells = {head: cell for head, cell in zip(drawn.headings, line, strict=True)}
        for label in labels:
            one, two = (cells[Heading((side,), label)] for side in sides.names)
            entry = one.entries[0]
            rows.append((*levels, label))
            # The comparison has columns of its own.
            bare = replace(one, entries=(replace(entry, comparison=None),))
            body.append((bare, two, *_compared(entry)))
    names = (*sides.names, f"{sides.first} − {sides.second}", "p", "d")
    headings = tuple(Heading((), name) for name in names)
    axes = (*drawn.row_axes, "value")
    return replace(
        drawn, row_axes=axes, column_axes=(), rows=tuple(rows), headings=headings, body=tuple(body)
    )


def _compared(entry: TableEntry) -> tuple[TableCell, TableCell, TableCell]:
    """Difference, corrected p and Cohen's d; a dash where there is none."""
    comparison = entry.comparison
    if comparison is None or comparison.difference is None:
        cause = comparison.cause if comparison is not None else "no comparison"
        dash = TableCell((TableEntry(Aggregate(None, cause=cause), "–"),), "–")
        return dash, dash, dash
    found, p = comparison.difference, comparison.p
    spread = found.estimate
    account = Aggregate(spread.value, spread, spread.n, spread.n, cells=entry.found.cells)
    text = number_text(spread.value)
    difference = TableEntry(account, text, interval_text(spread), bold=comparison.separated)
    tested = p is not None
    written = p_text(p).removeprefix("p = ").removeprefix("p ")
    chance = TableEntry(replace(account, value=p, estimate=None), written)
    size = number_text(found.effect, ".2f") if tested else "–"
    effect = TableEntry(replace(account, value=found.effect if tested else None), size)
    return (
        TableCell((difference,), text),
        TableCell((chance,), chance.text),
        TableCell((effect,), size),
    )


def _named(frame: pd.DataFrame, side: str) -> pd.DataFrame:
    return frame.assign(cell=[f"{side}:{key}" for key in frame["cell"]])


def _metrics(results: Results, axis: str) -> list[str]:
    """Every `test.*` number that occurs on both sides, the loss first; not the flag `finite`."""
    found = []
    for name in map(str, results.frame.columns):
        if not name.startswith("test.") or name == "test.finite":
            continue
        if name.endswith("_error") and name.removesuffix("_error") in results.frame.columns:
            continue
        values = results.column(name)
        numbers = [row for row in range(len(results)) if isinstance(values[row], int | float)]
        if len(results.groups(numbers, [axis])) == 2:
            found.append(name)
    if not found:
        raise EmtkitError("nothing was evaluated on both sides; run the studies, or give --value")
    return sorted(found, key=lambda name: name != "test.loss")
