"""Fixed points of a state map by Levenberg-Marquardt and Newton with exact Jacobians.

    F(h) = step(h) - h,   q = |F|^2 / 2
    Levenberg-Marquardt:  (J^T J + mu I) delta = -J^T F
    Newton:               J delta = -F

Every start runs on its own; batches only share the linear algebra. Neither method dominates, so
starts first descend by Levenberg-Marquardt, are polished by Newton, and those left over are
tried by Newton from where they began. What still has not converged is reported apart, never
mixed in: slow points are not fixed points.

References: Sussillo & Barak (2013), doi:10.1162/NECO_a_00409; Golub & Sussillo (2018),
doi:10.21105/joss.01003, which minimise q by gradient descent instead.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from emtkit.dynamics.linearise import StateMap

DAMPING_START, DAMPING_MIN, DAMPING_MAX = 1e-1, 1e-12, 1e8


@dataclass(frozen=True)
class FixedPointSearch:
    """How hard to search: a point counts as fixed when q < `tolerance`.

    `basin`: q below which Newton takes over; points nearer than `merge` are one.
    """

    tolerance: float = 1e-18
    basin: float = 1e-3
    descent_steps: int = 40
    newton_steps: int = 30
    merge: float = 1e-6


@dataclass(frozen=True)
class FixedPoints:
    """Distinct fixed points, best first, and apart from them the starts that reached none.

    `points` K H, `residuals` K (q), `hits` K (starts that ended there), `jacobians` K H H;
    `unconverged` U H with their `unconverged_residuals` U.
    """

    points: Tensor
    residuals: Tensor
    hits: Tensor
    jacobians: Tensor
    unconverged: Tensor
    unconverged_residuals: Tensor

    @property
    def eigenvalues(self) -> Tensor:
        """Complex eigenvalues of every Jacobian: K H."""
        values: Tensor = torch.linalg.eigvals(self.jacobians)
        return values

    @property
    def unstable_modes(self) -> Tensor:
        """How many eigenvalues of each point lie outside the unit circle: K."""
        return (self.eigenvalues.abs() > 1).sum(dim=1)


def find_fixed_points(
    state_map: StateMap, starts: Tensor, search: FixedPointSearch | None = None
) -> FixedPoints:
    """All fixed points reached from `starts` B H (float64).

    Raises ValueError for starts that are not a float64 matrix.
    """
    if starts.dtype != torch.float64 or starts.ndim != 2 or not len(starts):
        raise ValueError(
            f"starts must be a float64 tensor (batch, state) with at least one row, got "
            f"{starts.dtype} {tuple(starts.shape)}"
        )
    search = search or FixedPointSearch()
    with torch.no_grad():
        found = _descend(state_map, starts, search)
        found = _newton(state_map, found, search)
        left = ~(_residual(state_map, found) < search.tolerance)
        if left.any():
            retried = _newton(state_map, starts[left], search)
            better = _residual(state_map, retried) < search.tolerance
            found[left] = torch.where(better[:, None], retried, found[left])
        return _collect(state_map, found, search)


def merge_points(points: Tensor, distance: float) -> tuple[Tensor, Tensor]:
    """Indices K of the first of each group of rows within `distance`, and group sizes K."""
    representatives: list[int] = []
    sizes: list[int] = []
    free = torch.ones(len(points), dtype=torch.bool)
    for index in range(len(points)):
        if not free[index]:
            continue
        near = free & (torch.linalg.vector_norm(points - points[index], dim=1) < distance)
        representatives.append(index)
        sizes.append(int(near.sum()))
        free &= ~near
    return torch.tensor(representatives, dtype=torch.long), torch.tensor(sizes, dtype=torch.long)


def _residual(state_map: StateMap, states: Tensor) -> Tensor:
    """q of every row; infinite where the map overflows, so that comparisons stay meaningful."""
    q = 0.5 * (state_map(states) - states).square().sum(dim=1)
    return torch.where(torch.isfinite(q), q, torch.inf)


def _descend(state_map: StateMap, starts: Tensor, search: FixedPointSearch) -> Tensor:
    """Levenberg-Marquardt on every row until it enters Newton's basin."""
    states = starts.clone()
    q = _residual(state_map, states)
    damping = torch.full_like(q, DAMPING_START)
    identity = torch.eye(states.shape[1], dtype=states.dtype)
    for _ in range(search.descent_steps):
        active = torch.nonzero((q >= search.basin) & (damping < DAMPING_MAX)).squeeze(1)
        if not len(active):
            break
        here = states[active]
        error = state_map(here) - here
        slope = state_map.jacobians(here) - identity
        normal = slope.mT @ slope + damping[active, None, None] * identity
        gradient = (slope.mT @ error.unsqueeze(-1)).squeeze(-1)
        # cholesky_ex leaves a flag instead of raising for the one row that is not definite.
        factor, failed = torch.linalg.cholesky_ex(normal)
        step = torch.cholesky_solve(gradient.unsqueeze(-1), factor).squeeze(-1)
        moved = here - step
        q_moved = torch.where(failed == 0, _residual(state_map, moved), torch.inf)
        better = q_moved < q[active]
        states[active] = torch.where(better[:, None], moved, here)
        q[active] = torch.where(better, q_moved, q[active])
        factor_of_damping = torch.where(better, 0.2, 5.0)
        damping[active] = (damping[active] * factor_of_damping).clamp(min=DAMPING_MIN)
    return states


def _newton(state_map: StateMap, starts: Tensor, search: FixedPointSearch) -> Tensor:
    """Plain Newton on every row until q < tolerance; the best state met is kept."""
    states, best = starts.clone(), starts.clone()
    q_best = _residual(state_map, best)
    alive = q_best >= search.tolerance
    identity = torch.eye(states.shape[1], dtype=states.dtype)
    for _ in range(search.newton_steps):
        active = torch.nonzero(alive).squeeze(1)
        if not len(active):
            break
        here = states[active]
        slope = state_map.jacobians(here) - identity
        error = state_map(here) - here
        step, singular = torch.linalg.solve_ex(slope, error.unsqueeze(-1))
        moved = here - step.squeeze(-1)
        q_moved = torch.where(singular == 0, _residual(state_map, moved), torch.inf)
        states[active] = moved
        better = q_moved < q_best[active]
        best[active] = torch.where(better[:, None], moved, best[active])
        q_best[active] = torch.where(better, q_moved, q_best[active])
        alive[active] = torch.isfinite(q_moved) & (q_moved >= search.tolerance)
    return best


def _collect(state_map: StateMap, found: Tensor, search: FixedPointSearch) -> FixedPoints:
    """Split by convergence, merge near points, best residual first."""
    q = _residual(state_map, found)
    order = torch.argsort(q, stable=True)
    found, q = found[order], q[order]
    converged = q < search.tolerance
    points, residuals = found[converged], q[converged]
    first, hits = merge_points(points, search.merge)
    points = points[first]
    return FixedPoints(
        points=points,
        residuals=residuals[first],
        hits=hits,
        jacobians=state_map.jacobians(points),
        unconverged=found[~converged],
        unconverged_residuals=q[~converged],
    )
