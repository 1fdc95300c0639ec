"""Figures of a study from stored results alone; the one module that draws.

No figure touches pyplot's global state: each is a `matplotlib.figure.Figure` of its own, styled in
a context, and equal results give equal bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import seaborn
from matplotlib import rcsetup
from matplotlib.figure import Figure as Canvas

from emtkit.errors import EmtkitError, did_you_mean
from emtkit.report.charts import Panel, draw_box, draw_heatmap, draw_line, draw_phase_diagram
from emtkit.report.evidence import Evidence, level_text
from emtkit.report.palette import GRID, INK
from emtkit.study.views import Figure

if TYPE_CHECKING:
    from emtkit.plugin.analysis import Drawing, Findings

FileFormat = Literal["svg", "png", "pdf"]
_KINDS = {
    "line": draw_line,
    "box": draw_box,
    "heatmap": draw_heatmap,
    "phase_diagram": draw_phase_diagram,
}


@dataclass(frozen=True)
class Drawn:
    """A figure with what a reader must know of it: points that are not shown, and why.

    `cells` are the keys of the networks behind it.
    """

    name: str
    title: str
    canvas: Canvas
    notes: tuple[str, ...]
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Specimen:
    """One network that an analysis's drawing shows: its key, its labels, its findings."""

    cell: str
    title: str
    findings: Findings


