"""Phase diagrams."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from emtkit.report.figures.maps.heatmap import Heatmap
from emtkit.report.figures.palette import INK
from emtkit.report.figures.panel import label_ticks
from emtkit.report.figures.spots import Spot
from emtkit.report.figures.value_map import (
    MANY,
    Ends,
    Map,
    Scale,
    ValueMap,
    colours_of,
    fields_of,
    lines_of,
    numbers_of,
)


class PhaseDiagram(Map):
    """Regions over two numeric axes, drawn to scale, and lines; over other axes a heatmap."""

    def draw(self, axes: Axes, values: ValueMap, scale: Scale) -> list[Spot]:
        """Draw one panel."""
        if not all(isinstance(level, int | float) for level in (*values.xs, *values.ys)):
            return Heatmap().draw(axes, values, scale)
        log = values.panel.spec.log or ""
        log_x, log_y = log in ("x", "both"), log in ("y", "both")
        order_x, order_y = np.argsort(values.xs), np.argsort(values.ys)
        xs, ys = np.array(values.xs, float)[order_x], np.array(values.ys, float)[order_y]
        numbers = np.ma.masked_invalid(numbers_of(values, scale)[np.ix_(order_y, order_x)])
        edges = _edges(xs, log_x), _edges(ys, log_y)
        # Many fields are one picture in a file, in place of a path each.
        many = numbers.size > MANY
        axes.pcolormesh(
            *edges, numbers, edgecolors="face", lw=0.3, rasterized=many, **colours_of(scale)
        )
        for line in lines_of(values.panel):
            axes.plot(*line, color="white", lw=3.0)
            axes.plot(*line, color=INK, lw=1.4, marker="o", ms=2.5)
        axes.set_xscale("log" if log_x else "linear")
        axes.set_yscale("log" if log_y else "linear")
        label_ticks(axes, "x", xs.tolist(), log_x)
        label_ticks(axes, "y", ys.tolist(), log_y)
        axes.grid(False)
        values.panel.label_axes(axes)
        return fields_of(axes, values, *map(_ends, edges, (order_x, order_y)))


def _edges(centres: NDArray[np.float64], log: bool) -> NDArray[np.float64]:
    """Borders half-way between centres, on a log scale between their logarithms."""
    at = np.log(centres) if log else centres
    if len(at) == 1:
        edges = np.array([at[0] - 0.5, at[0] + 0.5])
    else:
        middle = (at[1:] + at[:-1]) / 2
        edges = np.array([2 * at[0] - middle[0], *middle, 2 * at[-1] - middle[-1]])
    return np.exp(edges) if log else edges


def _ends(edges: NDArray[np.float64], order: NDArray[np.intp]) -> list[Ends]:
    """Both ends of each level, in the order in which the levels came."""
    places = np.argsort(order).tolist()
    return [(float(edges[place]), float(edges[place + 1])) for place in places]
