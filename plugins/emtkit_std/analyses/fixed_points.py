"""Analysis `fixed_points`: the states that a recurrent network leaves in place, and how stable."""

from dataclasses import replace
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from emtkit import (
    Analysis,
    Drawing,
    Findings,
    FixedPoints,
    FixedPointSearch,
    Plot,
    Points,
    RecurrentModel,
    Rule,
    ScalarInfo,
    StateMap,
    Subject,
    find_fixed_points,
    hookimpl,
)
from emtkit_std._theory.linearise import POINT_SCALARS, kinked_units, recurrent, silent_map
from emtkit_std._theory.observe import trajectories
from emtkit_std._theory.unseen import unseen_kinds, unseen_share

ODD = 1e-12
SLOW = 16
OF_LEAST = ("least_radius", "point_norm", "point_residual")


def draw_points(findings: Findings) -> Drawing:
    """Spectral radius of every point against its distance from the origin; area is hits."""
    points = findings.tables["points"]
    size = np.sqrt(10.0 + points["hits"])
    discs = Points(points["norm"], points["radius"], size=size, opacity=0.6)
    return Drawing([Plot([Rule(1.0), discs], "", "|h*|", "spectral radius at h*")])


class FixedPointAnalysis(Analysis):
    """Fixed points of h -> step(h, 0): how many, how exact, how stable.

    Starts are taken evenly from trajectories of the task; each descends by Levenberg-Marquardt with
    exact Jacobians on q = |step(h) - h|^2 / 2 and is polished by Newton in float64. Starts that
    reach no fixed point are counted apart and never listed among the points.

    `count` is a lower bound: it grows with the number of starts. Where F(-h) = -F(h) on all starts
    (`odd`, up to rounding), the mirror image of every point is one, too, and is added with 0 hits.
    From the points (or mirror pairs) that were hit once and twice, `unseen` says how likely the
    next start finds a new one, and `estimated` how many points there are at least, in expectation:

        unseen = f_1 / n,   estimated = count + f_1 (f_1 - 1) / (2 (f_2 + 1))

    (in pairs, twice as many more). Both speak of what such starts can reach: noise is in proportion
    to how much a unit moves, and a unit that never moves hides its other states.

    `point_norm`, `point_residual` and `point_kind` are of the point with `least_radius`. Tables:
    `points` (residual, hits, norm, radius, unstable_modes), `unconverged` (residual q, speed
    |F(h) - h|, slowest first). Arrays: `points` (K, H), and of up to 16 slow points, which are no
    fixed points, `slow_points` (U, H) and `slow_jacobians` (U, H, H). On a kink of relu there is no
    Jacobian: such a point has neither radius nor unstable modes, and is not counted as stable.

    References: Sussillo & Barak (2013), doi:10.1162/NECO_a_00409; Good (1953),
    doi:10.1093/biomet/40.3-4.237; Chao (1984), Scandinavian Journal of Statistics 11, 265-270.
    """

    name = "fixed_points"
    version = 3  # mirror images of odd maps, what is unseen, and slow points with their Jacobians
    models = RecurrentModel
    scalars = {
        "count": ScalarInfo("number of distinct fixed points found, a lower bound"),
        "odd": ScalarInfo("whether F(-h) = -F(h), so that mirror images of points are points"),
        "unseen": ScalarInfo(
            "chance that one more start finds a new point (Good-Turing)",
            better="lower",
            undefined="where no start reached a point",
        ),
        "estimated": ScalarInfo("least number of points to be expected (Chao 1)"),
        "converged": ScalarInfo("share of starts that reached a fixed point"),
        "stable": ScalarInfo("number of points without an eigenvalue outside the unit circle"),
        "worst_residual": ScalarInfo(
            "largest q = |F(h) - h|² / 2 among the points",
            better="lower",
            undefined="without a point",
        ),
        "least_radius": ScalarInfo(
            "smallest spectral radius among the points", undefined="without a smooth point"
        ),
        "slowest_unconverged": ScalarInfo(
            "least q of the starts that reached no point", undefined="where all converged"
        ),
        **POINT_SCALARS,
    }
    drawings = {"points": draw_points}

    def __init__(
        self,
        *,
        starts: Annotated[
            int, Field(ge=1, description="Number of states from which the search starts.")
        ] = 256,
        noise: Annotated[
            float,
            Field(
                ge=0,
                description="Gaussian noise on the starts, in standard deviations of the states.",
            ),
        ] = 0.5,
        tolerance: Annotated[
            float, Field(gt=0, description="Largest q at which a point counts as fixed.")
        ] = 1e-18,
        merge: Annotated[
            float, Field(gt=0, description="Distance below which two points count as one.")
        ] = 1e-6,
    ) -> None:
        self.starts, self.noise = starts, noise
        self.search = FixedPointSearch(tolerance=tolerance, merge=merge)

    def measure(self, subject: Subject) -> Findings:
        """Search from states that the network visits."""
        model = recurrent(subject)
        state_map = silent_map(subject, model)
        starts = self._starts(subject, model)
        found = find_fixed_points(state_map, starts, self.search)
        odd = is_odd(state_map, starts)
        kinds = found.hits.numpy()
        if odd:
            found, kinds = with_mirror_images(state_map, found, self.search.merge)
        with torch.no_grad():
            smooth = [not kinked_units(subject, state_map, one[None]).size for one in found.points]
        radii = found.eigenvalues.abs().amax(1).numpy() if len(found.points) else np.zeros(0)
        points = pd.DataFrame(
            {
                "residual": found.residuals.numpy(),
                "hits": found.hits.numpy(),
                "norm": found.points.norm(dim=1).numpy(),
                "radius": np.where(smooth, radii, np.nan),
                "unstable_modes": np.where(smooth, found.unstable_modes.numpy(), np.nan),
            }
        )
        least = points[np.array(smooth, dtype=bool)].nsmallest(1, "radius")
        finite = found.unconverged_residuals.isfinite()
        left, slow = found.unconverged_residuals[finite].numpy(), found.unconverged[finite][:SLOW]
        new = unseen_kinds(kinds) * (2 if odd else 1)
        slowness = pd.DataFrame({"residual": left, "speed": np.sqrt(2 * left)})
        return Findings(
            {
                "count": len(points),
                "odd": odd,
                "unseen": unseen_share(kinds),
                "estimated": len(points) + new,
                "converged": float(points["hits"].sum()) / self.starts,
                "stable": int((points["unstable_modes"] == 0).sum()),
                "worst_residual": _first(np.sort(points["residual"].to_numpy())[::-1]),
                "least_radius": _first(least["radius"].to_numpy()),
                "point_norm": _first(least["norm"].to_numpy()),
                "point_residual": _first(least["residual"].to_numpy()),
                "point_kind": "fixed point of least radius" if len(least) else "none",
                "slowest_unconverged": _first(np.sort(left)),
            },
            {"points": points, "unconverged": slowness},
            {
                "points": found.points.numpy(),
                "slow_points": slow.numpy(),
                "slow_jacobians": state_map.jacobians(slow).numpy(),
            },
            {
                "slowest_unconverged": "every start reached a fixed point",
                **dict.fromkeys(("worst_residual", "unseen"), "no start reached a fixed point"),
                **dict.fromkeys(OF_LEAST, "no start reached a fixed point without a kink"),
            },
        )

    def _starts(self, subject: Subject, model: RecurrentModel) -> Tensor:
        visited = trajectories(subject, model, 32).states.flatten(0, 1)
        visited = visited[visited.isfinite().all(1)]
        if not len(visited):
            visited = torch.zeros(1, model.hidden, dtype=torch.float64)
        index = torch.linspace(0, len(visited) - 1, self.starts).round().long()
        normals = subject.stream.fork("starts").normal((self.starts, model.hidden)).double()
        return visited[index] + self.noise * visited.std(0, correction=0) * normals


