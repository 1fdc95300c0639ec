"""Drawings of a map of memory, from stored findings alone."""

from dataclasses import replace

import numpy as np

from emtkit import Bars, Drawing, Findings, Matrix, NotApplicable, Plot, Rule
from emtkit_std._drawings import square

BARS = ("held", "slot", "wave", "rotation", "used")


def draw_needs(findings: Findings) -> Drawing:
    """What the task asks a state to hold, step by step, a row for each input entry."""
    needs = findings.arrays["needs"]
    needs = needs[:, needs.any(0)]
    matrix = Matrix(needs.T, low=0.0, high=1.0, top_first=True, key="need")
    return Drawing([Plot([matrix], "", "step", "item (in the order of inputs)")])


def draw_held(findings: Findings) -> Drawing:
    """How well the items of each step are read off the states of each time."""
    table = findings.tables["held"].assign(r2=lambda rows: rows["r2"].clip(lower=0.0))
    plot = square(table, "item_step", "step", "r2", "R²")
    return Drawing([replace(plot, x_label="state after step", y_label="item of step")])


def draw_overlap(findings: Findings) -> Drawing:
    """Squared cosines between the codes of two ages: 0 orthogonal, 1 the same direction."""
    if not findings.tables["overlap"]["overlap"].notna().any():
        raise NotApplicable("no two items are in the state")
    plot = square(findings.tables["overlap"], "age_a", "age_b", "overlap", "overlap")
    return Drawing([replace(plot, x_label="age (steps)", y_label="age (steps)", equal=True)])


def draw_indices(findings: Findings) -> Drawing:
    """What is held, how its place moves, and whether it is used, between null (0) and exact (1)."""
    values = [float(findings.scalars[name]) for name in BARS]
    shown = [(place, value) for place, value in enumerate(values) if not np.isnan(value)]
    bars = Bars([place for place, _ in shown], [value for _, value in shown])
    ticks = {float(place): name for place, name in enumerate(BARS)}
    ends = (-0.6, len(BARS) - 0.4)
    marks = [bars, Rule(0.0), Rule(1.0, style="dashed")]
    return Drawing(
        [Plot(marks, y_label="from null (0) to exact (1)", x_limits=ends, x_ticks=ticks)]
    )
