"""The one linearisation: the Jacobian of a network's own map at a fixed point of it, in float64."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from emtkit import (
    NotApplicable,
    RecurrentModel,
    Scalar,
    ScalarInfo,
    StateMap,
    Subject,
    find_fixed_points,
    row_jacobians,
    state_map_of,
)
from emtkit_std._theory.facts import Array
from emtkit_std._theory.observe import in_double, trajectories
from emtkit_std._theory.superposition.projections import spectral_radius

Point = Annotated[
    Literal["auto", "origin", "nearest", "attractor"],
    Field(
        description="The fixed point to linearise at: the origin where it is one and else the "
        "nearest (auto), the origin, the nearest to the states, or the attractor reached."
    ),
]
PointKind = Literal["origin", "nearest fixed point", "attractor reached"]

POINT_SCALARS = {
    "point_norm": ScalarInfo("norm of the fixed point", undefined="without one"),
    "point_residual": ScalarInfo("|F(h) - h|² / 2 at the fixed point", undefined="without one"),
    "point_kind": ScalarInfo("how the fixed point was chosen; none where there is none"),
}
"""What every finding that linearises says of its point, for `Analysis.scalars`."""

FIXED = 1e-12
STARTS, SEQUENCES = 32, 16
SETTLE, STILL, REACHED = 2000, 1e-12, 1e-3
REPELS = 1e-3
"""A Jordan block at 1 in float32 weights shows a radius of 1 + sqrt(eps) = 1.0003 by rounding."""
KINK_STEP, KINK_LIMIT, KINK_FLOOR = 1e-6, 1e-3, 1e-2


@dataclass(frozen=True, eq=False)
class Linearised:
    """A network in float64 at a fixed point h* of F(h) = step(h, 0), where F has a derivative.

    `point` h* (H,), chosen as `kind` says; `residual` |F(h*) - h*|² / 2; `jacobian` dF/dh (H, H);
    `readout` d read / d h (O, H).
    """

    model: RecurrentModel
    point: Array
    kind: PointKind
    residual: float
    jacobian: Array

    @cached_property
    def readout(self) -> Array:
        """Derived only where it is asked for: spectra do not need it."""
        slopes = row_jacobians(self.model.read, torch.from_numpy(self.point).unsqueeze(0))
        return np.asarray(slopes[0].numpy())

    @property
    def scalars(self) -> Mapping[str, Scalar]:
        """What every finding that linearises says of its point."""
        return {
            "point_norm": float(np.linalg.norm(self.point)),
            "point_residual": self.residual,
            "point_kind": self.kind,
        }


@dataclass(frozen=True, eq=False)
class Linearisation:
    """What became of an attempt: the network at its point, or the reason why there is none."""

    local: Linearised | None
    reason: str = ""

    @property
    def scalars(self) -> Mapping[str, Scalar]:
        """As `Linearised.scalars`; without a point its kind is `none`."""
        if self.local is not None:
            return self.local.scalars
        return {"point_norm": float("nan"), "point_residual": float("nan"), "point_kind": "none"}

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why norm and residual are undefined, where they are."""
        return dict.fromkeys(("point_norm", "point_residual"), self.reason)


def linearise(subject: Subject, point: Point = "auto") -> Linearised:
    """The network at a fixed point of its map without input, F(h) = step(h, 0).

    `auto`: the origin where F leaves it in place, else as `nearest`. Theory speaks of
    displacements from the origin, where a network without biases has unit slopes; where the origin
    moves, the linear picture holds best at the fixed point nearest to the states in use.
    `origin`: the origin, which must be a fixed point.
    `nearest`: of the fixed points found from the states of the task after its last input, from
    their mean and from the origin, the one nearest to that mean.
    `attractor`: where F takes the initial state of the network.

    Raises:
        NotApplicable: the model has no state map, there is no such point, or F has no derivative
            there (a relu at its threshold); the reason says which.
    """
    model = recurrent(subject)
    state_map = silent_map(subject, model)
    with torch.no_grad():
        origin = torch.zeros(1, model.hidden, dtype=torch.float64)
        moved = float((state_map(origin) - origin).abs().max())
        kind: PointKind
        if point == "attractor":
            chosen, kind = _reached(model, state_map), "attractor reached"
        elif point != "nearest" and moved <= FIXED:
            chosen, kind = origin, "origin"
        elif point != "origin":
            chosen, kind = _nearest(subject, model, state_map), "nearest fixed point"
        else:
            raise NotApplicable(
                f"the origin is not a fixed point (without input it moves by {moved:.2g}); "
                "choose `point: auto`, `nearest` or `attractor`"
            )
        units = kinked_units(subject, state_map, chosen)
        if units.size:
            raise NotApplicable(
                "the state map has a kink at its fixed point (a relu at its threshold), so it has "
                "no Jacobian there: units "
                f"{units.tolist()} have different slopes on their two sides"
            )
        jacobian = state_map.jacobians(chosen)[0].numpy()
        residual = 0.5 * float((state_map(chosen) - chosen).square().sum())
    if kind == "attractor reached":
        _refuse_repeller(jacobian)
    return Linearised(model, chosen[0].numpy(), kind, residual, jacobian)


