"""From a number to the networks behind it, the best first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Literal
from urllib.parse import quote

from emtkit.plugin.statistic import statistic_named
from emtkit.report.data.results import Results
from emtkit.report.data.sides import networks_of
from emtkit.study.quantity import Quantity, Value
from emtkit.study.views import Expect

Link = Callable[[Sequence[str], Quantity | None], str]
"""From the keys behind a number, and the number, to the address that opens those networks; empty
where there is none."""

Better = Mapping[str, Literal["", "lower", "higher"]]
"""By column, which of two values is better whatever the study."""


class Links:
    """Addresses of rows of the list of networks, the best first: `#cells=3,0-2&value=test.loss`.

    Where nobody says what is better, they are in the order of the list.
    """

    def __init__(self, results: Results, better: Better) -> None:
        self._results, self._better = results, better
        keys = list(map(str, results.column("cell")))
        self._first = {key: row for row, key in reversed(list(enumerate(keys)))}
        self._asked: dict[tuple[int, ...], None] = {}

    def __call__(self, cells: Sequence[str], quantity: Quantity | None = None) -> str:
        """The address of these networks; empty for none."""
        keys = (key for cell in cells for key in networks_of(cell))
        rows = sorted({self._first[key] for key in keys if key in self._first})
        shown = [name for name in _columns(quantity) if name in self._results.frame.columns]
        best = ""
        if quantity is not None and shown and len(rows) > 1:
            sign = self._sign(quantity, shown[-1])
            rows.sort(key=lambda row: self._place(row, quantity, shown[-1], sign))
            best = "&best" if sign or quantity.share is not None else ""
        self._asked.setdefault(tuple(rows))
        values = "".join(f"&value={quote(name)}" for name in shown)
        return f"{rows_link(rows)}{values}{best}" if rows else ""

    def first_opened(self) -> list[int]:
        """All rows, first those that the numbers so far open first, then those second, and so on.

        Each network once; those that have an address for themselves, or none, come last.
        """
        several = [rows for rows in self._asked if len(rows) > 1]
        turns = chain.from_iterable(zip_longest(*several))
        alone = (row for rows in self._asked for row in rows)
        every = chain(turns, alone, self._first.values())
        return list(dict.fromkeys(row for row in every if row is not None))

    def _place(
        self, row: int, quantity: Quantity, column: str, sign: int
    ) -> tuple[bool, float | bool]:
        """Where a network stands among others: those without a value are last."""
        value = self._results.column(column)[row]
        if quantity.share is not None:
            return value is None, not quantity.share.counts(value)
        number = isinstance(value, int | float)
        return not number, sign * value if number else 0.0

    def _sign(self, quantity: Quantity, column: str) -> int:
        """1 where less is better, -1 where more is, 0 where nobody says."""
        ends = {"min": 1, "max": -1}
        if statistic_named(quantity.statistic).ranks:
            return ends[quantity.direction]
        if isinstance(quantity, Value) and quantity.better is not None:
            return ends[quantity.better]
        if isinstance(quantity, Expect) and quantity.equals is None:
            return -1 if quantity.above is not None else 1
        return {"lower": 1, "higher": -1, "": 0}[self._better.get(column, "")]


def rows_link(rows: Sequence[int]) -> str:
    """The address of these rows in their order, neighbours as spans: `#cells=7,0-2`."""
    texts = [f"{first}-{last}" if last > first else str(first) for first, last in spans(rows)]
    return f"#cells={','.join(texts)}" if texts else ""


def spans(rows: Sequence[int]) -> list[list[int]]:
    """First and last of rows that follow each other."""
    found: list[list[int]] = []
    for row in rows:
        if found and row == found[-1][1] + 1:
            found[-1][1] = row
        else:
            found.append([row, row])
    return found


def _columns(quantity: Quantity | None) -> list[str]:
    """What is shown of each network; the last column is that by which they are ranked."""
    return list(dict.fromkeys(filter(None, (quantity.column, quantity.by)))) if quantity else []
