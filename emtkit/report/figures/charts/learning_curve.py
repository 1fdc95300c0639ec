"""Learning curves."""

from matplotlib.axes import Axes

from emtkit.report.figures.palette import colour, dash
from emtkit.report.figures.panel import Chart, Panel, finish, positions, series_of
from emtkit.report.figures.spots import Spot


class LearningCurve(Chart):
    """The statistic over training (`x: iteration`), a thin line for every network behind it."""

    shows = "{statistic}, over training"
    mark = "thick line"
    details = "every thin line is one network"

    def draw(self, axes: Axes, panel: Panel) -> list[Spot]:
        """Draw one panel; networks are opened at the ends of their lines."""
        found: list[Spot] = []
        numeric, places = positions(panel)
        for order, (hue, rows) in enumerate(series_of(panel)):
            ends = _draw_networks(axes, panel, rows, order)
            points = sorted(panel.points(rows).items(), key=lambda point: places[point[0]])
            shown = [(level, one) for level, one in points if isinstance(one.value, float)]
            values = [float(one.value or 0.0) for _, one in shown]
            xs = [places[level] for level, _ in shown]
            axes.plot(xs, values, label=hue, lw=2.0, color=colour(order), ls=dash(order))
            for level, one in points:
                last = bool(shown) and level == shown[-1][0]
                area = (xs[-1], values[-1], xs[-1], values[-1]) if last else None
                levels = (hue or "", panel.at(level))
                found.append(panel.spot(one, levels, area, axes.transData, ends if last else None))
        finish(axes, panel, numeric, places)
        return found


def _draw_networks(
    axes: Axes, panel: Panel, rows: list[int], order: int
) -> dict[str, tuple[float, float]]:
    """Draw the line of every network; returns where each ends, by key."""
    at, y = panel.results.column(str(panel.spec.x)), panel.results.column(panel.y)
    ends = {}
    for (key,), members in panel.results.groups(rows, ["cell"]).items():
        line = sorted((at[row], y[row]) for row in members if y[row] is not None)
        if line:
            axes.plot(*zip(*line, strict=True), lw=0.6, alpha=0.45, color=colour(order))
            ends[str(key)] = line[-1]
    return ends