def attempt(subject: Subject, point: Point = "auto") -> Linearisation:
    """`linearise`, for findings of which only a part needs it."""
    try:
        return Linearisation(linearise(subject, point))
    except NotApplicable as reason:
        return Linearisation(None, str(reason))


def recurrent(subject: Subject) -> RecurrentModel:
    """A float64 copy of the subject's recurrent model.

    Raises:
        NotApplicable: it has no state map.
    """
    model = in_double(subject.model)
    if not isinstance(model, RecurrentModel):
        raise NotApplicable(f"'{model.name}' has no state map h -> step(h, u); use a recurrent one")
    return model


def silent_map(subject: Subject, model: RecurrentModel) -> StateMap:
    """h -> step(h, 0)."""
    return state_map_of(model, torch.zeros(subject.task.channels.inputs, dtype=torch.float64))


def kinked_units(subject: Subject, state_map: StateMap, point: Tensor) -> NDArray[np.intp]:
    """Units whose slopes on the two sides of `point` (1, H), along random directions, differ.

    Slopes below KINK_FLOOR of the largest one, or of 1, are compared with that; a difference
    counts beyond the rounding of the two values that it is made of.
    """
    normals = subject.stream.fork("kink").normal((4, point.shape[1])).double()
    steps = KINK_STEP * normals / normals.norm(dim=1, keepdim=True)
    moved = state_map(torch.cat([point, point + steps, point - steps]))
    here, after, before = moved.split([1, len(steps), len(steps)])
    ahead, behind = after - here, here - before
    size = torch.maximum(ahead.abs(), behind.abs()).amax(0)
    floor = KINK_FLOOR * max(float(size.max()), KINK_STEP)
    rounding = 8 * np.finfo(np.float64).eps * (moved.abs().amax(0) + point[0].abs())
    gap = (ahead - behind).abs().amax(0) - rounding
    return np.flatnonzero((gap > KINK_LIMIT * size.clamp(min=floor)).numpy())


def _nearest(subject: Subject, model: RecurrentModel, state_map: StateMap) -> Tensor:
    states = trajectories(subject, model, SEQUENCES).autonomous.flatten(0, 1)
    states = states[states.isfinite().all(1)]
    centre = states.mean(0, keepdim=True) if len(states) else states.new_zeros(1, model.hidden)
    spread = states[:: max(1, len(states) // STARTS)]
    starts = torch.cat([torch.zeros_like(centre), centre, spread])
    found = find_fixed_points(state_map, starts)
    if not len(found.points):
        least = float(found.unconverged_residuals.min())
        raise NotApplicable(
            f"no fixed point was found from {len(starts)} starts (least |F|² / 2 = {least:.2g}), "
            "so there is no place to linearise at"
        )
    distance = (found.points - centre).norm(dim=1)
    return found.points[int(distance.argmin())].unsqueeze(0)


def _reached(model: RecurrentModel, state_map: StateMap) -> Tensor:
    """The fixed point in which the initial state settles, polished by Newton's method."""
    state = model.initial(1).double()
    step = float("inf")
    for _ in range(SETTLE):
        before, state = state, state_map(state)
        step = float((state - before).abs().max())
        if not step > STILL:  # NaN too
            break
    if not bool(state.isfinite().all()):
        raise NotApplicable("without input the state grows beyond all bounds")
    found = find_fixed_points(state_map, state)
    away = (found.points - state).norm(dim=1)
    if not len(away) or float(away[0]) > REACHED * (1 + float(state.norm())):
        raise NotApplicable(
            f"without input the state settles at no fixed point: it still moves by {step:.2g} "
            f"after {SETTLE} steps"
        )
    return found.points[:1]


def _refuse_repeller(jacobian: Array) -> None:
    """A state that starts exactly on a repeller stays there, and no other one reaches it."""
    if (radius := spectral_radius(jacobian)) > 1 + REPELS:
        raise NotApplicable(
            f"the initial state is a fixed point that repels (spectral radius {radius:.3g}), so no "
            "attractor is reached; choose `point: auto`, `origin` or `nearest`"
        )
