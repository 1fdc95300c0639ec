"""Drawings of lone pulses, from stored findings."""

import numpy as np

from emtkit import Area, Bars, Drawing, Findings, Label, Line, Mark, NotApplicable, Plot, Rule
from emtkit_std._theory.facts import Array

MOST_PANELS = 6
_KEPT, _OTHER = "#d62728", "grey"


def draw_projections(findings: Findings) -> Drawing:
    """Bars of every output's own projections by age; the item that it should give stands out.

    Raises:
        NotApplicable: there are none.
    """
    _refuse_without_ages(findings)
    rows = findings.tables["projections"]
    names = ("feature_out", "feature_in", "source", "lag", "delay", "value")
    output, feature, source, lag, delay, value = (rows[name].to_numpy() for name in names)
    plots = []
    for one in np.unique(output)[:MOST_PANELS]:
        own = (output == one) & (feature == source)
        colours = np.where(lag[own] == delay[own], _KEPT, _OTHER).tolist()
        plots.append(
            Plot(
                [Bars(lag[own], value[own], colour=colours), Rule(0.0, colour="ink")],
                f"output {one}, regime {findings.scalars['regime']}",
                x_label="age s",
                y_label="projection on the readout",
            )
        )
    return Drawing(plots, share_y=True)


def draw_directions(findings: Findings) -> Drawing:
    """Directions w_s of the first feature and its readout, in two dimensions.

    With more units than two, the plane of the two leading singular vectors. The shaded half-plane
    is silent behind a ReLU readout. Angles here depend on the basis for a linear recurrence with an
    untied readout; the projections do not.

    Raises:
        NotApplicable: there is no plane.
    """
    _refuse_without_ages(findings)
    directions, readout = findings.arrays["directions"][:, :, 0], findings.arrays["readout"]
    if readout.size == 0 or directions.shape[1] < 2:
        raise NotApplicable("no plane of directions to draw")
    points, normal = directions @ _plane(directions), readout[:, 0] @ _plane(directions)
    reach = 1.2 * max(float(np.abs(points).max()), 1e-12)
    length = float(np.linalg.norm(normal))
    silent = _readout(points, normal / length, reach) if length > 0 else []
    units = directions.shape[1] == 2
    names = ("unit 1", "unit 2") if units else ("leading direction", "second direction")
    plot = Plot(
        [*silent, *_ages(points, reach)],
        f"ages 0 to {len(points) - 1}, regime {findings.scalars['regime']}",
        *names,
        x_limits=(-reach, reach),
        y_limits=(-reach, reach),
        equal=True,
    )
    return Drawing([plot])


def _refuse_without_ages(findings: Findings) -> None:
    if "projections" not in findings.tables:
        raise NotApplicable(findings.reasons["visible_interference"])


def _ages(points: Array, reach: float) -> list[Mark]:
    """A ray per age, paler the older; numbered where it is long enough to be distinguished."""
    marks: list[Mark] = []
    numbered: list[Array] = []
    for age, point in enumerate(points):
        opacity = 1.0 - 0.7 * age / max(len(points) - 1, 1)
        size = float(np.linalg.norm(point))
        ends = np.array([0.0, point[0]]), np.array([0.0, point[1]])
        marks.append(Line(*ends, colour="ink", width=1.4, opacity=opacity))
        apart = all(np.linalg.norm(point - other) >= 0.08 * reach for other in numbered)
        if size < 0.07 * reach or not apart:
            continue
        numbered.append(point)
        aside = (point + np.array([-point[1], point[0]])) * 6.3 / size
        offset = (float(aside[0]), float(aside[1]))
        marks.append(Label(*map(float, point), str(age), offset, opacity=max(opacity, 0.6)))
    return marks


def _readout(points: Array, normal: Array, reach: float) -> list[Mark]:
    """The readout as an arrow, and the half-plane behind it that a ReLU silences."""
    across = np.array([-normal[1], normal[0]])
    side = across * 4.0 * reach
    back = -4.0 * reach * normal
    corners = np.stack([side, side + back, back - side, -side])
    tip = 0.85 * reach * normal / np.abs(normal).max()
    beside = _emptier(points, [tip + 0.2 * reach * across, tip - 0.2 * reach * across], reach)
    places = [reach * (0.6 * turn * across - 0.45 * normal) for turn in (1, -1)]
    silent = _emptier(points, [*places, -0.8 * reach * normal], reach)
    return [
        Area(corners[:, 0], corners[:, 1]),
        Line([0.0, tip[0]], [0.0, tip[1]], colour=_KEPT, width=2.0, arrow=True),
        Label(*map(float, beside), "readout", colour=_KEPT),
        Label(*map(float, silent), "silent", colour="C0", italic=True),
    ]


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
