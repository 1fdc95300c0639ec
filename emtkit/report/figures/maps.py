"""Heatmaps and phase diagrams: one value over two axes, each drawn into one pair of axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap, Normalize
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch
from numpy.typing import NDArray

from emtkit.report.data.results import level_text
from emtkit.report.figures.charts import Panel, Shown, label_ticks, shown_of
from emtkit.report.figures.palette import INK, colour
from emtkit.report.inference.aggregate import Aggregate, aggregate
from emtkit.report.tables.numbers import number_text
from emtkit.study.math_text import drawable

_MAP = "viridis"


@dataclass(frozen=True)
class Heatmap:
    """A panel's levels of x and y, and the aggregate of its value at each pair, by row of y."""

    panel: Panel
    xs: tuple[Any, ...]
    ys: tuple[Any, ...]
    found: tuple[tuple[Aggregate, ...], ...]


@dataclass(frozen=True)
class Scale:
    """The colours that all panels of a figure share: a range of numbers, or phases by name."""

    low: float
    high: float
    phases: tuple[str, ...]


def grid_of(panel: Panel) -> Heatmap:
    """The values of one panel."""
    results, spec = panel.results, panel.spec
    x, y = str(spec.x), panel.y
    xs = [level for (level,) in results.groups(panel.rows, [x])]
    ys = [level for (level,) in results.groups(panel.rows, [y])]
    groups = results.groups(panel.rows, [x, y])
    quantity = panel.quantity(str(spec.value))
    found = [
        tuple(aggregate(results, groups.get((a, b), []), quantity, spec.over) for a in xs)
        for b in ys
    ]
    return Heatmap(panel, tuple(xs), tuple(ys), tuple(found))


def scale_of(grids: Sequence[Heatmap]) -> Scale:
    """One scale for all panels, so that equal colours are equal values."""
    values = [one.value for grid in grids for row in grid.found for one in row]
    numbers = [value for value in values if isinstance(value, float)]
    phases = dict.fromkeys(value for value in values if isinstance(value, str))
    return Scale(min(numbers, default=0.0), max(numbers, default=1.0), tuple(phases))


def draw_heatmap(axes: Axes, grid: Heatmap, scale: Scale) -> Shown:
    """The value as colour, each level a row or column; written out where there is room."""
    import seaborn  # takes two seconds to import, which other figures need not pay

    panel = grid.panel
    numbers = _numbers(grid, scale)
    texts = np.array([[_short(one) for one in row] for row in grid.found])
    width = axes.get_window_extent().width * 72 / axes.figure.dpi / len(grid.xs)
    size = min(9.0, width / (0.64 * max(6, *(len(text) for text in texts.flat))))
    seaborn.heatmap(
        numbers,
        ax=axes,
        mask=np.isnan(numbers),
        annot=texts if size >= 5 else None,
        fmt="",
        annot_kws={"size": size},
        linewidths=0.5,
        cbar=False,
        xticklabels=[drawable(level_text(x)) for x in grid.xs],
        yticklabels=[drawable(level_text(y)) for y in grid.ys],
        **_look(scale),
    )
    for r, c in np.argwhere(np.isnan(numbers)):
        axes.text(c + 0.5, r + 0.5, "–", ha="center", va="center", color=INK)
    axes.tick_params(length=0)
    axes.tick_params(axis="y", labelrotation=0)
    axes.tick_params(axis="x", labelrotation=0 if len(grid.xs) <= 8 else 45)
    return _finish(axes, panel, grid)


def draw_phase_diagram(axes: Axes, grid: Heatmap, scale: Scale) -> Shown:
    """Regions over two numeric axes, drawn to scale; over other axes a heatmap."""
    if not all(isinstance(level, int | float) for level in (*grid.xs, *grid.ys)):
        return draw_heatmap(axes, grid, scale)
    log = grid.panel.spec.log or ""
    log_x, log_y = log in ("x", "both"), log in ("y", "both")
    order_x, order_y = np.argsort(grid.xs), np.argsort(grid.ys)
    xs, ys = np.array(grid.xs, float)[order_x], np.array(grid.ys, float)[order_y]
    numbers = np.ma.masked_invalid(_numbers(grid, scale)[np.ix_(order_y, order_x)])
    axes.pcolormesh(
        _edges(xs, log_x), _edges(ys, log_y), numbers, edgecolors="face", lw=0.3, **_look(scale)
    )
    axes.set_xscale("log" if log_x else "linear")
    axes.set_yscale("log" if log_y else "linear")
    label_ticks(axes, "x", xs.tolist(), log_x)
    label_ticks(axes, "y", ys.tolist(), log_y)
    axes.grid(False)
    return _finish(axes, grid.panel, grid)


def draw_scale(canvas: Canvas, axes: Sequence[Axes], scale: Scale, label: str) -> None:
    """The key to the colours, once for all panels: a bar of numbers, or the phases by name."""
    if scale.phases:
        handles = [Patch(color=colour(i), label=phase) for i, phase in enumerate(scale.phases)]
        canvas.legend(handles=handles, loc="outside right upper", title=label)
    else:
        norm = Normalize(scale.low, scale.high)
        bar = canvas.colorbar(ScalarMappable(norm, _MAP), ax=list(axes), label=label)
        bar.outline.set_visible(False)


def _look(scale: Scale) -> dict[str, Any]:
    if not scale.phases:
        return {"cmap": _MAP, "norm": Normalize(scale.low, scale.high)}
    count = len(scale.phases)
    colours = ListedColormap([colour(place) for place in range(count)])
    return {"cmap": colours, "norm": BoundaryNorm(np.arange(count + 1) - 0.5, count)}


def _finish(axes: Axes, panel: Panel, grid: Heatmap) -> Shown:
    axes.set(xlabel=panel.label(str(panel.spec.x)), ylabel=panel.label(panel.y))
    axes.set_title(panel.title, loc="left")
    return shown_of([one for row in grid.found for one in row])


def _short(one: Aggregate) -> str:
    return number_text(one.value) if isinstance(one.value, float) else str(one.value or "–")


def _numbers(grid: Heatmap, scale: Scale) -> NDArray[np.float64]:
    def number(one: Aggregate) -> float:
        if isinstance(one.value, float) and not scale.phases:
            return one.value
        return float(scale.phases.index(one.value)) if isinstance(one.value, str) else np.nan

    return np.array([[number(one) for one in row] for row in grid.found])


def _edges(centres: NDArray[np.float64], log: bool) -> NDArray[np.float64]:
    """Borders half-way between centres, on a log scale between their logarithms."""
    at = np.log(centres) if log else centres
    if len(at) == 1:
        edges = np.array([at[0] - 0.5, at[0] + 0.5])
    else:
        middle = (at[1:] + at[:-1]) / 2
        edges = np.array([2 * at[0] - middle[0], *middle, 2 * at[-1] - middle[-1]])
    return np.exp(edges) if log else edges
