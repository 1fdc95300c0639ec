"""Figures of lone pulses, drawn from stored findings."""

import numpy as np

from emtkit import Findings
from emtkit_std._drawings import Axes, Figure
from emtkit_std._theory.facts import Array

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
        panel.axhline(0.0, color=panel.title.get_color(), linewidth=0.8)
        panel.set(xlabel="age s", title=f"output {output}, regime {findings.scalars['regime']}")
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
    points, normal = directions @ _plane(directions), readout[:, 0] @ _plane(directions)
    reach = 1.2 * max(float(np.abs(points).max()), 1e-12)
    length = float(np.linalg.norm(normal))
    if length > 0:
        _draw_readout(panel, points, normal / length, reach)
    _draw_ages(panel, points, reach)
    panel.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    units = directions.shape[1] == 2
    names = ("unit 1", "unit 2") if units else ("leading direction", "second direction")
    title = f"ages 0 to {len(points) - 1}, regime {findings.scalars['regime']}"
    panel.set(xlabel=names[0], ylabel=names[1], title=title)


def _draw_ages(panel: Axes, points: Array, reach: float) -> None:
    """A ray per age, paler the older; numbered where it is long enough to be distinguished."""
    ink = panel.title.get_color()
    numbered: list[Array] = []
    for age, point in enumerate(points):
        alpha = 1.0 - 0.7 * age / max(len(points) - 1, 1)
        panel.plot([0.0, point[0]], [0.0, point[1]], color=ink, alpha=alpha, linewidth=1.4)
        size = float(np.linalg.norm(point))
        if size < 0.07 * reach:
            continue
        panel.plot(*point, marker="o", markersize=3.5, color=ink, alpha=alpha)
        if any(np.linalg.norm(point - other) < 0.08 * reach for other in numbered):
            continue
        numbered.append(point)
        aside = 0.7 * point + 0.7 * np.array([-point[1], point[0]])
        panel.annotate(
            str(age),
            xy=tuple(point),
            xytext=tuple(9.0 * aside / size),
            textcoords="offset points",
            ha="center",
            va="center",
            alpha=max(alpha, 0.6),
        )


def _draw_readout(panel: Axes, points: Array, normal: Array, reach: float) -> None:
    """The readout as an arrow, and the half-plane behind it that a ReLU silences."""
    across = np.array([-normal[1], normal[0]])
    side = across * 4.0 * reach
    back = -4.0 * reach * normal
    corners = np.stack([side, side + back, back - side, -side])
    panel.fill(corners[:, 0], corners[:, 1], color="tab:blue", alpha=0.1, linewidth=0)
    tip = 0.85 * reach * normal / np.abs(normal).max()
    arrow = {"arrowstyle": "-|>", "color": "tab:red", "linewidth": 2.0, "shrinkA": 0, "shrinkB": 0}
    panel.annotate("", xy=tuple(tip), xytext=(0, 0), arrowprops=arrow)
    words = {"fontsize": "small", "ha": "center", "va": "center"}
    beside = _emptier(points, [tip + 0.2 * reach * across, tip - 0.2 * reach * across], reach)
    panel.text(*beside, "readout", color="tab:red", **words)
    silent = [reach * (0.6 * turn * across - 0.45 * normal) for turn in (1, -1)]
    silent.append(-0.8 * reach * normal)
    panel.text(
        *_emptier(points, silent, reach), "silent", color="tab:blue", style="italic", **words
    )


def _emptier(points: Array, places: list[Array], reach: float) -> Array:
    """The place that is farthest from every ray, kept inside the axes."""
    inside = [np.clip(place, -0.8 * reach, 0.8 * reach) for place in places]
    rays = np.concatenate([share * points for share in np.linspace(0.1, 1.1, 11)])
    gaps = [np.linalg.norm(rays - place, axis=1).min() for place in inside]
    return inside[int(np.argmax(gaps))]


def _plane(directions: Array) -> Array:
    """An orthonormal plane (H, 2); the units themselves where there are two."""
    if directions.shape[1] == 2:
        return np.eye(2)
    return np.linalg.svd(directions, full_matrices=True)[2][:2].T
