"""Figures of lone pulses, drawn from stored findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtkit_std._facts import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from emtkit import Findings

MOST_PANELS = 6


def draw_projections(findings: Findings, figure: Figure) -> None:
    """Bars of every output's own projections by age; the item that it should give stands out."""
    rows = findings.tables["projections"]
    outputs = sorted(rows["feature_out"].unique())[:MOST_PANELS]
    panels = figure.subplots(1, len(outputs), squeeze=False, sharey=True)[0]
    for panel, output in zip(panels, outputs, strict=True):
        own = rows[(rows["feature_out"] == output) & (rows["feature_in"] == rows["source"])]
        colours = np.where(own["lag"] == own["delay"], "tab:red", "tab:gray")
        panel.bar(own["lag"], own["value"], color=list(colours))
        panel.axhline(0.0, color="black", linewidth=0.8)
        panel.set_xlabel("age s")
        panel.set_title(f"output {output}, regime {findings.scalars['regime']}")
    panels[0].set_ylabel("projection on the readout")


def draw_directions(findings: Findings, figure: Figure) -> None:
    """Directions w_s of the first feature and its readout, in two dimensions.

    With more units than two, the plane of the two leading singular vectors. The shaded half-plane
    is silent behind a ReLU readout. Angles here depend on the basis for a linear recurrence with an
    untied readout; the projections do not.
    """
    directions, readout = findings.arrays["directions"][:, :, 0], findings.arrays["readout"]
    panel = figure.subplots()
    if readout.size == 0 or directions.shape[1] < 2:
        panel.text(0.5, 0.5, "no plane of directions to draw", ha="center", va="center")
        panel.set_axis_off()
        return
    plane = _plane(directions)
    points, normal = directions @ plane, readout[:, 0] @ plane
    reach = 1.1 * max(float(np.abs(points).max()), 1e-12)
    length = float(np.linalg.norm(normal))
    if length > 0:
        normal = normal / length
        _shade_silent(panel, normal, reach)
        panel.annotate(
            "", xy=tuple(0.9 * reach * normal), xytext=(0, 0), arrowprops={"color": "tab:red"}
        )
        panel.text(*(0.95 * reach * normal), "readout", color="tab:red")
    for age, point in enumerate(points):
        shade = str(0.75 * age / max(len(points) - 1, 1))
        panel.plot([0.0, point[0]], [0.0, point[1]], color=shade)
        panel.text(point[0], point[1], str(age), color=shade)
    panel.set_xlim(-reach, reach)
    panel.set_ylim(-reach, reach)
    panel.set_aspect("equal")
    panel.set_title(f"directions by age, regime {findings.scalars['regime']}")


def _plane(directions: Array) -> Array:
    """An orthonormal plane (H, 2); the units themselves where there are two."""
    if directions.shape[1] == 2:
        return np.eye(2)
    return np.linalg.svd(directions, full_matrices=True)[2][:2].T


def _shade_silent(panel: Axes, normal: Array, reach: float) -> None:
    along = np.array([-normal[1], normal[0]]) * 4.0 * reach
    back = -4.0 * reach * normal
    corners = np.stack([along, along + back, back - along, -along])
    panel.fill(corners[:, 0], corners[:, 1], color="tab:blue", alpha=0.1, linewidth=0)
