"""Lines and boxes: values against one axis, each drawn into one pair of axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from emtkit.report.data.results import Results, level_text
from emtkit.report.figures.palette import colour, dash, marker
from emtkit.report.inference.aggregate import Aggregate, aggregate
from emtkit.study.quantity import Quantity
from emtkit.study.views import Figure


@dataclass(frozen=True)
class Panel:
    """What one pair of axes shows: the rows of its facet, its `y`, and the hues of the figure."""

    results: Results
    spec: Figure
    rows: Sequence[int]
    y: str
    title: str
    hues: tuple[Any, ...]

    def quantity(self, column: str) -> Quantity:
        """The statistic that the figure shows of a column."""
        spec = self.spec
        return Quantity(value=column, stat=spec.stat, by=spec.by, direction=spec.direction)

    def label(self, column: str) -> str:
        """The axis label: the study's own (with units), else the column's name."""
        return self.spec.labels.get(column, column)


@dataclass(frozen=True)
class Shown:
    """How many values a panel had to show, the causes of those it could not, and the cells."""

    values: int
    causes: tuple[str, ...]
    cells: tuple[str, ...]


def shown_of(found: Sequence[Aggregate]) -> Shown:
    """What became of the values of a panel."""
    asked = [one for one in found if one.total]
    cells = dict.fromkeys(cell for one in asked for cell in one.cells)
    return Shown(len(asked), tuple(one.cause for one in asked if one.value is None), tuple(cells))


def label_ticks(axes: Axes, which: str, levels: Sequence[float], log: bool) -> None:
    """Plain numbers along an axis: the levels themselves where they are few."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    if log:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    if len(levels) <= 12:
        axis.set_ticks(list(levels), _roomy(levels, log, _need(axes, which, levels)))
        axis.set_ticks([], minor=True)


def draw_line(axes: Axes, panel: Panel) -> Shown:
    """The statistic against x with its interval, a series per hue, every network a point."""
    found: list[Aggregate] = []
    numeric, places = _positions(panel)
    for order, (hue, rows) in enumerate(_series(panel)):
        points = panel.results.groups(rows, [str(panel.spec.x)])
        xs, line = [], []
        for (level,), members in sorted(points.items(), key=lambda item: places[item[0][0]]):
            one = aggregate(panel.results, members, panel.quantity(panel.y), panel.spec.over)
            found.append(one)
            if isinstance(one.value, float):
                xs.append(places[level])
                line.append(one)
        aside = 3.5 * (order - (len(panel.hues) - 1) / 2) if panel.hues else 0.0
        _draw_series(axes, xs, line, order, hue, aside)
        _make_room(axes, xs, line)
    _finish(axes, panel, numeric, places)
    return shown_of(found)


def draw_box(axes: Axes, panel: Panel) -> Shown:
    """The networks' values as a box (quartiles, whiskers to 1.5 of their range) and as points."""
    found: list[Aggregate] = []
    _, places = _positions(panel, numeric=False)
    series = list(_series(panel))
    width = 0.8 / len(series)
    for order, (hue, rows) in enumerate(series):
        offset = (order - (len(series) - 1) / 2) * width
        for (level,), members in panel.results.groups(rows, [str(panel.spec.x)]).items():
            one = aggregate(panel.results, members, panel.quantity(panel.y), panel.spec.over)
            found.append(one)
            if one.sample is not None:
                _draw_one_box(
                    axes,
                    places[level] + offset,
                    one.sample.values[~np.isnan(one.sample.values)],
                    width,
                    order,
                )
        if hue is not None:
            axes.plot([], [], color=colour(order), marker=marker(order), ls="", label=hue)
    _finish(axes, panel, False, places)
    return shown_of(found)


def _need(axes: Axes, which: str, levels: Sequence[float]) -> float:
    """The part of an axis that a label of these needs, roughly: its letters, or its line."""
    box, dpi = axes.get_window_extent(), axes.figure.dpi
    if which == "y":
        return float(0.16 * dpi / box.height)
    letters = max(len(f"{level:g}") for level in levels) + 1
    return float(0.085 * letters * dpi / box.width)


