"""Boxes and points."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from emtkit.report.figures.palette import colour, marker
from emtkit.report.figures.panel import Chart, Panel, finish, positions, series_of
from emtkit.report.figures.spots import Spot
from emtkit.report.inference.aggregate import Aggregate


class Box(Chart):
    """The networks' values as a box (quartiles, whiskers to 1.5 of their range) and as points."""

    shows = "distribution of {column} over networks, by {x}"
    mark = "box"
    details = (
        "a box is the middle half of the networks with the median, whiskers reach 1.5 times its "
        "height, and every small point is one network"
    )

    def draw(self, axes: Axes, panel: Panel) -> list[Spot]:
        """Draw one panel."""
        found: list[Spot] = []
        _, places = positions(panel, numeric=False)
        series = list(series_of(panel))
        width = 0.8 / len(series)
        for order, (hue, rows) in enumerate(series):
            offset = (order - (len(series) - 1) / 2) * width
            for level, one in panel.points(rows).items():
                levels = (hue or "", panel.at(level))
                found.append(_box(axes, panel, one, levels, places[level] + offset, width, order))
            if hue is not None:
                axes.plot([], [], color=colour(order), marker=marker(order), ls="", label=hue)
        finish(axes, panel, False, places)
        return found


def _box(
    axes: Axes,
    panel: Panel,
    one: Aggregate,
    levels: Sequence[str],
    at: float,
    width: float,
    order: int,
) -> Spot:
    """Draw the box of one number, which opens its networks as each point opens its own."""
    if one.sample is None:
        return panel.spot(one, levels)
    there = ~np.isnan(one.sample.values)
    values = one.sample.values[there]
    spots = (np.arange(len(values)) * 0.618034 % 1 - 0.5) * 0.5 * width + at
    _draw_one_box(axes, at, values, spots, width, order)
    keys = [key for key, known in zip(one.members, there, strict=True) if known]
    networks = dict(zip(keys, zip(spots.tolist(), values.tolist(), strict=True), strict=True))
    low, high = (float(end) for end in np.quantile(values, [0.25, 0.75]))
    area = (at - 0.35 * width, low, at + 0.35 * width, high)
    return panel.spot(one, levels, area, axes.transData, networks)


def _draw_one_box(
    axes: Axes,
    at: float,
    values: NDArray[np.floating],
    spots: NDArray[np.floating],
    width: float,
    order: int,
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
    axes.plot(spots, values, ls="", marker=marker(order), ms=3, color=tone, alpha=0.7)