def draw_figure(evidence: Evidence, spec: Figure) -> Drawn:
    """A figure of a core kind: a panel per combination of facets and per `y`.

    Raises:
        EmtkitError: a column that does not exist, or no row that `where` keeps.
    """
    rows = evidence.keep(range(len(evidence)), spec.where)
    if not rows:
        raise EmtkitError(f"figure '{spec.name}': no cell of the results meets its `where`")
    panels = _panels(evidence, spec, rows)
    across = _across(spec, len(panels))
    down = -(-len(panels) // across)
    with style():
        canvas = Canvas(figsize=_size(spec, across, down), layout="constrained")
        axes = canvas.subplots(down, across, squeeze=False)
        notes: dict[str, None] = {}
        cells: dict[str, None] = {}
        for place, panel in enumerate(panels):
            report = _KINDS[spec.use](axes.flat[place], panel)
            notes |= dict.fromkeys(report.notes)
            cells |= dict.fromkeys(report.cells)
        for spare in axes.flat[len(panels) :]:
            spare.set_axis_off()
        _legend(canvas, spec)
        if spec.title:
            canvas.suptitle(spec.title, x=0.01, ha="left", fontweight="bold")
    return Drawn(spec.name, spec.title or spec.name, canvas, tuple(notes), tuple(cells))


def draw_specimens(spec: Figure, drawing: Drawing, specimens: Sequence[Specimen]) -> Drawn:
    """A figure by an analysis's own drawing, a panel per network.

    Raises:
        EmtkitError: there is no network to show.
    """
    if not specimens:
        raise EmtkitError(f"figure '{spec.name}': no network to show; its cells were not measured")
    across = min(len(specimens), 3)
    down = -(-len(specimens) // across)
    with style():
        canvas = Canvas(figsize=(6.4 if across == 1 else 4.8 * across, 4.2 * down))
        if len(specimens) == 1:
            canvas.set_layout_engine("constrained")
            drawing(specimens[0].findings, canvas)
        else:
            canvas.set_layout_engine("constrained")
            parts = canvas.subfigures(down, across, squeeze=False)
            for part, one in zip(parts.flat, specimens, strict=False):
                part.suptitle(one.title, fontsize="medium")
                drawing(one.findings, part)
        title = spec.title or (specimens[0].title if len(specimens) == 1 else "")
        if title:
            canvas.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return Drawn(
        spec.name, spec.title or spec.name, canvas, (), tuple(one.cell for one in specimens)
    )


def chosen_rows(evidence: Evidence, spec: Figure) -> list[tuple[int, str]]:
    """The rows that a drawing shows with their titles, by `spec.cells`, per facet combination.

    Raises:
        EmtkitError: `by` names no column.
    """
    choice = spec.cells
    rows = evidence.keep(range(len(evidence)), {**spec.where, **choice.where})
    rows = [row for row in rows if evidence.column("status")[row] == "done"]
    found: list[tuple[int, str]] = []
    for levels, members in evidence.groups(rows, spec.facet).items():
        ranked = members
        if choice.select == "best" and choice.by is not None:
            column = evidence.column(choice.by)
            known = [row for row in members if column[row] is not None]
            sign = 1 if choice.direction == "min" else -1
            ranked = sorted(known, key=lambda row: sign * column[row])
        wanted = ranked if choice.select == "all" else ranked[: choice.count]
        for row in wanted:
            found.append((row, _specimen_title(evidence, row, spec.facet, levels)))
    return found


def drawing_of(drawings: Mapping[str, Drawing], use: str) -> Drawing:
    """The drawing that `<analysis label>.<drawing>` names.

    Raises:
        EmtkitError: the analysis has no such drawing.
    """
    name = use.partition(".")[2]
    if name not in drawings:
        raise EmtkitError(f"there is no drawing '{use}'; {did_you_mean(name, drawings)}")
    return drawings[name]


def to_bytes(drawn: Drawn, kind: FileFormat) -> bytes:
    """The figure as a file of this kind; equal results give equal bytes."""
    metadata: dict[str, Any] = {
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
        "png": {"Software": None},
    }[kind]
    out = io.BytesIO()
    with style():
        drawn.canvas.savefig(out, format=kind, metadata=metadata, dpi=200, bbox_inches="tight")
    return out.getvalue()


def save(drawn: Drawn, path: Path) -> None:
    """Write the figure; the kind follows from the suffix, `.svg`, `.png` or `.pdf`.

    Raises:
        EmtkitError: another suffix.
    """
    kinds: dict[str, FileFormat] = {".svg": "svg", ".png": "png", ".pdf": "pdf"}
    if path.suffix not in kinds:
        raise EmtkitError(f"'{path.name}': a figure is written as {', '.join(kinds)}")
    path.write_bytes(to_bytes(drawn, kinds[path.suffix]))


def inline_svg(drawn: Drawn) -> str:
    """The figure as an element of a page: ids of its own, and ink in the page's text colour."""
    with style(text_as_paths=False):
        out = io.StringIO()
        drawn.canvas.savefig(
            out,
            format="svg",
            metadata={"Date": None, "Creator": None},
            transparent=True,
            bbox_inches="tight",
        )
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text.replace(INK, "currentColor").replace(GRID, "var(--grid, #d8dadd)")
    text = re.sub(r'\bid="', f'id="{drawn.name}-', text)
    text = re.sub(r"url\(#", f"url(#{drawn.name}-", text)
    return re.sub(r'href="#', f'href="#{drawn.name}-', text)


@contextmanager
def style(*, text_as_paths: bool = True) -> Iterator[None]:
    """The look of all figures: colour-blind safe, thin lines, deterministic SVG."""
    look = {
        **seaborn.axes_style("ticks"),
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.titlesize": "medium",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": rcsetup.cycler(color=seaborn.color_palette("colorblind").as_hex()),
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
        "font.size": 10.0,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "image.cmap": "viridis",
        "legend.frameon": False,
        "pdf.fonttype": 42,
        "svg.fonttype": "path" if text_as_paths else "none",
        "svg.hashsalt": "emtkit",
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with matplotlib.rc_context(look):
        yield


def _panels(evidence: Evidence, spec: Figure, rows: Sequence[int]) -> list[Panel]:
    """A panel per `y` (down) and combination of facets (across)."""
    facets = evidence.groups(rows, spec.facet)
    ys = spec.y if spec.use in ("line", "box") else (spec.y[0],)
    hues = list(evidence.groups(rows, [spec.hue])) if spec.hue else []
    panels = []
    for y in ys:
        for levels, members in facets.items():
            pairs = zip(spec.facet, levels, strict=True)
            title = ", ".join(f"{_short(axis)} = {level_text(level)}" for axis, level in pairs)
            panels.append(
                Panel(evidence, spec, members, y, title, tuple(level for (level,) in hues))
            )
    return panels


def _across(spec: Figure, count: int) -> int:
    ys = len(spec.y) if spec.use in ("line", "box") else 1
    return min(count // ys, 4) if ys > 1 and count // ys <= 4 else min(count, 3)


def _size(spec: Figure, across: int, down: int) -> tuple[float, float]:
    width = 5.6 if across == 1 else 3.6 * across
    return width + (1.2 if spec.hue else 0), (3.6 if across == 1 else 3.0) * down


def _legend(canvas: Canvas, spec: Figure) -> None:
    """One legend for all panels, beside them."""
    handles: dict[str, Any] = {}
    for axes in canvas.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        title = spec.labels.get(spec.hue, _short(spec.hue)) if spec.hue else None
        canvas.legend(handles.values(), handles.keys(), loc="outside right upper", title=title)


def _specimen_title(
    evidence: Evidence, row: int, facet: Sequence[str], levels: Sequence[Any]
) -> str:
    if facet:
        pairs = zip(facet, levels, strict=True)
        text = ", ".join(f"{_short(axis)} = {level_text(level)}" for axis, level in pairs)
    else:
        text = f"{evidence.column('architecture')[row]} on {evidence.column('task')[row]}"
    return f"{text}, seed {level_text(evidence.column('seed')[row])}"


def _short(axis: str) -> str:
    return axis.partition(".")[2] or axis
