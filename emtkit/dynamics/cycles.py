"""Cycles of a state map by Newton's method on its p-th iterate, with exact Jacobians.

    F^p(h) = h,   M = J(h_{p-1}) ... J(h_1) J(h_0),   h_{k+1} = F(h_k), h_0 = h
    Newton:  (M - I) delta = -(F^p(h) - h)

The eigenvalues of M are the Floquet multipliers: all inside the unit circle, the cycle attracts.
Where M - I is singular (a circle of cycles, as in every linear memory) the step is the shortest.
Newton finds the cycle nearest in its own sense, which may be another one than the state is on:
`moved` says how far it went, and the caller judges.

References: Sussillo & Barak (2013), doi:10.1162/NECO_a_00409 (period 1); Guckenheimer & Holmes
(1983), doi:10.1007/978-1-4612-1140-2, section 1.5 (multipliers).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from emtkit.dynamics.linearise import StateMap

CLOSED = 1e-9
"""A cycle counts as closed below this distance, as a share of the size of its state."""
RCOND = 1e-9
"""Directions in which M - I is smaller than this, as a share of the largest, are left alone."""


@dataclass(frozen=True)
class Cycles:
    """One cycle for each start: the best state met by Newton's method.

    `points` B H; `before` and `residuals` B, |F^p(h) - h| of the start and of the point; `moved` B,
    their distance; `closed` B, whether the residual is below `CLOSED`; `multipliers` B H, complex,
    largest first, per step: of modulus |mu|^(1/p) and argument arg mu; 0 where the map is not
    finite. Those below 1e-16 of the largest mu are rounding.
    """

    points: Tensor
    before: Tensor
    residuals: Tensor
    moved: Tensor
    closed: Tensor
    multipliers: Tensor


def find_cycles(
    state_map: StateMap,
    starts: Tensor,
    periods: Tensor,
    sizes: Tensor | None = None,
    newton_steps: int = 8,
) -> Cycles:
    """The cycle of period `periods` (B, integers from 1) next to each of `starts` (B H, float64).

    A start that closes already is not moved. `sizes` (B, positive) are what residuals are shares
    of: |h| of the start, or 1 where that is smaller. Rows of equal period share the linear algebra.

    Raises:
        ValueError: the starts are no float64 matrix, or the periods are not one integer for each.
    """
    if starts.dtype != torch.float64 or starts.ndim != 2:
        raise ValueError(
            f"starts must be a float64 tensor (batch, state), got {starts.dtype} "
            f"{tuple(starts.shape)}"
        )
    if periods.shape != starts.shape[:1] or periods.is_floating_point() or (periods < 1).any():
        raise ValueError(
            f"periods must be one integer from 1 on for each of {len(starts)} starts, got "
            f"{periods.dtype} {tuple(periods.shape)}"
        )
    if sizes is None:
        sizes = torch.linalg.vector_norm(starts, dim=1).clamp(min=1.0)
    limits = CLOSED * sizes
    points, before = starts.clone(), starts.new_full((len(starts),), torch.inf)
    residuals = before.clone()
    multipliers = starts.new_zeros(starts.shape, dtype=torch.complex128)
    with torch.no_grad():
        for period in sorted(set(periods.tolist())):
            rows = torch.nonzero(periods == period).squeeze(1)
            found = _newton(state_map, starts[rows], period, limits[rows], newton_steps)
            points[rows], multipliers[rows] = found.points, _per_step(found.way, period)
            before[rows], residuals[rows] = found.before, found.residuals
    return Cycles(
        points=points,
        before=before,
        residuals=residuals,
        moved=torch.linalg.vector_norm(points - starts, dim=1),
        closed=residuals <= limits,
        multipliers=multipliers,
    )


@dataclass(frozen=True)
class _Way:
    """The product of the Jacobians along p steps, as e^`logs` (B) times `shapes` (B H H).

    The product alone would underflow: .17^840 is no number.
    """

    shapes: Tensor
    logs: Tensor

    @property
    def products(self) -> Tensor:
        return self.shapes * self.logs.exp()[:, None, None]

    def __getitem__(self, rows: Tensor) -> "_Way":
        return _Way(self.shapes[rows], self.logs[rows])


@dataclass(frozen=True)
class _Found:
    points: Tensor
    before: Tensor
    residuals: Tensor
    way: _Way


def _newton(state_map: StateMap, starts: Tensor, period: int, limits: Tensor, steps: int) -> _Found:
    """Every row on its own, until it closes; the best state met is kept, with its product."""
    here, active = starts.clone(), torch.arange(len(starts))
    rows, width = starts.shape
    never = starts.new_full((rows,), torch.inf)
    best = _Found(
        starts.clone(),
        never.clone(),
        never.clone(),
        _Way(starts.new_zeros(rows, width, width), starts.new_zeros(rows)),
    )
    identity = torch.eye(width, dtype=starts.dtype)
    for step in range(steps + 1):
        end, way = _turn(state_map, here[active], period)
        error = end - here[active]
        residual = torch.linalg.vector_norm(error, dim=1)
        product = way.products
        usable = residual.isfinite() & product.isfinite().flatten(1).all(1)
        if step == 0:
            best.before.copy_(torch.where(residual.isfinite(), residual, torch.inf))
        better = usable & (residual < best.residuals[active])
        won = active[better]
        best.points[won], best.residuals[won] = here[won], residual[better]
        best.way.shapes[won], best.way.logs[won] = way.shapes[better], way.logs[better]
        going = usable & (residual > limits[active])
        active, error, product = active[going], error[going], product[going]
        if step == steps or not len(active):
            break
        shortest = torch.linalg.lstsq(
            product - identity, -error.unsqueeze(-1), rcond=RCOND, driver="gelsd"
        )
        here[active] += shortest.solution.squeeze(-1)
    return best


def _turn(state_map: StateMap, points: Tensor, period: int) -> tuple[Tensor, _Way]:
    """F^p of every row (B H), and the product of the Jacobians on the way."""
    shapes = torch.eye(points.shape[1], dtype=points.dtype).expand(len(points), -1, -1)
    logs = points.new_zeros(len(points))
    for _ in range(period):
        shapes = state_map.jacobians(points) @ shapes
        size = shapes.flatten(1).abs().amax(1)
        size = torch.where((size > 0) & size.isfinite(), size, 1.0)
        shapes, logs = shapes / size[:, None, None], logs + size.log()
        points = state_map(points)
    return points, _Way(shapes, logs)


def _per_step(way: _Way, period: int) -> Tensor:
    """Multipliers (B H), largest first, as |mu|^(1/p) e^(i arg mu)."""
    values = torch.linalg.eigvals(way.shapes)
    values = values.gather(1, values.abs().argsort(dim=1, descending=True, stable=True))
    modulus = (values.abs() ** (1.0 / period)) * (way.logs / period).exp()[:, None]
    return torch.polar(modulus, values.angle())
