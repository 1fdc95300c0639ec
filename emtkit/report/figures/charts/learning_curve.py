"""Learning curves."""

from matplotlib.axes import Axes

from emtkit.report.figures.palette import colour, dash
from emtkit.report.figures.panel import Chart, Panel, finish, positions, series_of
from emtkit.report.inference.aggregate import Aggregate


class LearningCurve(Chart):
    """The statistic over training (`x: iteration`), a thin line for every network behind it."""

    def draw(self, axes: Axes, panel: Panel) -> list[Aggregate]:
        """Draw one panel."""
        found: list[Aggregate] = []
        numeric, places = positions(panel)
        for order, (hue, rows) in enumerate(series_of(panel)):
            _draw_networks(axes, panel, rows, order)
            points = sorted(panel.points(rows).items(), key=lambda point: places[point[0]])
            found += [one for _, one in points]
            shown = [(level, one) for level, one in points if isinstance(one.value, float)]
            values = [float(one.value or 0.0) for _, one in shown]
            xs = [places[level] for level, _ in shown]
            axes.plot(xs, values, label=hue, lw=2.0, color=colour(order), ls=dash(order))
        finish(axes, panel, numeric, places)
        return found


def _draw_networks(axes: Axes, panel: Panel, rows: list[int], order: int) -> None:
    at, y = panel.results.column(str(panel.spec.x)), panel.results.column(panel.y)
    for members in panel.results.groups(rows, ["cell"]).values():
        line = sorted((at[row], y[row]) for row in members if y[row] is not None)
        if line:
            axes.plot(*zip(*line, strict=True), lw=0.6, alpha=0.45, color=colour(order))
