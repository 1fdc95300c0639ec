"""A table of a study: rows and columns of aggregates, compared where the study says so."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from emtkit.errors import EmtkitError, did_you_mean
from emtkit.report.data.results import Results, hashable, level_text, where_text
from emtkit.report.inference.aggregate import Aggregate, aggregate, missing_text, statistic_of
from emtkit.report.inference.paired import PairedDifference, corrected, paired_difference
from emtkit.report.tables.drawn import DrawnTable, Heading, Levels, TableCell, TableEntry
from emtkit.report.tables.numbers import interval_text, number_text, share_text
from emtkit.study.quantity import Value
from emtkit.study.views import Table

Place = tuple[int, int, int]


def draw_table(results: Results, spec: Table) -> DrawnTable:
    """The table that `spec` asks for.

    Raises:
        EmtkitError: a column that does not exist, or a baseline that is neither row nor column.
    """
    rows = results.keep(range(len(results)), spec.where)
    row_levels = results.nested(rows, spec.rows)
    column_levels = results.nested(rows, spec.columns)
    groups = results.groups(rows, (*spec.rows, *spec.columns))
    entries: dict[Place, TableEntry] = {}
    for r, left in enumerate(row_levels):
        for c, top in enumerate(column_levels):
            members = groups.get((*left, *top), [])
            for v, value in enumerate(spec.shown):
                found = aggregate(results, members, value, spec.over)
                entries[r, c, v] = TableEntry(
                    found, entry_text(found, value), _interval(found, value)
                )
    entries = _compared(entries, spec, row_levels, column_levels)
    drawn = _laid_out(entries, spec, row_levels, column_levels)
    return replace(drawn, remarks=(*drawn.remarks, *_mixed(results, rows, spec)))


def entry_text(found: Aggregate, value: Value) -> str:
    """The number as the value's `format` writes it; a dash where there is none."""
    if found.value is None:
        return "–"
    if isinstance(found.value, str):
        return found.value
    if value.counts:
        return f"{round(found.value * found.n)}/{found.n}"
    if value.is_share and value.format is None:
        return share_text(found.value)
    number = number_text(found.value, value.format)
    if found.near_best is not None and value.by in (None, value.value):
        # One lucky seed of many is not a finding: the share near the best is added.
        return f"{number} ({share_text(found.near_best)} near)"
    return number


def value_label(value: Value) -> str:
    """How a value is headed: its label, else the column with its statistic."""
    if value.label is not None:
        return value.label
    if value.share is not None:
        return f"share of {value.share.of} = {level_text(value.share.equals)}"
    return str(value.value) if value.stat == "mean" else f"{value.value} ({value.stat})"


def _interval(found: Aggregate, value: Value) -> str:
    if found.estimate is None or found.estimate.n < 2:
        return ""
    if value.is_share and (value.format is None or value.counts):
        return f"[{share_text(found.estimate.low)}, {share_text(found.estimate.high)}]"
    return interval_text(found.estimate, value.format)


def _compared(
    entries: Mapping[Place, TableEntry],
    spec: Table,
    rows: Sequence[Levels],
    columns: Sequence[Levels],
) -> dict[Place, TableEntry]:
    """The entries with their comparisons, corrected over the whole table, and what is bold."""
    if spec.baseline is not None:
        rivals = _baselines(entries, spec, rows, columns)
    else:
        rivals = _rivals(entries, spec, rows, columns)
    family = [(place, _versus(entries, spec, place, other)) for place, other in rivals]
    fixed = corrected([comparison for _, comparison in family])
    found: dict[Place, list[PairedDifference]] = {}
    for (place, _), comparison in zip(family, fixed, strict=True):
        found.setdefault(place, []).append(comparison)
    result = dict(entries)
    for place, comparisons in found.items():
        better = spec.shown[place[2]].better
        wins = better is not None and all(_wins(one, better) for one in comparisons)
        shown = comparisons[0] if spec.baseline is not None else None
        result[place] = replace(entries[place], comparison=shown, bold=wins)
    return result


def _versus(
    entries: Mapping[Place, TableEntry], spec: Table, place: Place, other: Place
) -> PairedDifference:
    statistic = statistic_of(spec.shown[place[2]])
    return paired_difference(entries[place].found, entries[other].found, statistic, statistic)


def _wins(comparison: PairedDifference, better: str) -> bool:
    if comparison.difference is None or not comparison.separated:
        return False
    return (comparison.difference.estimate.value < 0) == (better == "min")


def _baselines(
    entries: Mapping[Place, TableEntry],
    spec: Table,
    rows: Sequence[Levels],
    columns: Sequence[Levels],
) -> list[tuple[Place, Place]]:
    """Every entry that is not a baseline, with its baseline where there is one."""
    axes = (*spec.rows, *spec.columns)
    assert spec.baseline is not None
    for name in spec.baseline:
        if name not in axes:
            raise EmtkitError(
                f"table '{spec.name}': the baseline names '{name}', which is neither in its rows "
                f"nor in its columns; {did_you_mean(name, axes)}"
            )
    wanted = {name: hashable(value) for name, value in spec.baseline.items()}
    places = {(*rows[r], *columns[c], v): (r, c, v) for r, c, v in entries}
    pairs = []
    for r, c, v in entries:
        levels = dict(zip(axes, (*rows[r], *columns[c]), strict=True))
        other = places.get((*(levels | wanted).values(), v))
        if other is not None and other != (r, c, v):
            pairs.append(((r, c, v), other))
    if not pairs and len(places) > len(spec.shown):
        raise EmtkitError(
            f"table '{spec.name}': no row or column has the baseline {where_text(spec.baseline)}"
        )
    return pairs


