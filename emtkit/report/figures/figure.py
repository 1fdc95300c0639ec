"""Figures of a study, from stored results alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.figure import FigureBase

from emtkit.errors import EmtkitError, NotApplicable
from emtkit.report.data.drawings import drawing_of
from emtkit.report.data.results import Results, is_axis
from emtkit.report.data.sides import short_name
from emtkit.report.data.unlike import ALSO, one_setting, unlike
from emtkit.report.figures.captions import chart_account, drawing_account
from emtkit.report.figures.drawn import Drawn, lay_out, settle, style
from emtkit.report.figures.examples import Example, facet_text
from emtkit.report.figures.panel import Chart, Panel
from emtkit.report.figures.plotted import plot_drawing
from emtkit.report.figures.spots import Spot
from emtkit.report.figures.value_map import Map, draw_scale, scale_of, value_map_of
from emtkit.report.inference.aggregate import Aggregate
from emtkit.study.views import CHARTS, MAPS, Figure

if TYPE_CHECKING:
    from emtkit.plugin.analysis import Draw

NARROW = 4.5
"""Width in inches of a figure for a phone, on which its text keeps its size."""


def draw_figure(
    results: Results,
    spec: Figure,
    curves: Mapping[str, Results] | None = None,
    *,
    narrow: bool = False,
) -> Drawn:
    """A chart or a map: a panel per combination of facets and per `y`.

    `curves` are the results by `y` of learning curves. `narrow`: the panels lie below each other
    without a title, for a phone.

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
    across = 1 if narrow else across
    down = -(-count // across)
    with style():
        width = (6.4 if across == 1 else 3.6 * across) + (1.2 if spec.hue else 0)
        size = (width, (3.6 if across == 1 else 3.0) * down)
        canvas = Canvas(figsize=(NARROW, 3.5 * down) if narrow else size, layout="constrained")
        share: Literal["row", "all", False] = "row" if spec.y[1:] else "all"
        axes = canvas.subplots(
            down, across, squeeze=False, sharey=False if mapped or apart or narrow else share
        )
        used = list(axes.flat[:count])
        for spare in axes.flat[count:]:
            spare.set_axis_off()
        if narrow and not mapped:
            _share_scales(used, panels)
        _title(canvas, None if narrow else spec.title)
        draw = _draw_maps if mapped else _draw_charts
        found = draw(canvas, used, panels, narrow=narrow)
        for place, one in enumerate(used):
            if apart and not narrow:
                one.set_title(one.get_ylabel(), loc="left")
            if (apart and not narrow) or place % across:
                one.set_ylabel("")
            if not apart and not narrow and place + across < count:
                one.set_xlabel("")
        settle(canvas)
    counted = [one.found for one in found if one.found.total]
    causes = Counter(one.cause for one in counted if one.value is None)
    notes = [f"{count} of {len(counted)} not shown: {why}" for why, count in causes.most_common()]
    notes += _remarks(results, spec, rows)
    barred = not mapped and CHARTS.load(spec.use, Chart).has_bars
    bare = [one.estimate.why for one in counted if barred and one.estimate and one.estimate.why]
    notes += [f"{count} without interval: {why}" for why, count in Counter(bare).most_common()]
    cells = dict.fromkeys(cell for one in counted for cell in one.cells)
    what = "pair" if results.of_pairs else "network"
    title, said = spec.title or spec.name, chart_account(spec, counted, what)
    return Drawn(spec.name, title, canvas, tuple(notes), tuple(cells), tuple(found), said)


def draw_examples(
    spec: Figure, draw: Draw, examples: Sequence[Example], *, narrow: bool = False
) -> Drawn:
    """A figure by an analysis's own drawing, a part per network; `narrow` as in `draw_figure`.

    Raises:
        EmtkitError: there is no network to show.
    """
    if not examples:
        raise EmtkitError(f"figure '{spec.name}': no network to show; its cells were not measured")
    across = 1 if narrow else 2 if len(examples) == 4 else min(len(examples), 3)
    down = -(-len(examples) // across)
    with style():
        width = NARROW if narrow else 6.4 if across == 1 else 4.8 * across
        canvas = Canvas(figsize=(width, 4.2 * down), layout="constrained")
        if len(examples) == 1:
            _plot(draw, examples[0], canvas)
        else:
            parts = canvas.subfigures(down, across, squeeze=False)
            for part, one in zip(parts.flat, examples, strict=False):
                part.suptitle(one.title, fontsize="medium")
                _plot(draw, one, part)
        whole = examples[0].title if len(examples) == 1 else None
        _title(canvas, None if narrow else spec.title or whole)
        settle(canvas)
    spots = []
    for place, one in enumerate(examples):
        left, low = place % across / across, 1 - (place // across + 1) / down
        area = (left, low, left + 1 / across, low + 1 / down)
        found = Aggregate(None, n=1, total=1, cells=(one.cell,))
        spots.append(Spot(found, one.title, None, area, canvas.transFigure))
    cells, said = tuple(one.cell for one in examples), drawing_account(spec, examples)
    return Drawn(spec.name, spec.title or spec.name, canvas, (), cells, tuple(spots), said)


def _plot(draw: Draw, example: Example, part: FigureBase) -> None:
    """The drawing of one network, or why there is none."""
    try:
        plot_drawing(drawing_of(draw, example.findings), part)
    except NotApplicable as reason:
        panel = part.subplots()
        panel.set_axis_off()
        panel.text(0.5, 0.5, str(reason), ha="center", va="center", wrap=True)


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


def _share_scales(axes: Sequence[Axes], panels: Sequence[Panel]) -> None:
    """One scale for all panels of the same column."""
    first: dict[str, Axes] = {}
    for one, panel in zip(axes, panels, strict=True):
        if first.setdefault(panel.y, one) is not one:
            one.sharey(first[panel.y])


def _draw_charts(
    canvas: Canvas, axes: Sequence[Axes], panels: Sequence[Panel], *, narrow: bool
) -> list[Spot]:
    """Charts with one legend for all panels, beside them, or above where that is too narrow."""
    spec = panels[0].spec
    chart = CHARTS.load(spec.use, Chart)
    found = [part for pair in zip(axes, panels, strict=True) for part in chart.draw(*pair)]
    handles: dict[str, Any] = {}
    for one in axes:
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles and spec.hue:
        title = spec.labels.get(spec.hue, short_name(spec.hue))
        place: Literal["outside upper center", "outside right upper"]
        place, columns = ("outside upper center", 3) if narrow else ("outside right upper", 1)
        canvas.legend(handles.values(), handles.keys(), loc=place, ncols=columns, title=title)
    return found


def _draw_maps(
    canvas: Canvas, axes: Sequence[Axes], panels: Sequence[Panel], *, narrow: bool
) -> list[Spot]:
    """Maps on one scale of colours."""
    spec = panels[0].spec
    kind = MAPS.load(spec.use, Map)
    maps = [value_map_of(panel) for panel in panels]
    scale = scale_of(maps)
    draw_scale(canvas, axes, scale, panels[0].label(str(spec.value)), narrow=narrow)
    lay_out(canvas)
    return [
        field
        for one, values in zip(axes, maps, strict=True)
        for field in kind.draw(one, values, scale)
    ]
