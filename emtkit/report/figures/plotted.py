"""Drawings of analyses in a figure: by matplotlib."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from emtkit.plugin.drawing import Area, Bars, Drawing, Label, Line, Mark, Matrix, Plot, Points, Rule
from emtkit.report.figures.palette import named

_DASHES = {"solid": "-", "dashed": "--", "dotted": ":"}


def plot_drawing(drawing: Drawing, canvas: FigureBase) -> None:
    """Draw the plots on an empty figure, or a part of one, with one legend and colour bars."""
    count, across = len(drawing.plots), drawing.columns
    grid: Any = canvas.subplots(
        -(-count // across),
        across,
        squeeze=False,
        sharex=drawing.share_x,
        sharey=drawing.share_y,
    )
    used = list(grid.flat[:count])
    for spare in grid.flat[count:]:
        spare.set_axis_off()
    scales: dict[tuple[float, float, str], tuple[Any, list[Axes]]] = {}
    for axes, plot in zip(used, drawing.plots, strict=True):
        for mark in plot.marks:
            shown = _put(mark, axes)
            if isinstance(mark, Matrix) and mark.key:
                scales.setdefault((*mark.ends, mark.key), (shown, []))[1].append(axes)
        _finish(axes, plot)
    for (_, _, key), (image, members) in scales.items():
        canvas.colorbar(image, ax=members, label=key)
    if drawing.share_x or drawing.share_y:
        _outer_labels(grid, drawing)
    handles: dict[str, Any] = {}
    for axes in used:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        canvas.legend(
            handles.values(),
            handles.keys(),
            loc="outside lower center",
            ncols=min(len(handles), 4),
            title=drawing.legend_title or None,
            fontsize="small",
        )


def _outer_labels(grid: Any, drawing: Drawing) -> None:
    """Labels of shared axes along the left and the lowest plots."""
    for axes in grid.flat:
        spec = axes.get_subplotspec()
        if drawing.share_x and not spec.is_last_row():
            axes.set_xlabel("")
        if drawing.share_y and not spec.is_first_col():
            axes.set_ylabel("")


def _finish(axes: Axes, plot: Plot) -> None:
    """Title, labels, scales, limits and ticks."""
    axes.set(title=plot.title, xlabel=plot.x_label, ylabel=plot.y_label)
    for axis, log, limits, ticks in (
        ("x", plot.x_log, plot.x_limits, plot.x_ticks),
        ("y", plot.y_log, plot.y_limits, plot.y_ticks),
    ):
        if log:
            getattr(axes, f"set_{axis}scale")("log")
        if limits:
            getattr(axes, f"set_{axis}lim")(*limits)
        if ticks is not None:
            getattr(axes, f"set_{axis}ticks")(list(ticks), list(ticks.values()), fontsize="small")
            getattr(axes, f"set_{axis}ticks")([], minor=True)
    if plot.equal:
        axes.set_aspect("equal")


@singledispatch
def _put(mark: Mark, axes: Axes) -> Any:
    raise TypeError(f"a {type(mark).__name__} cannot be drawn")


@_put.register
def _(mark: Line, axes: Axes) -> Any:
    colour, width = named(mark.colour), mark.width
    if mark.arrow:
        ends = np.stack([np.asarray(mark.x), np.asarray(mark.y)], axis=1)[-2:]
        tip: Any = {"arrowstyle": "-|>", "color": colour, "linewidth": width}
        axes.annotate(
            "", xy=ends[1], xytext=ends[0], arrowprops={**tip, "shrinkA": 0, "shrinkB": 0}
        )
    axes.plot(
        mark.x,
        mark.y,
        color=colour,
        linestyle=_DASHES[mark.style],
        linewidth=0.0 if mark.arrow else width,
        marker="o" if mark.markers else "",
        markersize=3.5,
        alpha=mark.opacity,
        label=mark.label or None,
    )


@_put.register
def _(mark: Points, axes: Axes) -> Any:
    colour = named(mark.colour)
    area: Any = np.square(mark.size)
    axes.scatter(
        mark.x,
        mark.y,
        s=area,
        facecolors="none" if mark.hollow else colour,
        edgecolors=colour,
        alpha=mark.opacity,
        label=mark.label or None,
    )


@_put.register
def _(mark: Bars, axes: Axes) -> Any:
    colours = [mark.colour] if isinstance(mark.colour, str) else mark.colour
    base: Any = 0.0 if mark.base is None else mark.base
    drawn: Any = list(map(named, colours)) if len(colours) > 1 else named(colours[0])
    more = {"bottom": base, "color": drawn, "label": mark.label or None}
    axes.bar(np.asarray(mark.x), np.asarray(mark.height), mark.width, **more)


@_put.register
def _(mark: Matrix, axes: Axes) -> Any:
    low, high = mark.ends
    axes.set_facecolor("lightgrey")
    axes.grid(False)
    return axes.imshow(
        mark.values,
        origin="upper" if mark.top_first else "lower",
        aspect="auto",
        extent=mark.extent,
        cmap="RdBu_r" if mark.signed else "viridis",
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )


@_put.register
def _(mark: Rule, axes: Axes) -> Any:
    draw = axes.axvline if mark.upright else axes.axhline
    style = _DASHES[mark.style]
    draw(mark.at, color=named(mark.colour), linestyle=style, linewidth=mark.width)


@_put.register
def _(mark: Label, axes: Axes) -> Any:
    axes.annotate(
        mark.text,
        xy=(mark.x, mark.y),
        xytext=mark.offset,
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize="small",
        color=named(mark.colour),
        style="italic" if mark.italic else "normal",
        alpha=mark.opacity,
    )


@_put.register
def _(mark: Area, axes: Axes) -> Any:
    axes.fill(mark.x, mark.y, color=named(mark.colour), alpha=mark.opacity, linewidth=0)
