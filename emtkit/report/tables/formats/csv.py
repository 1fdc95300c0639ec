"""Tables as CSV."""

import csv
import io
from typing import Any

from emtkit.plugin.statistic import Estimate
from emtkit.report.data.results import level_text
from emtkit.report.tables.drawn import DrawnTable, TableEntry
from emtkit.report.tables.format import Format
from emtkit.text import csv_cell

_COUNTS = ("failed", "lost", "not_applicable", "missing", "undefined", "left_out")
_CSV_COLUMNS = [
    *("value", "estimate", "low", "high", "n", "total", *_COUNTS),
    *("near_best", "bold", "difference", "difference_low", "difference_high", "p", "effect"),
    *("cause", "cells"),
]


class Csv(Format):
    """A line per number, with its interval, account, comparison and the cells behind it."""

    suffix = "csv"

    def text(self, table: DrawnTable) -> str:
        """The table as text."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(map(csv_cell, [*table.row_axes, *table.column_axes, *_CSV_COLUMNS]))
        for row, line in zip(table.rows, table.body, strict=True):
            for heading, cell in zip(table.headings, line, strict=True):
                levels = [_csv_level(level) for level in (*row, *heading.levels)]
                for entry in cell.entries:
                    numbers = map(csv_cell, (heading.value, *_csv_numbers(entry)))
                    writer.writerow([*levels, *numbers])
        return out.getvalue()


def _csv_level(level: Any) -> str:
    text = level_text(level)
    return text if isinstance(level, int | float) else str(csv_cell(text))


def _csv_numbers(entry: TableEntry) -> list[Any]:
    found, comparison = entry.found, entry.comparison
    apart = comparison.difference if comparison is not None else None
    differs: list[Any] = ["", "", "", "", ""]
    if comparison is not None and apart is not None:
        differs = [apart.estimate.value, *_ends(apart.estimate), comparison.p, apart.effect]
    bounds = _ends(found.estimate)
    counts = [found.n, found.total, *(found.counts[status] for status in _COUNTS)]
    shown: list[Any] = [found.value, *bounds, *counts, found.near_best, entry.bold]
    return [*shown, *differs, found.cause, " ".join(found.cells)]


def _ends(found: Estimate | None) -> list[float | None]:
    return [found.low, found.high] if found is not None and found.bounded else [None, None]
