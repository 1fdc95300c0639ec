"""Tables for a terminal."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from emtkit.report.tables import drawn
from emtkit.report.tables.format import Format
from emtkit.text import printable


class Terminal(Format):
    """A table with lines, cut to the width of the terminal that standard output is."""

    def text(self, table: drawn.DrawnTable) -> str:
        """The table as text."""
        # A pipe has no width of its own; a table cut at 80 columns would lose numbers.
        console = Console(width=None if sys.stdout.isatty() else 200)
        with console.capture() as captured:
            console.print(rich_table(table))
        return captured.get()


def rich_table(table: drawn.DrawnTable) -> RichTable:
    """A rich table to print."""

    def shown(text: str, style: str = "") -> Text:
        return Text(printable(text), style=style)

    found = RichTable(title=shown(table.caption or table.name), title_justify="left")
    for axis in table.row_axes:
        found.add_column(shown(axis), no_wrap=True)
    for head in drawn.column_heads(table):
        found.add_column(shown(head), justify="right")
    for row, line in drawn.blanked(table):
        texts = [drawn.cell_text(cell, table) + _superscript(cell.notes) for cell in line]
        styles = ["bold" if cell.bold else "" for cell in line]
        found.add_row(*map(shown, row), *map(shown, texts, styles))
    notes = [f"{_superscript((place,))} {note}" for place, note in enumerate(table.notes, 1)]
    found.caption = shown("\n".join([*table.remarks, *drawn.difference_lines(table), *notes]))
    found.caption_justify = "left"
    return found


def _superscript(notes: Sequence[int]) -> str:
    return ",".join(str(note) for note in notes).translate(
        str.maketrans("0123456789,", "⁰¹²³⁴⁵⁶⁷⁸⁹˒")
    )