def _rivals(
    entries: Mapping[Place, TableEntry],
    spec: Table,
    rows: Sequence[Levels],
    columns: Sequence[Levels],
) -> list[tuple[Place, Place]]:
    """The best entry of each group against every other of it, where a value says what is better.

    A group differs in one axis only: the architecture where it is shown, else the last row axis.
    """
    axes = (*spec.rows, *spec.columns)
    axis = axes.index("architecture") if "architecture" in axes else len(spec.rows) - 1
    groups: dict[tuple[Any, ...], list[Place]] = {}
    for r, c, v in entries:
        better = spec.shown[v].better
        if better is not None and isinstance(entries[r, c, v].found.value, float):
            levels = [*rows[r], *columns[c]]
            del levels[axis : axis + 1]
            groups.setdefault((v, *levels), []).append((r, c, v))
    pairs = []
    for members in groups.values():
        least = spec.shown[members[0][2]].better == "min"
        ranked = sorted(members, key=lambda p: _signed(entries[p].found.value, least))
        pairs += [(ranked[0], other) for other in ranked[1:]]
    return pairs


def _signed(value: float | str | None, least: bool) -> float:
    number = float(value or 0.0)
    return number if least else -number


def _laid_out(
    entries: Mapping[Place, TableEntry],
    spec: Table,
    rows: Sequence[Levels],
    columns: Sequence[Levels],
) -> DrawnTable:
    """Entries gathered into cells, with numbered footnotes for what is not there."""
    usual = Counter(entry.found.n for entry in entries.values() if entry.found.n)
    usually = usual.most_common(1)[0][0] if usual else 0
    notes: dict[str, int] = {}
    body = []
    for r in range(len(rows)):
        line = []
        for c in range(len(columns)):
            found = [entries[r, c, v] for v in range(len(spec.shown))]
            cells = [found] if spec.cell else [[entry] for entry in found]
            line += [_cell(cell, spec, notes) for cell in cells]
        body.append(tuple(line))
    labels = [value_label(value) for value in spec.shown]
    heads = [_composed(spec, labels)] if spec.cell else labels
    return DrawnTable(
        spec.name,
        spec.caption or "",
        spec.rows,
        spec.columns,
        tuple(rows),
        tuple(Heading(top, head) for top in columns for head in heads),
        tuple(body),
        usually,
        tuple(notes),
        _remarks(spec, usually, entries),
    )


def _cell(entries: Sequence[TableEntry], spec: Table, notes: dict[str, int]) -> TableCell:
    texts = [entry.text for entry in entries]
    text = _composed(spec, texts) if spec.cell else texts[0]
    written = [entry.found.cause or missing_text(entry.found) for entry in entries]
    numbers = sorted({notes.setdefault(note, len(notes) + 1) for note in written if note})
    counted = bool(spec.cell) and any(value.counts for value in spec.cell)
    return TableCell(tuple(entries), "–" if set(texts) == {"–"} else text, tuple(numbers), counted)


def _composed(spec: Table, texts: Sequence[str]) -> str:
    return spec.template.format(*texts)


def _mixed(results: Results, rows: Sequence[int], spec: Table) -> list[str]:
    """The conditions that differ among the numbers of the table, which cannot be compared then."""
    cells = results.column("cell")
    found: dict[str, dict[str, set[str]]] = {}
    for value in spec.shown:
        name = str(value.column)
        kept = [row for row in results.keep(rows, value.where) if results.has(row, name)]
        for condition in results.conditions.get(name, ()):
            levels = found.setdefault(condition.rpartition(".")[2], {})
            for row in kept if condition in results.frame.columns else ():
                if results.has(row, condition):
                    level = level_text(results.column(condition)[row])
                    levels.setdefault(level, set()).add(cells[row])
    return [
        f"numbers of different {name} are not comparable, and this table mixes "
        + ", ".join(f"{level} ({len(networks)} networks)" for level, networks in levels.items())
        for name, levels in found.items()
        if len(levels) > 1
    ]


def _remarks(spec: Table, usual: int, entries: Mapping[Place, TableEntry]) -> tuple[str, ...]:
    remarks = [f"n = {usual} networks per number unless stated otherwise"] if usual > 1 else []
    if spec.values and any(entry.interval for entry in entries.values()):
        remarks.append("brackets: 95 % bootstrap interval over " + ", ".join(spec.over))
    if spec.baseline is not None:
        remarks.append(
            f"differences from {where_text(spec.baseline)}, paired by {', '.join(spec.over)}; "
            "p by permutation, Holm-corrected over the table; d is Cohen's d of the pairs"
        )
    if any(entry.bold for entry in entries.values()):
        remarks.append("bold: better (the interval of the difference excludes 0, and p < 0.05)")
    return tuple(remarks)
