"""Lines with intervals and points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from emtkit.report.figures.palette import colour, dash, marker
from emtkit.report.figures.panel import Chart, Panel, finish, positions, series_of
from emtkit.report.figures.spots import Spot
from emtkit.report.inference.aggregate import Aggregate


class Line(Chart):
    """The statistic against x with its interval, a series per hue, every network a point."""

    has_bars = True
    shows = "{statistic}, against {x}"
    mark = "point"
    details = "small dots are single networks"

    def draw(self, axes: Axes, panel: Panel) -> list[Spot]:
        """Draw one panel."""
        found: list[Spot] = []
        numeric, places = positions(panel)
        for order, (hue, rows) in enumerate(series_of(panel)):
            points = sorted(panel.points(rows).items(), key=lambda point: places[point[0]])
            aside = 3.5 * (order - (len(panel.hues) - 1) / 2) if panel.hues else 0.0
            shift = ScaledTranslation(aside / 72, 0, axes.figure.dpi_scale_trans)
            moved = axes.transData + shift
            found += [
                panel.spot(one, (hue or "", panel.at(level)), *_place(places[level], one, moved))
                for level, one in points
            ]
            shown = [(level, one) for level, one in points if isinstance(one.value, float)]
            xs, line = [places[level] for level, _ in shown], [one for _, one in shown]
            _draw_series(axes, xs, line, order, hue, {"color": colour(order), "transform": moved})
            _make_room(axes, xs, line)
        finish(axes, panel, numeric, places)
        return found


def _place(x: float, one: Aggregate, transform: Any) -> tuple[Any, ...]:
    """Where the point of a number lies, and those of its networks where they are drawn."""
    if not isinstance(one.value, float):
        return ()
    dots = one.sample.values.tolist() if one.sample is not None and _has_dots(one) else []
    networks = {key: (x, y) for key, y in zip(one.members, dots, strict=False)}
    return (x, one.value, x, one.value), transform, networks


def _has_dots(one: Aggregate) -> bool:
    """Whether its networks say more than the number."""
    return one.sample is not None and len(set(one.sample.values)) > 2


def _draw_series(
    axes: Axes,
    xs: Sequence[float],
    line: Sequence[Aggregate],
    order: int,
    hue: str | None,
    props: dict[str, Any],
) -> None:
    """A line with its intervals and points, in the colour and the coordinates of `props`."""
    spots: list[tuple[float, float]] = []
    for x, one in zip(xs, line, strict=True):
        if one.sample is not None and _has_dots(one):
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
