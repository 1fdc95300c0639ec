"""A drawn table written out for a terminal, as CSV, Markdown or HTML; `latex.py` has LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from emtkit.report.data.results import level_text
from emtkit.report.tables.numbers import difference_text
from emtkit.report.tables.table import DrawnTable, TableCell, TableEntry, entry_details
from emtkit.text import csv_cell, printable

if TYPE_CHECKING:
    from rich.table import Table as RichTable

Link = Callable[[Sequence[str]], str]
"""From the keys behind a number to the address that shows those cells; empty for none."""

_CSV_COLUMNS = [
    *("value", "estimate", "low", "high"),
    *("n", "total", "failed", "lost", "not_applicable", "missing", "undefined", "left_out"),
    *("near_best", "bold", "difference", "difference_low", "difference_high", "p", "effect"),
    *("cause", "cells"),
]


def to_csv(table: DrawnTable) -> str:
    """A line per number, with its interval, account, comparison and the cells behind it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(csv_cell, [*table.row_axes, *table.column_axes, *_CSV_COLUMNS]))
    for row, line in zip(table.rows, table.body, strict=True):
        for heading, box in zip(table.headings, line, strict=True):
            levels = [_csv_level(level) for level in (*row, *heading.levels)]
            for entry in box.entries:
                writer.writerow([*levels, *map(csv_cell, (heading.value, *_csv_numbers(entry)))])
    return out.getvalue()


def to_markdown(table: DrawnTable) -> str:
    """A pipe table with footnotes below it."""

    def cell(box: TableCell) -> str:
        text = markdown_text(box_text(box, table))
        text = f"**{text}**" if box.bold else text
        return text + "".join(f"[^{note}]" for note in _labels(table, box.notes))

    heads = [markdown_text(head) for head in (*table.row_axes, *_flat_headings(table))]
    lines = [_pipe(heads), _pipe(["---"] * len(table.row_axes) + ["---:"] * len(table.headings))]
    for row, line in zip(table.rows, table.body, strict=True):
        lines.append(_pipe([*(markdown_text(level_text(x)) for x in row), *map(cell, line)]))
    below = [f"*{markdown_text(remark)}*" for remark in (*table.remarks, *_differences(table))]
    numbers = range(1, len(table.notes) + 1)
    notes = [
        f"[^{label}]: {markdown_text(note)}"
        for label, note in zip(_labels(table, numbers), table.notes, strict=True)
    ]
    parts = [f"**{markdown_text(table.caption or table.name)}**", "\n".join(lines)]
    return "\n\n".join([*parts, *below, *notes]) + "\n"


def to_html(table: DrawnTable, link: Link | None = None) -> str:
    """A table element with its notes; every number carries its account, and its link."""

    def cell(box: TableCell) -> str:
        details = " | ".join(_account(entry) for entry in box.entries)
        text = escape(box.text)
        if link is not None and (target := link(box.entries[0].found.cells)):
            text = f'<a href="{escape(target)}">{text}</a>'
        if box.bold:
            text = f"<strong>{text}</strong>"
        if len(box.entries) == 1 and box.entries[0].interval:
            text += f' <span class="interval">{escape(box.entries[0].interval)}</span>'
        if count := _count(box, table):
            text += f' <span class="count">{escape(count)}</span>'
        marks = ",".join(map(str, box.notes))
        text += f"<sup>{marks}</sup>" if marks else ""
        value = box.entries[0].found.value
        key = "" if value is None else str(value)
        return f'<td data-key="{escape(key)}" title="{escape(details)}">{text}</td>'

    heads = [*table.row_axes, *_flat_headings(table)]
    lines = [
        f'<div class="scroll" role="region" tabindex="0" aria-label="Table {escape(table.name)}">',
        '<table class="data">',
        f"<caption><span>{escape(table.caption or table.name)}</span></caption>",
        "<thead><tr>",
        *(f'<th scope="col">{escape(head)}</th>' for head in heads),
        "</tr></thead><tbody>",
    ]
    for row, line in zip(table.rows, table.body, strict=True):
        left = "".join(f'<th scope="row">{escape(level_text(level))}</th>' for level in row)
        lines.append(f"<tr>{left}{''.join(map(cell, line))}</tr>")
    lines.append("</tbody></table></div>")
    below = "".join(f"<li>{escape(remark)}</li>" for remark in table.remarks)
    notes = "".join(
        f"<li><sup>{place}</sup> {escape(note)}</li>" for place, note in enumerate(table.notes, 1)
    )
    lines.append(f'<ul class="notes">{below}{notes}</ul>')
    if apart := [f"<li>{escape(line)}</li>" for line in _differences(table)]:
        head = f"<summary>{len(apart)} differences to the baseline</summary>"
        lines.append(f'<details class="notes">{head}<ul>{"".join(apart)}</ul></details>')
    return "\n".join(lines) + "\n"


