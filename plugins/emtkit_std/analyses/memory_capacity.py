"""How much of the past a recurrence holds: linear memory capacity and Fisher memory.

With directions w_s = W_hh^s W_uh:

    capacity of age s   C_s = w_s' P^-1 w_s,  P = sum_s w_s w_s'   (white input, no noise)
    Fisher memory       J_s = w_s' C^-1 w_s,  C = sum_j W_hh^j W_hh^j'   (unit noise at every step)

The capacities sum to the rank of the controllability matrix, H for a controllable network. Fisher
memory of a unit input sums to 1 for normal W_hh and to at most H in general.

Sources: White, Lee and Sompolinsky (2004); Ganguli, Huh and Sompolinsky (2008); Ballarin,
Grigoryeva and Ortega (arXiv 2305.01457) on why the capacity must not be computed by inverting P.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import solve_discrete_lyapunov

from emtkit import (
    Analysis,
    Control,
    Drawing,
    EmtkitError,
    Findings,
    Line,
    NotApplicable,
    Plot,
    RecurrentModel,
    ScalarInfo,
    Subject,
    hookimpl,
    row_jacobians,
)
from emtkit_std._controls import LAST_DELAY, REGISTER
from emtkit_std._findings import long_table, undefined
from emtkit_std._theory.facts import Array, LinearRecurrence
from emtkit_std._theory.linearise import POINT_SCALARS, Linearisation, Point, linearise
from emtkit_std._theory.networks.recurrence import to_array
from emtkit_std._theory.superposition.projections import pulse_responses, spectral_radius
from emtkit_std._theory.svd import decompose

_SHOWN = 64
_DOUBLINGS, _SETTLED = 40, 1e-17


def draw_memory(findings: Findings) -> Drawing:
    """Memory against age, summed over inputs.

    Raises:
        NotApplicable: it is not defined.
    """
    if "memory" not in findings.tables:
        raise NotApplicable(findings.reasons["linear"])
    rows = findings.tables["memory"].groupby("age")[["linear", "fisher"]].sum()
    lines = [
        Line(rows.index, rows[name], name, f"C{place}", markers=True)
        for place, name in enumerate(rows)
    ]
    return Drawing([Plot(lines, "", "age", "memory")])


class MemoryCapacity(Analysis):
    """Linear memory capacity and Fisher memory of a linear recurrence, or of a linearised one.

    linear: sum_s w_s' P^-1 w_s with P = sum_s w_s w_s', over all ages: the number of directions
    reached (H when controllable), those too that rounding would hide in P. fisher: sum_s w_s' C^-1
    w_s with C = sum_j W_hh^j W_hh^j', inputs scaled to length 1; it is 1 for normal W_hh and one
    input, at most H in general. Both hold for the linear network everywhere: nothing is linearised.
    Any other is taken at the fixed point h* that `point` chooses, for small inputs:

        W_hh = dF(h*, 0)/dh,   W_uh = dF(h*, 0)/du

    (`point_kind` is `none` for a linear one).
    Table `memory` (age, feature_in) has the first 64 ages. `information_capacity` measures any
    driven network, from its states.

    References: White, Lee and Sompolinsky (2004), doi:10.1103/PhysRevLett.92.148102; Ganguli, Huh
    and Sompolinsky (2008), doi:10.1073/pnas.0804451105; Ballarin, Grigoryeva and Ortega,
    arXiv:2305.01457.
    """

    name = "memory_capacity"
    version = 3  # networks that are not linear, at a fixed point
    models = RecurrentModel
    scalars = {
        "linear": ScalarInfo(
            "linear memory capacity: number of directions reached",
            better="higher",
            undefined="where the recurrence does not forget",
        ),
        "fisher": ScalarInfo(
            "Fisher memory of inputs of unit length, over all ages",
            better="higher",
            undefined="where the recurrence does not forget",
        ),
        **POINT_SCALARS,
    }
    conditions = {"point_kind": ("linear", "fisher")}
    drawings = {"memory": draw_memory}
    controls = (Control(LAST_DELAY, REGISTER, "linear", least=4 - 1e-9, most=4 + 1e-9),)

    def __init__(self, *, point: Point = "auto") -> None:
        self.point = point

    def measure(self, subject: Subject) -> Findings:
        """Both memories; undefined where the recurrence does not forget."""
        law, place = self._recurrence(subject)
        try:
            fisher = fisher_memory(law.W_hh, law.W_uh, _SHOWN)
            linear = linear_capacity(law.W_hh, law.W_uh, _SHOWN)
        except EmtkitError as error:
            without = undefined(("linear", "fisher"), str(error))
            return Findings(
                {**without.scalars, **place.scalars}, reasons={**without.reasons, **place.reasons}
            )
        shown = {"linear": linear.by_age, "fisher": fisher.by_age}
        return Findings(
            {"linear": linear.total, "fisher": fisher.total, **place.scalars},
            {"memory": long_table(("age", "feature_in"), shown)},
            reasons=place.reasons,
        )

    def _recurrence(self, subject: Subject) -> tuple[LinearRecurrence, Linearisation]:
        """The network's own, or what it is near its fixed point."""
        if LinearRecurrence in subject.model.offers:
            own = subject.model.facts(LinearRecurrence)
            return own, Linearisation(None, "the network is linear: nothing is linearised")
        local = linearise(subject, self.point)
        there = torch.from_numpy(local.point)[None]
        inputs = there.new_zeros(1, subject.task.channels.inputs)
        written = row_jacobians(lambda u: local.model.step(there.expand(len(u), -1), u), inputs)[0]
        near = LinearRecurrence(local.jacobian, to_array(written), local.readout)
        return near, Linearisation(local)


