"""A drawn table as a record, its texts that every format shares, and its element of a page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any, Literal

from emtkit.report.data.links import Link
from emtkit.report.data.results import level_text
from emtkit.report.data.sides import OTHER, SAME
from emtkit.report.inference.aggregate import Aggregate, missing_text
from emtkit.report.inference.paired import PairedDifference
from emtkit.report.tables.numbers import difference_text, share_text
from emtkit.study.quantity import Quantity

Levels = tuple[Any, ...]
IntervalStyle = Literal["brackets", "plus_minus", "none"]

BEST = "the best of those that it stands beside, by its number alone"
BRACKETS = "brackets"
"""How remarks on intervals begin."""


@dataclass(frozen=True)
class TableEntry:
    """One value of one cell: the number and its interval, as written, and how it compares.

    `plus_minus` is the same interval as distances from the number, `quantity` what it is a number
    of. `best`: no other of its group is better, and not all are equal.
    """

    found: Aggregate
    text: str
    interval: str = ""
    plus_minus: str = ""
    comparison: PairedDifference | None = None
    bold: bool = False
    quantity: Quantity | None = None
    best: bool = False


@dataclass(frozen=True)
class TableCell:
    """One cell of the table; a composed one holds several entries. `notes` count from 1.

    `counted`: the text itself says how many networks of how many, so no count is added.
    """

    entries: tuple[TableEntry, ...]
    text: str
    notes: tuple[int, ...] = ()
    counted: bool = False

    @property
    def bold(self) -> bool:
        """Whether the leading entry is better than those it is compared with, beyond chance."""
        return self.entries[0].bold


@dataclass(frozen=True)
class Heading:
    """A column: its levels on the column axes, the value it shows, and the columns behind it."""

    levels: Levels
    value: str
    columns: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class DrawnTable:
    """A table ready to be written in any format; nothing below it computes.

    `body[r][c]` is in row `rows[r]` under `headings[c]`. `usual` is the number of networks
    behind most entries. `notes` are footnotes; `remarks` hold for the whole table. A `bare` table
    is written without its caption.
    """

    name: str
    caption: str
    row_axes: tuple[str, ...]
    column_axes: tuple[str, ...]
    rows: tuple[Levels, ...]
    headings: tuple[Heading, ...]
    body: tuple[tuple[TableCell, ...], ...]
    usual: int
    notes: tuple[str, ...]
    remarks: tuple[str, ...]
    bare: bool = False

    @property
    def row_heads(self) -> list[str]:
        """The row axes without what they are axes of, `hidden`, where no other is called so."""
        short = [_short(axis) for axis in self.row_axes]
        return [
            name if short.count(name) == 1 else axis
            for name, axis in zip(short, self.row_axes, strict=True)
        ]

    def alone(self) -> "DrawnTable":
        """The same table without caption, remarks, footnotes and lists of differences."""
        body = tuple(tuple(replace(cell, notes=()) for cell in line) for line in self.body)
        return replace(self, body=body, notes=(), remarks=(), bare=True)

    def with_intervals(self, style: IntervalStyle) -> "DrawnTable":
        """The same table with its intervals written another way, or left out."""
        if style == "brackets":
            return self

        def changed(entry: TableEntry) -> TableEntry:
            return replace(entry, interval=entry.plus_minus if style == "plus_minus" else "")

        body = tuple(
            tuple(replace(cell, entries=tuple(map(changed, cell.entries))) for cell in line)
            for line in self.body
        )
        said = [remark for remark in self.remarks if not remark.startswith(BRACKETS)]
        if style == "plus_minus":
            said = [remark.replace(BRACKETS, "±", 1) for remark in self.remarks]
        return replace(self, body=body, remarks=tuple(said))

    def _repr_html_(self) -> str:
        return to_html(self)


def to_html(
    table: DrawnTable, link: Link | None = None, meanings: Mapping[str, str] | None = None
) -> str:
    """A table element with its notes; every number carries its account, and its link.

    `meanings` of columns of the frame explain the headings.
    """

    def written(cell: TableCell) -> str:
        details = " | ".join(_account(entry) for entry in cell.entries)
        text = escape(cell.text)
        first = cell.entries[0]
        if link is not None and (target := link(first.found.cells, first.quantity)):
            text = f'<a href="{escape(target)}">{text}</a>'
        if cell.bold:
            text = f"<strong>{text}</strong>"
        if cell.entries[0].best:
            text += f' <span class="best" title="{BEST}">★</span>'
        if len(cell.entries) == 1 and cell.entries[0].interval:
            text += f' <span class="interval">{escape(cell.entries[0].interval)}</span>'
        if count := count_text(cell, table):
            text += f' <span class="count">{escape(count)}</span>'
        marks = ",".join(map(str, cell.notes))
        text += f"<sup>{marks}</sup>" if marks else ""
        value = cell.entries[0].found.value
        key = "" if value is None else str(value)
        return f'<td data-key="{escape(key)}" title="{escape(details)}">{text}</td>'

    said = [_explained(heading.columns, meanings or {}) for heading in table.headings]
    axes = [
        (head, "" if head == axis else f' title="{escape(axis)}"')
        for head, axis in zip(table.row_heads, table.row_axes, strict=True)
    ]
    heads = [*axes, *zip(column_heads(table), said, strict=True)]
    lines = [
        f'<div class="scroll" role="region" tabindex="0" aria-label="Table {escape(table.name)}">',
        '<table class="data">',
        *([] if table.bare else [_caption(table)]),
        "<thead><tr>",
        *(f'<th scope="col"{title}>{escape(head)}</th>' for head, title in heads),
        "</tr></thead><tbody>",
    ]
    for row, line in zip(table.rows, table.body, strict=True):
        left = "".join(f'<th scope="row">{escape(level_text(level))}</th>' for level in row)
        lines.append(f"<tr>{left}{''.join(map(written, line))}</tr>")
    lines.append("</tbody></table></div>")
    if table.bare:
        return "\n".join(lines) + "\n"
    marked = any(entry.best for line in table.body for cell in line for entry in cell.entries[:1])
    remarks = [*table.remarks, *([f"★: {BEST}"] if marked else [])]
    below = "".join(f"<li>{escape(remark)}</li>" for remark in remarks)
    notes = "".join(
        f"<li><sup>{place}</sup> {escape(note)}</li>" for place, note in enumerate(table.notes, 1)
    )
    lines.append(f'<ul class="notes">{below}{notes}</ul>')
    if apart := [f"<li>{escape(line)}</li>" for line in difference_lines(table)]:
        head = f"<summary>{len(apart)} differences from the baseline</summary>"
        lines.append(f'<details class="notes">{head}<ul>{"".join(apart)}</ul></details>')
    return "\n".join(lines) + "\n"


def _caption(table: DrawnTable) -> str:
    return f"<caption><span>{escape(table.caption or table.name)}</span></caption>"


def _explained(columns: Sequence[str], meanings: Mapping[str, str]) -> str:
    """The attribute that says what columns mean; empty where nobody says it."""
    known = [f"{column}: {meanings[column]}" for column in columns if column in meanings]
    return f' title="{escape("; ".join(known))}"' if known else ""


def cell_text(cell: TableCell, table: DrawnTable) -> str:
    """The number with interval and, where it is not the usual, the count."""
    interval = cell.entries[0].interval if len(cell.entries) == 1 else ""
    return " ".join(part for part in (cell.text, interval, count_text(cell, table)) if part)


def count_text(cell: TableCell, table: DrawnTable) -> str:
    """How many networks of how many, where it is not the usual number; else nothing."""
    if cell.counted:
        return ""
    found = cell.entries[0].found
    if found.n != found.total:
        return f"{found.n}/{found.total}"
    return f"(n = {found.n})" if found.n != table.usual and found.n else ""


def blanked(table: DrawnTable) -> Iterator[tuple[list[str], Sequence[TableCell]]]:
    """Rows with leading levels left blank where they repeat those above."""
    above: tuple[Any, ...] = ()
    for row, line in zip(table.rows, table.body, strict=True):
        same = 0
        while above and same < len(row) - 1 and row[same] == above[same]:
            same += 1
        yield ["" if place < same else level_text(x) for place, x in enumerate(row)], line
        above = row


def _short(axis: str) -> str:
    """What an axis is called at the head of a table."""
    last = axis.rpartition(".")[2]
    return f"{axis.partition('.')[0]} {last}" if axis.startswith((OTHER, SAME)) else last


def column_heads(table: DrawnTable) -> list[str]:
    """One line of column heads; the value is left out where it is always the same."""
    lone = len({heading.value for heading in table.headings}) == 1 and bool(table.column_axes)
    heads = []
    for heading in table.headings:
        levels = [
            f"{_short(axis)} {level_text(level)}"
            for axis, level in zip(table.column_axes, heading.levels, strict=True)
        ]
        heads.append(", ".join(levels if lone else [*levels, heading.value]))
    return heads


def difference_lines(table: DrawnTable) -> Iterator[str]:
    """A line per comparison with the baseline."""
    for row, line in zip(table.rows, () if table.bare else table.body, strict=not table.bare):
        for heading, cell in zip(table.headings, line, strict=True):
            for entry in cell.entries:
                if entry.comparison is None:
                    continue
                where = ", ".join(map(level_text, (*row, *heading.levels)))
                found = entry.comparison.difference
                said = entry.comparison.cause or "no difference"
                if found is not None:
                    said = difference_text(found, entry.comparison.p)
                yield f"{where}: {heading.value}: {said}"


def _account(entry: TableEntry) -> str:
    """All that is known of one number: interval, counts, the cause of a dash, the difference."""
    found, comparison = entry.found, entry.comparison
    parts = [f"95 % interval {entry.interval}"] if entry.interval else []
    parts.append(f"n = {found.n} of {found.total}")
    if found.near_best is not None:
        parts.append(f"{share_text(found.near_best)} of networks near it")
    parts += [missing_text(found), found.cause]
    if comparison is not None and comparison.difference is not None:
        parts.append(f"difference {difference_text(comparison.difference, comparison.p)}")
    return "; ".join(filter(None, parts))
