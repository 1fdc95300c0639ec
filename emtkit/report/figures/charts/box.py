"""Boxes and points."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from emtkit.report.figures.palette import colour, marker
from emtkit.report.figures.panel import Chart, Panel, finish, positions, series_of
from emtkit.report.inference.aggregate import Aggregate


class Box(Chart):
    """The networks' values as a box (quartiles, whiskers to 1.5 of their range) and as points."""

    def draw(self, axes: Axes, panel: Panel) -> list[Aggregate]:
        """Draw one panel."""
        found: list[Aggregate] = []
        _, places = positions(panel, numeric=False)
        series = list(series_of(panel))
        width = 0.8 / len(series)
        for order, (hue, rows) in enumerate(series):
            offset = (order - (len(series) - 1) / 2) * width
            for level, one in panel.points(rows).items():
                found.append(one)
                if one.sample is not None:
                    values = one.sample.values[~np.isnan(one.sample.values)]
                    _draw_one_box(axes, places[level] + offset, values, width, order)
            if hue is not None:
                axes.plot([], [], color=colour(order), marker=marker(order), ls="", label=hue)
        finish(axes, panel, False, places)
        return found


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
