"""Figures of a study from stored results alone; the one module that draws.

No figure touches pyplot's global state: each is a `matplotlib.figure.Figure` of its own, styled in
a context, and equal results give equal bytes.
"""

from __future__ import annotations

import io
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
from matplotlib import rcsetup
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text

from emtkit.errors import EmtkitError
from emtkit.report.data.results import Results, is_axis
from emtkit.report.data.unlike import ALSO, one_setting, unlike
from emtkit.report.figures.examples import Example, facet_text, short_name
from emtkit.report.figures.palette import COLOURS, GRID, INK
from emtkit.report.figures.panel import Chart, Panel
from emtkit.report.figures.value_map import Map, draw_scale, scale_of, value_map_of
from emtkit.report.inference.aggregate import Aggregate
from emtkit.study.math_text import drawable, math_mistake
from emtkit.study.views import CHARTS, MAPS, Figure

if TYPE_CHECKING:
    from emtkit.plugin.analysis import Drawing

# What a file says of its making is left out, so that equal results give equal bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
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

    def savefig(self, path: Path | str) -> None:
        """Write it, as `save` does."""
        save(self, Path(path))

    def _repr_html_(self) -> str:
        return f"<figure>{inline_svg(self)}</figure>"


def draw_figure(
    results: Results, spec: Figure, curves: Mapping[str, Results] | None = None
) -> Drawn:
    """A chart or a map: a panel per combination of facets and per `y`.

    `curves` are the results by `y` of learning curves.

    Raises:
        EmtkitError: a column that does not exist, or no row that `where` keeps.
    """
    results = curves[spec.y[0]] if curves else results
    rows = results.shown(spec.where, _named(spec))
    if not rows:
        raise EmtkitError(f"figure '{spec.name}': no cell of the results meets its `where`")
    panels = _panels(results, spec, rows, curves or {})
    count, mapped = len(panels), spec.use in MAPS.names
    ys = 1 if mapped else len(spec.y)
    # Panels side by side that show different values have a scale each.
    apart = 1 < ys == count
    in_rows = ys > 1 and not apart and count // ys <= 4
    across = count // ys if in_rows else 2 if count == 4 else min(count, 3)
    down = -(-count // across)
    width = (6.4 if across == 1 else 3.6 * across) + (1.2 if spec.hue else 0)
    with style():
        size = (width, (3.6 if across == 1 else 3.0) * down)
        canvas = Canvas(figsize=size, layout="constrained")
        share: Literal["row", "all", False] = "row" if spec.y[1:] else "all"
        axes = canvas.subplots(
            down, across, squeeze=False, sharey=False if mapped or apart else share
        )
        used = list(axes.flat[:count])
        for spare in axes.flat[count:]:
            spare.set_axis_off()
        _title(canvas, spec.title)
        found = _draw_maps(canvas, used, panels) if mapped else _draw_charts(canvas, used, panels)
        for place, one in enumerate(used):
            if apart:
                one.set_title(one.get_ylabel(), loc="left")
            if apart or place % across:
                one.set_ylabel("")
            if not apart and place + across < count:
                one.set_xlabel("")
        _settle(canvas)
    counted = [one for one in found if one.total]
    causes = Counter(one.cause for one in counted if one.value is None)
    notes = [f"{count} of {len(counted)} not shown: {why}" for why, count in causes.most_common()]
    notes += _remarks(results, spec, rows)
    barred = not mapped and CHARTS.load(spec.use, Chart).has_bars
    bare = [one.estimate.why for one in counted if barred and one.estimate and one.estimate.why]
    notes += [f"{count} without interval: {why}" for why, count in Counter(bare).most_common()]
    cells = dict.fromkeys(cell for one in counted for cell in one.cells)
    return Drawn(spec.name, spec.title or spec.name, canvas, tuple(notes), tuple(cells))


def draw_examples(spec: Figure, drawing: Drawing, examples: Sequence[Example]) -> Drawn:
    """A figure by an analysis's own drawing, a panel per network.

    Raises:
        EmtkitError: there is no network to show.
    """
    if not examples:
        raise EmtkitError(f"figure '{spec.name}': no network to show; its cells were not measured")
    across = 2 if len(examples) == 4 else min(len(examples), 3)
    down = -(-len(examples) // across)
    with style():
        size = (6.4 if across == 1 else 4.8 * across, 4.2 * down)
        canvas = Canvas(figsize=size, layout="constrained")
        if len(examples) == 1:
            drawing(examples[0].findings, canvas)
        else:
            parts = canvas.subfigures(down, across, squeeze=False)
            for part, one in zip(parts.flat, examples, strict=False):
                part.suptitle(one.title, fontsize="medium")
                drawing(one.findings, part)
        _title(canvas, spec.title or (examples[0].title if len(examples) == 1 else None))
        _settle(canvas)
    cells = tuple(one.cell for one in examples)
    return Drawn(spec.name, spec.title or spec.name, canvas, (), cells)


def to_bytes(drawn: Drawn, kind: str) -> bytes:
    """The figure as a file: svg, png or pdf; equal results give equal bytes."""
    out = io.BytesIO()
    with style():
        drawn.canvas.savefig(out, format=kind, metadata=_METADATA[kind], dpi=200)
    return out.getvalue()


def save(drawn: Drawn, path: Path) -> None:
    """Write the figure; the kind follows from the suffix, `.svg`, `.png` or `.pdf`.

    Raises:
        EmtkitError: another suffix.
    """
    kind = path.suffix.removeprefix(".")
    if kind not in _METADATA:
        allowed = ", ".join(f".{one}" for one in _METADATA)
        raise EmtkitError(f"'{path.name}': a figure is written as {allowed}")
    path.write_bytes(to_bytes(drawn, kind))


def inline_svg(drawn: Drawn) -> str:
    """The figure as an element of a page: ids of its own, and ink in the page's text colour."""
    with style(text_as_paths=False):
        out = io.StringIO()
        drawn.canvas.savefig(out, format="svg", metadata=_METADATA["svg"], transparent=True)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text.replace(INK, "currentColor").replace(GRID, "var(--grid, #d8dadd)")
    text = text.replace("stroke: #ffffff", "stroke: var(--card, #ffffff)")
    # Coordinates to a hundredth of a point.
    text = re.sub(
        r'\b(?:d|x|y)="[^"]*"', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), text
    )
    text = re.sub(r'\bid="', f'id="{drawn.name}-', text)
    text = re.sub(r"url\(#", f"url(#{drawn.name}-", text)
    return re.sub(r'href="#', f'href="#{drawn.name}-', text)


@contextmanager
def style(*, text_as_paths: bool = True) -> Iterator[None]:
    """The style of all figures: colour-blind safe, thin lines, deterministic SVG."""
    settings: Any = {
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.titlesize": "medium",
        "axes.linewidth": 0.9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": rcsetup.cycler(color=COLOURS),
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
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # A character that the font lacks is drawn as a box; the page's own SVG has it as text.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield


def _named(spec: Figure) -> list[str]:
    return [spec.x or "", spec.hue or "", *spec.y, *spec.facet]


def _panels(
    results: Results, spec: Figure, rows: Sequence[int], curves: Mapping[str, Results]
) -> list[Panel]:
    """A panel per `y` (down) and combination of facets (across)."""
    ys = spec.y if spec.use in CHARTS.names else spec.y[:1]
    hues = tuple(level for (level,) in results.groups(rows, [spec.hue])) if spec.hue else ()
    less = results.shown({**spec.where, **spec.less}) if spec.less else []
    less_of = results.groups(less, spec.facet)
    lines = [results.groups(results.shown(line.where), spec.facet) for line in spec.lines]
    panels = []
    for y in ys:
        shown = curves.get(y, results)
        drawn = shown.shown(spec.where, _named(spec)) if curves else rows
        for levels, members in shown.groups(drawn, spec.facet).items():
            title = facet_text(spec.facet, levels)
            over = tuple(line.get(levels, []) for line in lines)
            based = less_of.get(levels, [])
            panels.append(Panel(shown, spec, members, y, title, hues, based, over))
    return panels


def _remarks(results: Results, spec: Figure, rows: Sequence[int]) -> list[str]:
    """What else differs between the points, beside what the axes say, and what was not tuned."""
    named = [name for name in (spec.x, spec.hue, *spec.facet, *spec.y) if name]
    axes = [name for name in named if is_axis(name) and name in results.frame.columns]
    sides = list(results.groups(rows, axes).values())
    differing = unlike(results, sides, named, spec.over)
    also = [f"{ALSO} {', '.join(differing)}"] if differing else []
    return also + one_setting(results, sides)


def _title(canvas: Canvas, title: str | None) -> None:
    if title:
        canvas.suptitle(title, x=0.01, ha="left", fontweight="bold")


def _draw_charts(canvas: Canvas, axes: Sequence[Axes], panels: Sequence[Panel]) -> list[Aggregate]:
    """Charts with one legend for all panels, beside them."""
    spec = panels[0].spec
    chart = CHARTS.load(spec.use, Chart)
    found = [part for pair in zip(axes, panels, strict=True) for part in chart.draw(*pair)]
    handles: dict[str, Any] = {}
    for one in axes:
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles and spec.hue:
        title = spec.labels.get(spec.hue, short_name(spec.hue))
        canvas.legend(handles.values(), handles.keys(), loc="outside right upper", title=title)
    return found


def _draw_maps(canvas: Canvas, axes: Sequence[Axes], panels: Sequence[Panel]) -> list[Aggregate]:
    """Maps on one scale of colours."""
    spec = panels[0].spec
    kind = MAPS.load(spec.use, Map)
    maps = [value_map_of(panel) for panel in panels]
    scale = scale_of(maps)
    draw_scale(canvas, axes, scale, panels[0].label(str(spec.value)))
    _lay_out(canvas)
    for one, values in zip(axes, maps, strict=True):
        kind.draw(one, values, scale)
    return [one for values in maps for row in values.found for one in row]


def _settle(canvas: Canvas) -> None:
    """Lay the figure out once, so that every file of it is the same whichever is written first."""
    _lay_out(canvas)
    canvas.set_layout_engine("none")


def _lay_out(canvas: Canvas) -> None:
    """Compute the layout; text that is not valid mathtext (a level, a label) is drawn literally."""
    for text in canvas.findobj(Text):
        assert isinstance(text, Text)
        content = text.get_text()
        # Both: an axis writes the labels of its ticks anew whenever it is drawn.
        text.set_parse_math(math_mistake(content) is None)
        if content != drawable(content):
            text.set_text(drawable(content))
    canvas.draw_without_rendering()
