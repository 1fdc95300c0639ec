"""Drawings of findings, drawn as a figure and as a page do."""

from __future__ import annotations

import json

from matplotlib.figure import Figure

from emtkit import Analysis, Drawing, Findings, NotApplicable
from emtkit.report.figures.plotted import plot_drawing
from emtkit.report.page.plots import drawing_data


def drawings_of(analysis: type[Analysis], findings: Findings) -> dict[str, Drawing]:
    """Those of an analysis that have something to show."""
    found = {}
    for name, draw in analysis.drawings.items():
        try:
            found[name] = draw(findings)
        except NotApplicable:
            continue
        figure = Figure()
        plot_drawing(found[name], figure)
        figure.canvas.draw()
        assert all(
            axes.has_data() or not plot.marks
            for axes, plot in zip(figure.axes, found[name].plots, strict=False)
        )
        assert json.dumps(drawing_data(found[name]), allow_nan=False)
    return found