def is_odd(state_map: StateMap, states: Tensor) -> bool:
    """Whether F(-h) = -F(h) at every one of `states` (B H), up to rounding."""
    with torch.no_grad():
        there, mirrored = state_map(states), state_map(-states)
        gap = torch.linalg.vector_norm(there + mirrored, dim=1)
        size = torch.linalg.vector_norm(there, dim=1) + torch.linalg.vector_norm(mirrored, dim=1)
    return bool((gap <= ODD * size).all())


def with_mirror_images(
    state_map: StateMap, found: FixedPoints, merge: float
) -> tuple[FixedPoints, np.ndarray]:
    """The points of an odd map and their mirror images, and the hits of each mirror pair."""
    points, hits = found.points, found.hits.clone()
    missing: list[int] = []
    for index, point in enumerate(points):
        near = torch.linalg.vector_norm(points + point, dim=1) < merge
        twin = int(near.long().argmax()) if bool(near.any()) else None
        if twin is None:
            missing.append(index)
        elif twin > index:
            hits[index] += hits[twin]
            hits[twin] = 0
    added = -points[missing]
    whole = replace(
        found,
        points=torch.cat([points, added]),
        residuals=torch.cat([found.residuals, found.residuals[missing]]),
        hits=torch.cat([found.hits, torch.zeros(len(missing), dtype=found.hits.dtype)]),
        jacobians=torch.cat([found.jacobians, state_map.jacobians(added)]),
    )
    return whole, hits.numpy()


def _first(values: np.ndarray) -> float:
    return float(values[0]) if len(values) else float("nan")


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Offer `fixed_points`."""
    return [FixedPointAnalysis]
