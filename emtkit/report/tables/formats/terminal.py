"""Tables for a terminal."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from textwrap import wrap

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from emtkit.report.data.results import level_text
from emtkit.report.tables import drawn
from emtkit.report.tables.format import Format
from emtkit.text import printable, spelled

_PIPE, _BOUNDLESS = 200, 100_000
"""Columns of a pipe, which has no width of its own, unless COLUMNS says one; and of no limit."""


class Terminal(Format):
    """A table with lines; where heads or numbers would be cut, a block for each row instead."""

    def text(self, table: drawn.DrawnTable) -> str:
        """The table as text."""
        width = shutil.get_terminal_size((_PIPE, 0)).columns
        console, found = Console(width=width), rich_table(table)
        boundless = Console(width=_BOUNDLESS)
        if Measurement.get(boundless, boundless.options, found).minimum > width:
            return "\n".join(_blocks(table, max(width, 20))).lstrip("\n") + "\n"
        with console.capture() as captured:
            console.print(found)
        return captured.get()


def rich_table(table: drawn.DrawnTable) -> RichTable:
    """A rich table to print, whose columns hold their longest words and numbers whole."""

    def shown(text: str, style: str = "") -> Text:
        return Text(_shown(text), style=style)

    title = None if table.bare else shown(table.caption or table.name)
    found = RichTable(title=title, title_justify="left")
    rows = [
        (row, [_written(cell, table) for cell in line], ["bold" if c.bold else "" for c in line])
        for row, line in drawn.blanked(table)
    ]
    for place, head in enumerate(table.row_heads):
        longest = max(cell_len(_shown(text)) for text in (head, *(row[place] for row, *_ in rows)))
        found.add_column(shown(head), min_width=longest)
    for place, head in enumerate(drawn.column_heads(table)):
        whole = [*_shown(head).split(), *(_shown(texts[place]) for _, texts, _ in rows)]
        found.add_column(shown(head), justify="right", min_width=max(map(cell_len, whole)))
    for row, texts, styles in rows:
        found.add_row(*map(shown, row), *map(shown, texts, styles))
    found.caption = shown("\n".join(_below(table)))
    found.caption_justify = "left"
    return found


def _blocks(table: drawn.DrawnTable, width: int) -> Iterator[str]:
    """Every row as a head of its levels and a line for each number, at most `width` wide."""
    if not table.bare:
        yield from wrap(_shown(table.caption or table.name), width)
    for row, line in zip(table.rows, table.body, strict=True):
        levels = ", ".join(
            f"{axis} {level_text(level)}" for axis, level in zip(table.row_heads, row, strict=True)
        )
        yield ""
        yield from wrap(_shown(levels or "all"), width)
        for head, cell in zip(drawn.column_heads(table), line, strict=True):
            text = _shown(f"{head}: {_written(cell, table)}")
            yield from wrap(text, width, initial_indent="  ", subsequent_indent="    ")
    if below := list(_below(table)):
        yield ""
        for remark in below:
            yield from wrap(_shown(remark), width, subsequent_indent="  ")


def _below(table: drawn.DrawnTable) -> Iterator[str]:
    """Remarks, differences from the baseline, footnotes."""
    yield from table.remarks
    yield from drawn.difference_lines(table)
    for place, note in enumerate(table.notes, 1):
        yield f"{_superscript((place,))} {note}"


def _written(cell: drawn.TableCell, table: drawn.DrawnTable) -> str:
    return drawn.cell_text(cell, table) + _superscript(cell.notes)


def _superscript(notes: Sequence[int]) -> str:
    return ",".join(str(note) for note in notes).translate(
        str.maketrans("0123456789,", "⁰¹²³⁴⁵⁶⁷⁸⁹˒")
    )


def _shown(text: object) -> str:
    """Text as stdout can show it, spelled out before its width is measured."""
    return spelled(printable(text), sys.stdout.encoding)
