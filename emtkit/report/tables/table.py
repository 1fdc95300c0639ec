"""A table of a study: rows and columns of aggregates, compared where the study says so."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, product
from typing import Any

from emtkit.errors import EmtkitError, did_you_mean
from emtkit.report.data.results import Results, hashable, level_text, on_axes, where_text
from emtkit.report.data.unlike import ALSO, one_setting, unlike
from emtkit.report.inference.aggregate import (
    NOT_INDEPENDENT,
    Aggregate,
    aggregate,
    missing_text,
    states_text,
    statistic_of,
)
from emtkit.report.inference.branches import Branches, two_branches
from emtkit.report.inference.exchanged import PERMUTATIONS, difference_of
from emtkit.report.inference.paired import PairedDifference, corrected
from emtkit.report.inference.scaled import on_scale
from emtkit.report.tables.drawn import BRACKETS, DrawnTable, Heading, Levels, TableCell, TableEntry
from emtkit.report.tables.numbers import interval_text, number_text, plus_minus_text, share_text
from emtkit.study.quantity import Value
from emtkit.study.views import Table

Place = tuple[int, int, int]


def draw_table(results: Results, spec: Table) -> DrawnTable:
    """The table that `spec` asks for.

    Raises:
        EmtkitError: a column that does not exist, or a baseline that is neither row nor column.
    """
    return _Drawing(results, spec).drawn()


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
    if (two := _branches(found, value)) is not None:
        low, high = (number_text(number, value.format) for number in (two.low, two.high))
        return f"{low} ({two.low_count} of {found.n}), {high} ({two.high_count} of {found.n})"
    number = number_text(found.value, value.format)
    if found.near_best is not None and value.by in (None, value.value):
        # One lucky seed of many is not a finding: the share near the best is added.
        # Those that nothing can be near to are told apart from those that are merely far.
        beside = [f"{share_text(found.near_best)} near", states_text(found)]
        return f"{number} ({', '.join(filter(None, beside))})"
    return number


def value_label(value: Value) -> str:
    """How a value is headed: its label, else the column with its statistic."""
    if value.label is not None:
        return value.label
    if value.share is not None:
        return str(value.share)
    if value.of is not None:
        return f"{value.value} (expected best of {value.of})"
    text = str(value.value) if value.stat == "mean" else f"{value.value} ({value.stat})"
    return text if value.scale is None else f"{text}, scaled"


def _interval(found: Aggregate, value: Value) -> str:
    if found.estimate is None or found.estimate.n < 2 or not found.estimate.bounded:
        return ""
    if found.estimate.low == found.estimate.high or _branches(found, value) is not None:
        return ""  # of a constant, or of what no single number describes
    if value.is_share and (value.format is None or value.counts):
        return f"[{share_text(found.estimate.low)}, {share_text(found.estimate.high)}]"
    return interval_text(found.estimate, value.format)


def _plus_minus(found: Aggregate, value: Value) -> str:
    whole = _interval(found, value)
    if (
        not whole
        or found.estimate is None
        or (value.is_share and (value.format is None or value.counts))
    ):
        return whole
    return plus_minus_text(found.estimate, value.format)


def _branches(found: Aggregate, value: Value) -> Branches | None:
    if found.sample is None or value.is_share or not statistic_of(value).centres:
        return None
    if found.estimate is not None and found.estimate.why.startswith(NOT_INDEPENDENT):
        return None
    two = two_branches(found.sample.values)
    if two is None or len({number_text(x, value.format) for x in (two.low, two.high)}) == 1:
        return None  # what is written alike is one number to the reader
    return two


class _Drawing:
    """The entries of one table by row, column and value, and the networks behind them all."""

    def __init__(self, results: Results, spec: Table) -> None:
        self.results, self.spec = results, spec
        self.axes = (*spec.rows, *spec.columns)
        wheres = [{**spec.where, **on_axes(value.where)} for value in spec.shown]
        shown = [results.shown(where, self.axes) for where in wheres]
        self.networks = sorted(set().union(*shown))
        self.rows = results.nested(self.networks, spec.rows)
        self.columns = results.nested(self.networks, spec.columns)
        groups = [results.groups(networks, self.axes) for networks in shown]
        self.entries: dict[Place, TableEntry] = {}
        for r, c, v in product(*map(range, (len(self.rows), len(self.columns), len(spec.shown)))):
            value = spec.shown[v]
            levels = self.levels((r, c, v))
            found = aggregate(results, groups[v].get(levels, []), value, spec.over)
            found = on_scale(results, found, value, dict(zip(self.axes, levels, strict=True)))
            text = entry_text(found, value)
            self.entries[r, c, v] = TableEntry(
                found, text, _interval(found, value), _plus_minus(found, value), quantity=value
            )

    def drawn(self) -> DrawnTable:
        """Entries gathered into cells, with numbered footnotes for what is not there."""
        self._compare()
        self._mark_best()
        spec = self.spec
        usual = Counter(entry.found.n for entry in self.entries.values() if entry.found.n)
        usually = usual.most_common(1)[0][0] if usual else 0
        notes: dict[str, int] = {}
        body = []
        for r in range(len(self.rows)):
            line = []
            for c in range(len(self.columns)):
                found = [self.entries[r, c, v] for v in range(len(spec.shown))]
                shown = list(zip(found, spec.shown, strict=True))
                cells = [shown] if spec.cell else [[one] for one in shown]
                line += [_cell(cell, spec, notes) for cell in cells]
            body.append(tuple(line))
        heads = [(value_label(value), (str(value.column),)) for value in spec.shown]
        if spec.cell:
            labels, columns = zip(*heads, strict=True)
            heads = [(spec.template.format(*labels), tuple(chain(*columns)))]
        return DrawnTable(
            spec.name,
            spec.caption or "",
            spec.rows,
            spec.columns,
            tuple(self.rows),
            tuple(Heading(top, *head) for top in self.columns for head in heads),
            tuple(body),
            usually,
            tuple(notes),
            (*self._remarks(usually), *self._unlike(), *self._mixed()),
        )

    def levels(self, place: Place) -> Levels:
        """The levels of a place on the axes of rows and columns."""
        return (*self.rows[place[0]], *self.columns[place[1]])

    def _compare(self) -> None:
        """Add comparisons, corrected over the whole table, and what is bold."""
        pairs = self._baselines() if self.spec.baseline is not None else self._rivals()
        family = []
        for place, other in pairs:
            value = self.spec.shown[place[2]]
            both = self.entries[place].found, self.entries[other].found
            statistics = (statistic_of(value),) * 2
            family.append(difference_of(self.results, (str(value.column),) * 2, both, statistics))
        found: dict[Place, list[PairedDifference]] = {}
        for (place, _), comparison in zip(pairs, corrected(family), strict=True):
            found.setdefault(place, []).append(comparison)
        for place, comparisons in found.items():
            better = self.spec.shown[place[2]].better
            wins = better is not None and all(_wins(one, better) for one in comparisons)
            shown = comparisons[0] if self.spec.baseline is not None else None
            self.entries[place] = replace(self.entries[place], comparison=shown, bold=wins)

    def _baselines(self) -> list[tuple[Place, Place]]:
        """Every entry that is not a baseline, with its baseline where there is one."""
        spec = self.spec
        assert spec.baseline is not None
        for name in spec.baseline:
            if name not in self.axes:
                raise EmtkitError(
                    f"table '{spec.name}': the baseline names '{name}', which is neither in its "
                    f"rows nor in its columns; {did_you_mean(name, self.axes)}"
                )
        wanted = {name: hashable(value) for name, value in spec.baseline.items()}
        places = {(*self.levels(place), place[2]): place for place in self.entries}
        pairs = []
        for place in self.entries:
            levels = dict(zip(self.axes, self.levels(place), strict=True))
            other = places.get((*(levels | wanted).values(), place[2]))
            if other is not None and other != place:
                pairs.append((place, other))
        if not pairs and len(places) > len(spec.shown):
            raise EmtkitError(
                f"table '{spec.name}': no row or column has the baseline "
                f"{where_text(spec.baseline)}"
            )
        return pairs

    def _rivals(self) -> list[tuple[Place, Place]]:
        """The best entry of each group against every other, where a value says what is better."""
        return [(best, other) for (_, best), *others in self._groups() for _, other in others]

    def _mark_best(self) -> None:
        """Mark the best entry of each group, and its equals, unless all are equal."""
        for members in self._groups():
            best, worst = members[0][0], members[-1][0]
            for signed, place in members if best < worst else ():
                if signed == best:
                    self.entries[place] = replace(self.entries[place], best=True)

    def _groups(self) -> list[list[tuple[float, Place]]]:
        """Entries that stand beside each other, best first, with their numbers (less is better).

        A group differs in one axis only: the architecture where it is shown, else the last row
        axis.
        """
        named = "architecture" in self.axes
        axis = self.axes.index("architecture") if named else len(self.spec.rows) - 1
        groups: dict[tuple[Any, ...], list[tuple[float, Place]]] = {}
        for place, entry in self.entries.items():
            better = self.spec.shown[place[2]].better
            if better is not None and isinstance(entry.found.value, float):
                levels = [*self.levels(place)]
                del levels[axis : axis + 1]
                signed = entry.found.value if better == "min" else -entry.found.value
                groups.setdefault((place[2], *levels), []).append((signed, place))
        return [sorted(members, key=lambda member: member[0]) for members in groups.values()]

    def _unlike(self) -> list[str]:
        """What else differs between the entries, beside what the axes say."""
        values = [str(value.column) for value in self.spec.shown]
        sides = self.results.groups(self.networks, self.axes).values()
        differing = unlike(self.results, list(sides), {*self.axes, *values}, self.spec.over)
        also = [f"{ALSO} {', '.join(differing)}"] if differing else []
        return also + one_setting(self.results, list(sides))

    def _mixed(self) -> list[str]:
        """The conditions that differ among the numbers, which cannot be compared then."""
        results, cells = self.results, self.results.column("cell")
        found: dict[str, dict[str, set[str]]] = {}
        for value in self.spec.shown:
            name = str(value.column)
            kept = results.keep(self.networks, value.where)
            for condition in results.conditions.get(name, ()):
                levels = found.setdefault(condition.rpartition(".")[2], {})
                for row in kept if condition in results.frame.columns else ():
                    if results.has(row, name) and results.has(row, condition):
                        level = level_text(results.column(condition)[row])
                        levels.setdefault(level, set()).add(cells[row])
        return [
            f"numbers of different {name} are not comparable, and this table mixes "
            + ", ".join(f"{level} ({len(networks)} networks)" for level, networks in levels.items())
            for name, levels in found.items()
            if len(levels) > 1
        ]

    def _remarks(self, usual: int) -> list[str]:
        spec, entries = self.spec, self.entries.values()
        what = "pairs of networks" if self.results.of_pairs else "networks"
        remarks = [f"n = {usual} {what} per number unless stated otherwise"] if usual > 1 else []
        if spec.values and any(entry.interval for entry in entries):
            shown = [statistic_of(value).method for value in spec.shown]
            methods = "; ".join(dict.fromkeys(filter(None, shown)))
            remarks.append(f"{BRACKETS}: 95 % interval over {', '.join(spec.over)} ({methods})")
        if any(
            _branches(self.entries[place].found, spec.shown[place[2]]) for place in self.entries
        ):
            remarks.append(
                "where networks fall into two branches, both are shown, by their medians"
            )
        estimates = [e.found.estimate for e in entries if e.interval and e.found.estimate]
        if any(estimate.noise for estimate in estimates):
            remarks.append(f"{BRACKETS} hold the error of the common evaluation set, too")
        found = [entry.found.estimate for entry in entries if entry.found.estimate is not None]
        remarks += dict.fromkeys(estimate.why for estimate in found if estimate.why)
        remarks += [
            f"{value_label(value)}: 0 is {where_text(value.scale.zero)}, 1 is "
            f"{where_text(value.scale.one)}; both ends are taken as they are"
            for value in spec.shown
            if value.scale is not None
        ]
        if spec.baseline is not None and self.results.of_pairs:
            remarks.append(
                f"differences from {where_text(spec.baseline)}; p by {PERMUTATIONS:,} permutations "
                "of the networks, not of the pairs, within each task, Holm-corrected over the "
                "table; d is relative to the standard deviation of the distances"
            )
        elif spec.baseline is not None:
            remarks.append(
                f"differences from {where_text(spec.baseline)}, paired by {', '.join(spec.over)}; "
                "p by permutation of the sides of pairs (of medians: by signs), Holm-corrected "
                "over the table; d is Cohen's d of the pairs"
            )
        if any(entry.bold for entry in entries):
            remarks.append(
                "bold: better (p < 0.05, and the interval of the difference, if any, excludes 0)"
            )
        return remarks


def _wins(comparison: PairedDifference, better: str) -> bool:
    if comparison.difference is None or not comparison.separated:
        return False
    return (comparison.difference.estimate.value < 0) == (better == "min")


def _cell(
    shown: Sequence[tuple[TableEntry, Value]], spec: Table, notes: dict[str, int]
) -> TableCell:
    entries = [entry for entry, _ in shown]
    texts = [entry.text for entry in entries]
    text = spec.template.format(*texts) if spec.cell else texts[0]
    written = [entry.found.cause or missing_text(entry.found) for entry in entries]
    numbers = sorted({notes.setdefault(note, len(notes) + 1) for note in written if note})
    counted = any(value.counts for _, value in shown)
    return TableCell(tuple(entries), "–" if set(texts) == {"–"} else text, tuple(numbers), counted)