def _roomy(levels: Sequence[float], log: bool, share: float) -> list[str]:
    """The levels as text, empty where it would run into its neighbour; the ends come first.

    `share` is the part of the axis that a label needs.
    """
    at = np.log(levels) if log else np.array(levels, float)
    span = float(np.ptp(at)) or 1.0
    order = sorted(range(len(at)), key=lambda i: (0 < i < len(at) - 1, -i))
    kept: list[int] = []
    for place in order:
        if all(abs(at[place] - at[other]) > share * span for other in kept):
            kept.append(place)
    return [f"{level:g}" if place in kept else "" for place, level in enumerate(levels)]


def _series(panel: Panel) -> Iterable[tuple[str | None, list[int]]]:
    if panel.spec.hue is None:
        return [(None, list(panel.rows))]
    groups = panel.results.groups(panel.rows, [panel.spec.hue])
    return [(level_text(hue), groups.get((hue,), [])) for hue in panel.hues]


def _positions(panel: Panel, numeric: bool = True) -> tuple[bool, dict[Any, float]]:
    """Where each level of x stands: at its value where all are numbers, else in order."""
    levels = [level for (level,) in panel.results.groups(panel.rows, [str(panel.spec.x)])]
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in levels)
    if numeric and numbers:
        return True, {level: float(level) for level in levels}
    ordered = sorted(levels) if numbers else levels
    return False, {level: float(place) for place, level in enumerate(ordered)}


def _draw_series(
    axes: Axes,
    xs: Sequence[float],
    line: Sequence[Aggregate],
    order: int,
    hue: str | None,
    aside: float,
) -> None:
    """A line with its intervals and points, all moved `aside` by so many points of print."""
    shift = ScaledTranslation(aside / 72, 0, axes.figure.dpi_scale_trans)
    look: dict[str, Any] = {"color": colour(order), "transform": axes.transData + shift}
    spots: list[tuple[float, float]] = []
    for x, one in zip(xs, line, strict=True):
        if one.sample is not None and len(set(one.sample.values)) > 2:
            spots += [(x, float(value)) for value in one.sample.values]
        bounds = one.estimate
        if bounds is not None and one.n > 1 and np.isfinite(bounds.high - bounds.low):
            ends = [bounds.low, bounds.high]
            axes.plot([x, x], ends, lw=1.8, solid_capstyle="butt", **look)
    if spots:
        axes.plot(*zip(*spots, strict=True), ls="", marker=".", ms=4, alpha=0.35, **look)
    values = [float(one.value or 0.0) for one in line]
    look |= {"marker": marker(order), "ls": dash(order), "ms": 5, "markeredgecolor": "white"}
    axes.plot(xs, values, label=hue, lw=1.4, **look)


def _make_room(axes: Axes, xs: Sequence[float], line: Sequence[Aggregate]) -> None:
    """Count what is drawn with a shift into the limits of the axes, which overlook it."""
    for x, one in zip(xs, line, strict=True):
        ys = [one.value, *(one.sample.values if one.sample is not None else ())]
        axes.update_datalim([(x, float(y)) for y in ys if y == y])


def _draw_one_box(
    axes: Axes, at: float, values: NDArray[np.float64], width: float, order: int
) -> None:
    tone = colour(order)
    axes.boxplot(
        values,
        positions=[at],
        widths=0.7 * width,
        manage_ticks=False,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": tone, "alpha": 0.3, "edgecolor": tone},
        medianprops={"color": tone, "lw": 2},
        whiskerprops={"color": tone},
        capprops={"color": tone},
    )
    spots = (np.arange(len(values)) * 0.618034 % 1 - 0.5) * 0.5 * width + at
    axes.plot(spots, values, ls="", marker=marker(order), ms=3, color=tone, alpha=0.7)


def _finish(axes: Axes, panel: Panel, numeric: bool, places: dict[Any, float]) -> None:
    log = panel.spec.log
    if not numeric:
        axes.set_xticks(list(places.values()), [level_text(level) for level in places])
        axes.grid(False, axis="x")
        if max(map(len, map(level_text, places)), default=0) * len(places) > 45:
            axes.tick_params(axis="x", labelrotation=30)
    else:
        axes.set_xscale("log" if log in ("x", "both") else "linear")
        label_ticks(axes, "x", sorted(places.values()), log in ("x", "both"))
    if log in ("y", "both"):
        axes.set_yscale("log")
    axes.autoscale_view()
    plain = panel.spec.stat == "mean" or panel.quantity(panel.y).is_share
    stat = "" if plain else f" ({panel.spec.stat})"
    axes.set(xlabel=panel.label(str(panel.spec.x)), ylabel=panel.label(panel.y) + stat)
    axes.set_title(panel.title, loc="left")