@dataclass(frozen=True)
class MemoryCurve:
    """Memory by age and input (L, I), and its sum over every age and input."""

    by_age: Array
    total: float


def linear_capacity(W_hh: Array, W_uh: Array, lags: int) -> MemoryCurve:
    """C_s of the first `lags` ages, P summed over all of them; the total is the rank reached.

    C_s are squared lengths in the coordinates of a square root of P, from its singular values: P
    itself has the square of their condition number. Directions that rounding hides count in the
    total (from `reached_directions`) and in no C_s.

    Raises:
        EmtkitError: the recurrence does not forget, or its directions overflow.
    """
    root = decompose(_square_root(W_hh, W_uh))
    kept = root.values > root.values.max() * len(W_hh) * np.finfo(np.float64).eps
    into = root.left[:, kept] / root.values[kept]
    curve = np.square(np.einsum("hr,shi->sri", into, pulse_responses(W_hh, W_uh, lags))).sum(1)
    return MemoryCurve(curve, float(reached_directions(W_hh, W_uh)))


def reached_directions(W_hh: Array, W_uh: Array) -> int:
    """Dimension of the span of W_uh, W_hh W_uh, W_hh^2 W_uh, ...: the controllable subspace.

    Grown by orthonormal blocks, as the rank of the powers themselves is lost to rounding: of 64
    random units (radius .9) it reads 54, since powers turn to the same direction (Ballarin et al.).
    """
    units = len(W_hh)
    basis, limit = np.zeros((units, 0)), units * np.finfo(np.float64).eps
    block, scale = W_uh / (np.linalg.norm(W_uh, 2) or 1.0), np.linalg.norm(W_hh, 2) or 1.0
    while block.shape[1] and basis.shape[1] < units:
        for _ in range(2):  # once leaves what rounding brought in
            block = block - basis @ (basis.T @ block)
        found = decompose(block)
        fresh = found.left[:, found.values > limit]
        basis = np.concatenate([basis, fresh], axis=1)
        block = W_hh @ fresh / scale
    return basis.shape[1]


def _square_root(W_hh: Array, W_uh: Array) -> Array:
    """L (H, H) with L L' = sum over all ages of w_s w_s', by doubling the number of ages.

        L_2n L_2n' = L_n L_n' + W_hh^n L_n L_n' W_hh^n'

    (Smith 1968), each compressed by QR, so that P with its squared condition is never formed.
    """
    units = len(W_hh)
    root, power = np.zeros((units, units + W_uh.shape[1])), np.asarray(W_hh)
    root[:, : W_uh.shape[1]] = W_uh
    for doubling in range(_DOUBLINGS):
        with np.errstate(over="ignore", invalid="ignore"):
            later = power @ root
            power = power @ power
        if not (np.isfinite(later).all() and np.isfinite(power).all()):
            raise EmtkitError("linear_capacity: the directions of early ages overflow")
        if np.linalg.norm(later) <= _SETTLED * np.linalg.norm(root) and 2**doubling >= units:
            return root
        root = np.linalg.qr(np.concatenate([root, later], axis=1).T, mode="r").T
    raise EmtkitError(
        f"linear_capacity: the recurrence does not forget in {2.0**_DOUBLINGS:g} steps"
    )


def fisher_memory(W_hh: Array, W_uh: Array, lags: int) -> MemoryCurve:
    """J_s of inputs scaled to ||w_0|| = 1, with the noise and the total over all ages.

    The total over infinitely many ages is tr(C^-1 P), both from Lyapunov equations.
    """
    radius = spectral_radius(W_hh)
    if radius >= 1.0 - 1e-9:
        raise EmtkitError(
            f"fisher_memory: the spectral radius is {radius:.6g}, so the noise never settles; "
            "it must be below 1"
        )
    lengths = np.linalg.norm(W_uh, axis=0)
    if not lengths.all():
        raise EmtkitError(
            "fisher_memory: an input has no weights at all, so it cannot be scaled to 1"
        )
    unit = W_uh / lengths
    noise = solve_discrete_lyapunov(W_hh, np.eye(len(W_hh)))
    signal = solve_discrete_lyapunov(W_hh, unit @ unit.T)
    directions = pulse_responses(W_hh, unit, lags)
    by_age = np.einsum("shi,shi->si", directions, np.linalg.solve(noise, directions))
    return MemoryCurve(by_age, float(np.trace(np.linalg.solve(noise, signal))))


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """The analysis of this module."""
    return [MemoryCapacity]
