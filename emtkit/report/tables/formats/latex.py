"""Tables as a LaTeX float that fits its column, or as a bare tabular (booktabs)."""

import re
from collections.abc import Iterator
from itertools import groupby
from unicodedata import lookup

from emtkit.report.data.results import level_text
from emtkit.report.tables.drawn import DrawnTable, TableCell, blanked, cell_text
from emtkit.report.tables.format import Format

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "∞": r"$\infty$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "[": "{[}",  # a bracket after a line break would be read as the break's option
    "ϕ": r"$\phi$",
    "²": "$^2$",
    "°": r"$^\circ$",
}
_GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau"
_GREEK += " upsilon phi chi psi omega Gamma Theta Lambda Xi Pi Sigma Phi Psi Omega"
for _name in _GREEK.split():
    _case = "CAPITAL" if _name[0].isupper() else "SMALL"
    _letter = lookup(f"GREEK {_case} LETTER {_name.replace('ambda', 'amda').upper()}")
    _LATEX[_letter] = rf"$\{_name}$"


_SHRUNK = (
    r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
    "}",
)
_SIDES = re.compile(r" \+([\d.e-]+) \$-\$([\d.e-]+)")
"""The distances to both ends of an interval, written above one another."""
_COLUMN, _LEGIBLE = 75, 0.6
"""Characters of 10 points in a column of `article`, and the least share of that size."""


class Latex(Format):
    """A booktabs table (`\\usepackage{booktabs,graphicx}`); footnotes go below the rule.

    A table wider than its column is printed smaller; where that would be too small to read, the
    first line says so. A bare table is the tabular alone, in its own size.
    """

    suffix = "tex"

    def text(self, table: DrawnTable) -> str:
        """The table as text."""

        def written(cell: TableCell) -> str:
            text = _SIDES.sub(r" $^{+\1}_{-\2}$", _latex(cell_text(cell, table)))
            text = rf"\textbf{{{text}}}" if cell.bold else text
            return text + (rf"$^{{{','.join(map(str, cell.notes))}}}$" if cell.notes else "")

        tabular = [
            rf"\begin{{tabular}}{{{'l' * len(table.row_axes)}{'r' * len(table.headings)}}}",
            r"\toprule",
            *_latex_heads(table),
            r"\midrule",
        ]
        for row, line in blanked(table):
            tabular.append(" & ".join([*map(_latex, row), *map(written, line)]) + r" \\")
        tabular += [r"\bottomrule", r"\end{tabular}"]
        if table.bare:
            return "\n".join(tabular) + "\n"
        notes = [rf"$^{{{place}}}$ {_latex(note)}" for place, note in enumerate(table.notes, 1)]
        below = [*(_latex(remark) for remark in table.remarks), *notes]
        lines = [
            *_too_wide(table),
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(table.caption or table.name)}}}",
            rf"\label{{tab:{re.sub('[^A-Za-z0-9-]', '-', table.name)}}}",
            *(_SHRUNK[0], *tabular, _SHRUNK[1]),
        ]
        if below:
            lines.append(r"\par\smallskip\begin{minipage}{0.95\linewidth}\footnotesize\raggedright")
            lines += ["\\\\\n".join(below), r"\end{minipage}"]
        return "\n".join([*lines, r"\end{table}"]) + "\n"


def _too_wide(table: DrawnTable) -> Iterator[str]:
    """A comment, where the table does not fit a column in letters that can be read."""
    rows = [[*table.row_heads, *(heading.value for heading in table.headings)]]
    rows += [
        [*map(level_text, row), *(cell_text(cell, table) for cell in line)]
        for row, line in zip(table.rows, table.body, strict=True)
    ]
    width = sum(2 + max(map(len, column)) for column in zip(*rows, strict=True))
    share = _COLUMN / width
    if share < _LEGIBLE:
        yield (
            f"% This table is {width} characters wide and a column of article holds about "
            f"{_COLUMN}, so it is"
        )
        yield (
            f"% printed at {share:.0%} of its size; use table* or a landscape page, leave out "
            "intervals"
        )
        yield "% (--no-intervals), or give the study's table fewer columns or shorter labels."


def _latex_heads(table: DrawnTable) -> Iterator[str]:
    """A line per column axis with its levels spanning, and one for the values."""
    start = len(table.row_axes)
    for depth, axis in enumerate(table.column_axes):
        uppers = groupby(heading.levels[: depth + 1] for heading in table.headings)
        spans = [(upper, len(list(group))) for upper, group in uppers]
        cells = [
            rf"\multicolumn{{{n}}}{{c}}{{{_latex(f'{axis} = {level_text(upper[-1])}')}}}"
            for upper, n in spans
        ]
        yield " & ".join([*[""] * start, *cells]) + r" \\"
        edges, at = [], start + 1
        for _, n in spans:
            edges.append(rf"\cmidrule(lr){{{at}-{at + n - 1}}}")
            at += n
        yield " ".join(edges)
    values = [heading.value for heading in table.headings]
    yield " & ".join(map(_latex, [*table.row_heads, *values])) + r" \\"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)
