"""Lines with intervals and points."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from emtkit.report.figures.palette import colour, dash, marker
from emtkit.report.figures.panel import Chart, Panel, finish, positions, series_of
from emtkit.report.inference.aggregate import Aggregate


class Line(Chart):
    """The statistic against x with its interval, a series per hue, every network a point."""

    has_bars = True

    def draw(self, axes: Axes, panel: Panel) -> list[Aggregate]:
        """Draw one panel."""
        found: list[Aggregate] = []
        numeric, places = positions(panel)
        for order, (hue, rows) in enumerate(series_of(panel)):
            points = sorted(panel.points(rows).items(), key=lambda point: places[point[0]])
            found += [one for _, one in points]
            shown = [(level, one) for level, one in points if isinstance(one.value, float)]
            xs, line = [places[level] for level, _ in shown], [one for _, one in shown]
            aside = 3.5 * (order - (len(panel.hues) - 1) / 2) if panel.hues else 0.0
            _draw_series(axes, xs, line, order, hue, aside)
            _make_room(axes, xs, line)
        finish(axes, panel, numeric, places)
        return found


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
    props: dict[str, Any] = {"color": colour(order), "transform": axes.transData + shift}
    spots: list[tuple[float, float]] = []
    for x, one in zip(xs, line, strict=True):
        if one.sample is not None and len(set(one.sample.values)) > 2:
            spots += [(x, float(value)) for value in one.sample.values]
        bounds = one.estimate
        if bounds is not None and one.n > 1 and np.isfinite(bounds.high - bounds.low):
            ends = [bounds.low, bounds.high]
            axes.plot([x, x], ends, lw=1.8, solid_capstyle="butt", **props)
    if spots:
        axes.plot(*zip(*spots, strict=True), ls="", marker=".", ms=4, alpha=0.35, **props)
    values = [float(one.value or 0.0) for one in line]
    props |= {"marker": marker(order), "ls": dash(order), "ms": 5, "markeredgecolor": "white"}
    axes.plot(xs, values, label=hue, lw=1.4, **props)


def _make_room(axes: Axes, xs: Sequence[float], line: Sequence[Aggregate]) -> None:
    """Count what is drawn with a shift into the limits of the axes, which overlook it."""
    for x, one in zip(xs, line, strict=True):
        ys = [one.value, *(one.sample.values if one.sample is not None else ())]
        axes.update_datalim([(x, float(y)) for y in ys if y == y])