def to_terminal(table: DrawnTable) -> RichTable:
    """A rich table to print."""
    from rich.table import Table as RichTable
    from rich.text import Text

    def shown(text: str, style: str = "") -> Text:
        return Text(printable(text), style=style)

    drawn = RichTable(title=shown(table.caption or table.name), title_justify="left")
    for axis in table.row_axes:
        drawn.add_column(shown(axis), no_wrap=True)
    for head in _flat_headings(table):
        drawn.add_column(shown(head), justify="right")
    for row, line in blanked(table):
        cells = [
            shown(box_text(box, table) + _superscript(box.notes), "bold" if box.bold else "")
            for box in line
        ]
        drawn.add_row(*map(shown, row), *cells)
    notes = [f"{_superscript((place,))} {note}" for place, note in enumerate(table.notes, 1)]
    drawn.caption = shown("\n".join([*_below(table), *notes]))
    drawn.caption_justify = "left"
    return drawn


def markdown_text(text: str) -> str:
    """Text in which Markdown finds no markup, on one line."""
    plain = re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)
    return re.sub(r"\s+", " ", plain)


def box_text(box: TableCell, table: DrawnTable) -> str:
    """The number with interval and, where it is not the usual, the count."""
    interval = box.entries[0].interval if len(box.entries) == 1 else ""
    return " ".join(part for part in (box.text, interval, _count(box, table)) if part)


def blanked(table: DrawnTable) -> Iterator[tuple[list[str], Sequence[TableCell]]]:
    """Rows with leading levels left blank where they repeat those above."""
    above: tuple[Any, ...] = ()
    for row, line in zip(table.rows, table.body, strict=True):
        same = 0
        while above and same < len(row) - 1 and row[same] == above[same]:
            same += 1
        yield ["" if place < same else level_text(x) for place, x in enumerate(row)], line
        above = row


def _below(table: DrawnTable) -> list[str]:
    return [*table.remarks, *_differences(table)]


def _count(box: TableCell, table: DrawnTable) -> str:
    if box.counted:
        return ""
    found = box.entries[0].found
    unusual = found.n != table.usual or found.n != found.total
    return f"{found.n}/{found.total}" if unusual and found.total else ""


def _account(entry: TableEntry) -> str:
    parts = [entry_details(entry)]
    if entry.found.cause:
        parts.append(entry.found.cause)
    if entry.comparison is not None and entry.comparison.difference is not None:
        parts.append(
            f"difference {difference_text(entry.comparison.difference, entry.comparison.p)}"
        )
    return "; ".join(parts)


def _differences(table: DrawnTable) -> Iterator[str]:
    """A line per comparison with the baseline."""
    for row, line in zip(table.rows, table.body, strict=True):
        for heading, box in zip(table.headings, line, strict=True):
            for entry in box.entries:
                if entry.comparison is None:
                    continue
                where = ", ".join(map(level_text, (*row, *heading.levels)))
                found = entry.comparison.difference
                said = entry.comparison.cause or "no difference"
                if found is not None:
                    said = difference_text(found, entry.comparison.p)
                yield f"{where}: {heading.value}: {said}"


def _flat_headings(table: DrawnTable) -> list[str]:
    """One line of column heads; the value is left out where it is always the same."""
    lone = len({heading.value for heading in table.headings}) == 1 and bool(table.column_axes)
    heads = []
    for heading in table.headings:
        levels = [
            f"{axis.rpartition('.')[2]} {level_text(level)}"
            for axis, level in zip(table.column_axes, heading.levels, strict=True)
        ]
        heads.append(", ".join(levels if lone else [*levels, heading.value]))
    return heads


def _labels(table: DrawnTable, notes: Sequence[int]) -> list[str]:
    return [f"{table.name}-{note}" for note in notes]


def _pipe(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _superscript(notes: Sequence[int]) -> str:
    return ",".join(str(note) for note in notes).translate(
        str.maketrans("0123456789,", "⁰¹²³⁴⁵⁶⁷⁸⁹˒")
    )


def _csv_level(level: Any) -> str:
    text = level_text(level)
    return text if isinstance(level, int | float) else str(csv_cell(text))


def _csv_numbers(entry: TableEntry) -> list[Any]:
    found, comparison = entry.found, entry.comparison
    apart = comparison.difference if comparison is not None else None
    differs: list[Any] = ["", "", "", "", ""]
    if comparison is not None and apart is not None:
        bounds = [apart.estimate.value, apart.estimate.low, apart.estimate.high]
        differs = [*bounds, comparison.p, apart.effect]
    counts = [found.n, found.total, found.failed, found.lost, found.not_applicable]
    counts += [found.missing, found.undefined, found.left_out]
    shown: list[Any] = [found.value, found.low, found.high, *counts, found.near_best, entry.bold]
    return [*shown, *differs, found.cause, " ".join(found.cells)]
