"""The core kinds of figure, each drawn into one pair of axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray

from emtkit.report.aggregate import Aggregate, aggregate
from emtkit.report.evidence import Evidence, level_text
from emtkit.report.palette import INK, colour, dash, marker
from emtkit.study.quantity import Quantity
from emtkit.study.views import Figure


@dataclass(frozen=True)
class Panel:
    """What one pair of axes shows: the rows of its facet, its `y`, and the hues of the figure."""

    evidence: Evidence
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
    """What a panel could not show, and the cells behind what it does."""

    notes: tuple[str, ...]
    cells: tuple[str, ...]


def draw_line(axes: Axes, panel: Panel) -> Shown:
    """The statistic against x with its interval, a series per hue, every network a point."""
    found: list[Aggregate] = []
    numeric, places = _positions(panel)
    spread = _dodge(panel, places, numeric)
    for order, (hue, rows) in enumerate(_series(panel)):
        points = panel.evidence.groups(rows, [str(panel.spec.x)])
        xs, line = [], []
        for (level,), members in sorted(points.items(), key=lambda item: places[item[0][0]]):
            one = aggregate(panel.evidence, members, panel.quantity(panel.y), panel.spec.over)
            found.append(one)
            if isinstance(one.value, float):
                xs.append(places[level] + spread[order])
                line.append(one)
        _draw_series(axes, xs, line, order, hue)
    _finish(axes, panel, numeric, places)
    return _shown(panel, found)


def draw_box(axes: Axes, panel: Panel) -> Shown:
    """The networks' values as a box (quartiles, whiskers to 1.5 of their range) and as points."""
    found: list[Aggregate] = []
    _, places = _positions(panel, numeric=False)
    series = list(_series(panel))
    width = 0.8 / len(series)
    for order, (hue, rows) in enumerate(series):
        offset = (order - (len(series) - 1) / 2) * width
        for (level,), members in panel.evidence.groups(rows, [str(panel.spec.x)]).items():
            one = aggregate(panel.evidence, members, panel.quantity(panel.y), panel.spec.over)
            found.append(one)
            if one.sample is not None:
                _draw_one_box(axes, places[level] + offset, one.sample.values, width, order)
        if hue is not None:
            axes.plot([], [], color=colour(order), marker=marker(order), ls="", label=hue)
    _finish(axes, panel, False, places)
    return _shown(panel, found)


def draw_heatmap(axes: Axes, panel: Panel) -> Shown:
    """The statistic of `value` as colour over two axes, each level a row or column."""
    xs, ys, found = _grid(panel)
    numbers = _numbers(found)
    annotate = numbers.size <= 150
    seaborn.heatmap(
        numbers,
        ax=axes,
        mask=np.isnan(numbers),
        cmap="viridis",
        annot=annotate,
        fmt=".3g",
        linewidths=0.5,
        xticklabels=[level_text(x) for x in xs],
        yticklabels=[level_text(y) for y in ys],
        cbar_kws={"label": panel.label(str(panel.spec.value))},
    )
    for r, c in np.argwhere(np.isnan(numbers)):
        axes.text(c + 0.5, r + 0.5, "–", ha="center", va="center", color=INK)
    axes.tick_params(length=0)
    axes.set(xlabel=panel.label(str(panel.spec.x)), ylabel=panel.label(panel.y))
    axes.set_title(panel.title, loc="left")
    return _shown(panel, [one for row in found for one in row])


def draw_phase_diagram(axes: Axes, panel: Panel) -> Shown:
    """Regions over two numeric axes drawn to scale; text values are phases with a legend."""
    xs, ys, found = _grid(panel)
    flat = [one for row in found for one in row]
    if not all(isinstance(level, int | float) for level in (*xs, *ys)):
        return draw_heatmap(axes, panel)
    order_x, order_y = np.argsort(xs), np.argsort(ys)
    log = panel.spec.log or ""
    edges_x = _edges(np.array(xs, float)[order_x], log in ("x", "both"))
    edges_y = _edges(np.array(ys, float)[order_y], log in ("y", "both"))
    phases = list(dict.fromkeys(one.value for one in flat if isinstance(one.value, str)))
    numbers = _numbers(found, phases)[np.ix_(order_y, order_x)]
    if phases:
        colours = [colour(place) for place in range(len(phases))]
        bounds = np.arange(len(phases) + 1) - 0.5
        look: dict[str, Any] = {
            "cmap": ListedColormap(colours),
            "norm": BoundaryNorm(bounds, len(phases)),
        }
        handles = [Patch(color=c, label=str(p)) for c, p in zip(colours, phases, strict=True)]
        axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1))
    else:
        look = {"cmap": "viridis"}
    mesh = axes.pcolormesh(edges_x, edges_y, np.ma.masked_invalid(numbers), **look)
    if not phases:
        axes.figure.colorbar(mesh, ax=axes, label=panel.label(str(panel.spec.value)))
    axes.set_xscale("log" if log in ("x", "both") else "linear")
    axes.set_yscale("log" if log in ("y", "both") else "linear")
    axes.grid(False)
    axes.set(xlabel=panel.label(str(panel.spec.x)), ylabel=panel.label(panel.y))
    axes.set_title(panel.title, loc="left")
    return _shown(panel, flat)


