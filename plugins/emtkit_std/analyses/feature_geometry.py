"""How several features share the state at one age: polygons, and what they show of each other."""

from dataclasses import dataclass
from string import ascii_uppercase
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from emtkit import (
    Analysis,
    Control,
    Drawing,
    Findings,
    Label,
    Line,
    Mark,
    Matrix,
    NotApplicable,
    Plot,
    Points,
    Scalar,
    ScalarInfo,
    Subject,
    hookimpl,
)
from emtkit_std._controls import LAST_DELAY, REGISTER
from emtkit_std._theory.facts import Array, DelayLaw, PulseCircuit
from emtkit_std._theory.superposition import pulses
from emtkit_std._theory.superposition.projections import own_gains
from emtkit_std._theory.svd import decompose

KEPT, DROPPED, PLANAR, NEAR = 0.5, 0.2, 0.99, 0.05
MOST_MATRICES = 8


def draw_matrices(findings: Findings) -> Drawing:
    """W_r W_s by age s: outputs down, features across; colours end at 1, which is a kept item.

    What is hidden may be far below -1.
    """
    matrices, asked = findings.arrays["matrices"], int(findings.scalars["age"])
    shown = range(min(len(matrices), MOST_MATRICES))
    few = matrices.shape[2] <= MOST_MATRICES
    across = dict(enumerate(_letters(matrices.shape[2]))) if few else None
    down = {place: across[place] for place in range(matrices.shape[1])} if across else None
    plots = [
        Plot(
            [Matrix(matrices[age], low=-1.0, high=1.0, signed=True, top_first=True)],
            f"age {age} (asked)" if age == asked else f"age {age}",
            "feature",
            "output",
            x_ticks=across,
            y_ticks=down,
            equal=True,
        )
        for age in shown
    ]
    return Drawing(plots, columns=-(-len(shown) // 2), share_x=True, share_y=True)


def draw_plane(findings: Findings) -> Drawing:
    """Features of one age as rays in the plane of the units, or the one that shows most of them.

    Raises:
        NotApplicable: one unit has no plane.
    """
    directions = findings.arrays["directions"]
    if len(directions) < 2:
        raise NotApplicable("one unit has no plane")
    points = _in_plane(directions)
    reach = 1.25 * max(float(np.abs(points).max()), 1e-12)
    kept = findings.tables["features"]["kept"].to_numpy(dtype=bool)
    marks: list[Mark] = []
    for letter, point, held in zip(_letters(points.shape[1]), points.T, kept, strict=True):
        ink = "C0" if held else "grey"
        marks.append(Line([0.0, point[0]], [0.0, point[1]], colour=ink))
        marks.append(Points(point[:1], point[1:], colour=ink, size=6.0))
        marks.append(Label(*map(float, 1.12 * point), letter))
    names = ("unit 1", "unit 2") if len(directions) == 2 else ("first axis", "second axis")
    ends = (-reach, reach)
    title = f"age {findings.scalars['age']}"
    return Drawing([Plot(marks, title, *names, x_limits=ends, y_limits=ends, equal=True)])


class FeatureGeometry(Analysis):
    """The directions W_s e_i of features i at one age s, and the matrices W_r W_s of all ages.

    W_s = W_hh^s W_uh (with the activation in between where there is one), w_i = W_s e_i; a feature
    is kept where its own entry of W_r W_k, k its delay, is above 1/2. Of the kept ones at `age`:

        dimensionality = mean_i |w_i|^2 / sum_j (w_i . w_j / |w_i|)^2
        polygon_error = max_i |angle_i - 360 / n|

    A feature alone has dimensionality 1, one of a pentagon 2/5. Angles are those between neighbours
    in the plane, in degrees, undefined below 3 features or where the plane holds less than 99 % of
    them. `silent_share` is that of the entries of W_r W_s, all s, which no output asks for and
    which are at most 0.05: a rectified readout hides them. `graded` counts the features that are
    neither kept nor dropped, with own gains between 0.2 and 0.8; `leading_kept` says whether no
    feature is dropped that is more important than a kept one.

    In a linear recurrence with an untied readout directions depend on the basis, and
    `dimensionality` and `polygon_error` are undefined; the entries of W_r W_s are not, and
    `features_kept` and `silent_share` stand. Table `features` (feature, length, own_gain, kept).

    References: Sharma, Proca, Prieto and Mediano (ICLR 2026), feature geometry; Elhage et al. 2022,
    arXiv:2209.10652, for polygons and dimensionality.
    """

    name = "feature_geometry"
    version = 2  # graded, leading_kept
    requires = (DelayLaw, PulseCircuit)
    scalars = {
        "features_kept": ScalarInfo("features whose own gain is above 1/2", better="higher"),
        "graded": ScalarInfo("features whose own gain is between 0.2 and 0.8", better="lower"),
        "leading_kept": ScalarInfo(
            "whether the features kept are the most important ones",
            undefined="where no feature is kept",
        ),
        "dimensionality": ScalarInfo(
            "dimensions per kept feature: 1 where none is shared, 2/5 in a pentagon",
            undefined="where no feature is kept, or directions are not identifiable",
        ),
        "polygon_error": ScalarInfo(
            "largest deviation of the kept features from a regular polygon",
            unit="degrees",
            better="lower",
            undefined="for fewer than three, or in more than a plane",
        ),
        "silent_share": ScalarInfo("share of the entries asked for by no output that are <= 0.05"),
        "age": ScalarInfo("age of the directions", unit="steps"),
    }
    drawings = {"matrices": draw_matrices, "plane": draw_plane}
    controls = (
        Control(LAST_DELAY, REGISTER, "features_kept", least=1, most=1),
        Control(LAST_DELAY, REGISTER, "silent_share", least=1.0),
        Control(LAST_DELAY, {"use": "relu_rnn", "hidden": 2}, "features_kept", most=0),
    )

    def __init__(
        self,
        *,
        age: Annotated[
            int | None,
            Field(ge=0, description="Age whose directions are compared; null takes the delay."),
        ] = None,
    ) -> None:
        self.age = age

    def measure(self, subject: Subject) -> Findings:
        """From the weights alone."""
        law, circuit = subject.fact(DelayLaw), subject.fact(PulseCircuit)
        age = max(law.delay) if self.age is None else self.age
        lags = max(2 * max(law.delay), age) + 2
        seen = pulses.circuit_pulses(circuit, lags)
        gains = own_gains(seen.projections, law)
        kept = np.zeros(law.inputs, dtype=bool)
        kept[[source for source, gain in zip(law.source, gains, strict=True) if gain > KEPT]] = True
        directions = seen.directions[age]
        if not np.isfinite(seen.directions).all():
            raise NotApplicable("the directions overflow")
        identifiable = circuit.activation != "linear" or subject.parameters.get("tied") is True
        shape = shape_of(directions[:, kept], identifiable=identifiable)
        scalars: dict[str, Scalar] = {
            "features_kept": int((gains > KEPT).sum()),
            "graded": int(((gains > DROPPED) & (gains < 1.0 - DROPPED)).sum()),
            "leading_kept": leading_kept(gains > KEPT, np.asarray(law.importance)),
            "dimensionality": shape.dimensionality,
            "polygon_error": shape.polygon_error,
            "silent_share": silent_share(seen.projections, law),
            "age": age,
        }
        own = np.zeros(law.inputs)
        own[list(law.source)] = gains
        features = pd.DataFrame(
            {
                "feature": _letters(law.inputs),
                "length": np.linalg.norm(directions, axis=0),
                "own_gain": own,
                "kept": kept,
            }
        )
        matrices = np.moveaxis(seen.projections, -1, 0)
        return Findings(
            scalars,
            {"features": features},
            {"directions": directions, "matrices": matrices},
            {**shape.reasons, **({} if kept.any() else {"leading_kept": "no feature is kept"})},
        )


@dataclass(frozen=True)
class Shape:
    """How directions share their space; NaN comes with a reason."""

    dimensionality: float
    polygon_error: float
    reasons: dict[str, str]


def shape_of(directions: Array, *, identifiable: bool = True) -> Shape:
    """Of directions (H, n)."""
    nan = float("nan")
    lengths = np.linalg.norm(directions, axis=0)
    if not identifiable:
        reason = "directions of a linear recurrence with an untied readout depend on the basis"
        return Shape(nan, nan, dict.fromkeys(("dimensionality", "polygon_error"), reason))
    if not lengths.size or not lengths.all():
        reason = "no feature is kept" if not lengths.size else "a kept feature has no direction"
        return Shape(nan, nan, dict.fromkeys(("dimensionality", "polygon_error"), reason))
    shared = np.square(directions.T @ (directions / lengths)).sum(0)
    each = lengths**2 / shared
    dimensionality, count = float(each.mean()), directions.shape[1]
    if count < 3:
        reason = f"{count} features are kept, and a polygon has three or more"
        return Shape(dimensionality, nan, {"polygon_error": reason})
    points = _in_plane(directions)
    held = float(np.square(points).sum() / np.square(directions).sum())
    if held < PLANAR:
        reason = f"the plane holds {held:.0%} of the kept features, not {PLANAR:.0%}"
        return Shape(dimensionality, nan, {"polygon_error": reason})
    angles = np.sort(np.degrees(np.arctan2(points[1], points[0])))
    between = np.diff(np.append(angles, angles[0] + 360.0))
    return Shape(dimensionality, float(np.abs(between - 360.0 / count).max()), {})


def leading_kept(kept: Array, importance: Array) -> bool | float:
    """Whether no output (O) is dropped that is more important than a kept one; NaN without any."""
    if not kept.any():
        return float("nan")
    return bool(importance[~kept].max(initial=-np.inf) <= importance[kept].min())


def silent_share(projections: Array, law: DelayLaw) -> float:
    """Share of projections (O, I, L) off target that are at most 0.05."""
    asked = np.zeros(projections.shape, dtype=bool)
    asked[np.arange(len(projections)), list(law.source), list(law.delay)] = True
    return float((projections[~asked] <= NEAR).mean())


def _in_plane(directions: Array) -> Array:
    """Coordinates (2, n) in the plane of the units where H = 2, else of the leading directions."""
    if len(directions) == 2:
        return directions
    leading = decompose(directions).left[:, :2].T @ directions
    return np.concatenate([leading, np.zeros((2 - len(leading), directions.shape[1]))])


def _letters(count: int) -> list[str]:
    """A, B, .. Z, A2, B2, .."""
    rounds = [divmod(index, len(ascii_uppercase)) for index in range(count)]
    return [f"{ascii_uppercase[k]}{turn + 1 if turn else ''}" for turn, k in rounds]


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Offer `feature_geometry`."""
    return [FeatureGeometry]
