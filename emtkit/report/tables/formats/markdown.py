"""Tables in Markdown."""

import re
from collections.abc import Sequence

from emtkit.report.data.results import level_text
from emtkit.report.tables import drawn
from emtkit.report.tables.format import Format


class Markdown(Format):
    """A pipe table with footnotes below it."""

    suffix = "md"

    def text(self, table: drawn.DrawnTable) -> str:
        """The table as text."""

        def written(cell: drawn.TableCell) -> str:
            text = markdown_text(drawn.cell_text(cell, table))
            text = f"**{text}**" if cell.bold else text
            return text + "".join(f"[^{note}]" for note in _labels(table, cell.notes))

        heads = [markdown_text(head) for head in (*table.row_heads, *drawn.column_heads(table))]
        lines = [
            _pipe(heads),
            _pipe(["---"] * len(table.row_axes) + ["---:"] * len(table.headings)),
        ]
        for row, line in zip(table.rows, table.body, strict=True):
            lines.append(_pipe([*(markdown_text(level_text(x)) for x in row), *map(written, line)]))
        remarks = (*table.remarks, *drawn.difference_lines(table))
        below = [f"*{markdown_text(remark)}*" for remark in remarks]
        numbers = range(1, len(table.notes) + 1)
        notes = [
            f"[^{label}]: {markdown_text(note)}"
            for label, note in zip(_labels(table, numbers), table.notes, strict=True)
        ]
        caption = [] if table.bare else [f"**{markdown_text(table.caption or table.name)}**"]
        return "\n\n".join([*caption, "\n".join(lines), *below, *notes]) + "\n"


def markdown_text(text: str) -> str:
    """Text in which Markdown finds no markup, on one line."""
    plain = re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)
    return re.sub(r"\s+", " ", plain)


def _labels(table: drawn.DrawnTable, notes: Sequence[int]) -> list[str]:
    return [f"{table.name}-{note}" for note in notes]


def _pipe(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