def _series(panel: Panel) -> Iterable[tuple[str | None, list[int]]]:
    if panel.spec.hue is None:
        return [(None, list(panel.rows))]
    groups = panel.evidence.groups(panel.rows, [panel.spec.hue])
    return [(level_text(hue), groups.get((hue,), [])) for hue in panel.hues]


def _positions(panel: Panel, numeric: bool = True) -> tuple[bool, dict[Any, float]]:
    """Where each level of x stands: at its value where all are numbers, else in order."""
    levels = [level for (level,) in panel.evidence.groups(panel.rows, [str(panel.spec.x)])]
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in levels)
    if numeric and numbers:
        return True, {level: float(level) for level in levels}
    ordered = sorted(levels) if numbers else levels
    return False, {level: float(place) for place, level in enumerate(ordered)}


def _dodge(panel: Panel, places: dict[Any, float], numeric: bool) -> list[float]:
    """Sideways shifts that keep the intervals of several series apart on categories."""
    count = max(1, len(panel.hues))
    step = 0.0 if numeric else 0.5 / count
    return [(order - (count - 1) / 2) * step for order in range(count)]


def _draw_series(
    axes: Axes, xs: Sequence[float], line: Sequence[Aggregate], order: int, hue: str | None
) -> None:
    tone = colour(order)
    for x, one in zip(xs, line, strict=True):
        if one.sample is not None and len(one.sample) > 1 and len(set(one.sample.values)) > 2:
            spots = one.sample.values
            axes.plot([x] * len(spots), spots, ls="", marker=".", ms=4, color=tone, alpha=0.35)
        if one.low is not None and one.high is not None and one.n > 1:
            axes.plot([x, x], [one.low, one.high], color=tone, lw=1.6, solid_capstyle="butt")
    values = [float(one.value or 0.0) for one in line]
    look: dict[str, Any] = {
        "color": tone,
        "marker": marker(order),
        "ls": dash(order),
        "ms": 5,
        "lw": 1.4,
    }
    axes.plot(xs, values, label=hue, markeredgecolor="white", **look)


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
    elif log in ("x", "both"):
        axes.set_xscale("log")
    if log in ("y", "both"):
        axes.set_yscale("log")
    stat = "" if panel.spec.stat in ("mean", "share") else f" ({panel.spec.stat})"
    axes.set(xlabel=panel.label(str(panel.spec.x)), ylabel=panel.label(panel.y) + stat)
    axes.set_title(panel.title, loc="left")


def _grid(panel: Panel) -> tuple[list[Any], list[Any], list[list[Aggregate]]]:
    """Levels of x and y, and the aggregate of `value` in each pair of them."""
    evidence, spec = panel.evidence, panel.spec
    xs = [level for (level,) in evidence.groups(panel.rows, [str(spec.x)])]
    ys = [level for (level,) in evidence.groups(panel.rows, [panel.y])]
    groups = evidence.groups(panel.rows, [str(spec.x), panel.y])
    quantity = panel.quantity(str(spec.value))
    return (
        xs,
        ys,
        [
            [aggregate(evidence, groups.get((x, y), []), quantity, spec.over) for x in xs]
            for y in ys
        ],
    )


def _numbers(
    found: Sequence[Sequence[Aggregate]], phases: Sequence[str] = ()
) -> NDArray[np.float64]:
    def number(one: Aggregate) -> float:
        if isinstance(one.value, float):
            return one.value
        return float(phases.index(one.value)) if one.value in phases else np.nan

    return np.array([[number(one) for one in row] for row in found])


def _edges(centres: NDArray[np.float64], log: bool) -> NDArray[np.float64]:
    """Borders half-way between centres, on a log scale between their logarithms."""
    at = np.log(centres) if log else centres
    if len(at) == 1:
        edges = np.array([at[0] - 0.5, at[0] + 0.5])
    else:
        middle = (at[1:] + at[:-1]) / 2
        edges = np.array([2 * at[0] - middle[0], *middle, 2 * at[-1] - middle[-1]])
    return np.exp(edges) if log else edges


def _shown(panel: Panel, found: Sequence[Aggregate]) -> Shown:
    """Dashes of a figure are named below it, with their cause."""
    notes: dict[str, int] = {}
    for one in found:
        if one.value is None and one.total:
            notes[one.cause] = notes.get(one.cause, 0) + 1
    prefix = f"{panel.title}: " if panel.title else ""
    cells = dict.fromkeys(cell for one in found for cell in one.cells)
    return Shown(
        tuple(f"{prefix}{count} of {len(found)} not shown: {why}" for why, count in notes.items()),
        tuple(cells),
    )
