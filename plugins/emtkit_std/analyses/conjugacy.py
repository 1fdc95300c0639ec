"""Analysis `conjugacy`: an Elman network and the episodic memory that moves the same way.

General sequential episodic memory (GSEMM) and its conjugacy with Elman networks.

    T_f dV_f/dt = Xi s_h(V_h) - V_f
    T_h dV_h/dt = Xi^+ s_f(V_f) + Phi' Xi^+ V_d - V_h,     Phi = I + Phi'
    T_d dV_d/dt = s_f(V_f) - V_d

With s_h = identity, unit strengths, T_f = dt = 1 and V_h, V_d slaved (T_h = T_d = 0), one Euler
step is V(t+1) = A s(V(t)) with A = Xi Phi Xi^+; then h = s(V) follows h(t+1) = s(A h(t)), an
Elman network. `phi` advances the coordinates of the memories; the paper writes it transposed.

References: Episodic Memory Theory, arXiv:2310.02430, section 3 and Eqs. 12-21 (which print Xi^T
where Xi^+ is meant).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.optimize import linear_sum_assignment

from emtkit import Analysis, Findings, NotApplicable, RecurrentModel, ScalarInfo, Subject, hookimpl
from emtkit_std._findings import Measured, undefined
from emtkit_std._parameters import Sequences, Threshold
from emtkit_std._theory.emt import memories
from emtkit_std._theory.facts import ACTIVATIONS, Array, PulseCircuit
from emtkit_std._theory.linearise import POINT_SCALARS, Linearisation, Point, attempt, recurrent
from emtkit_std._theory.observe import autonomous_law, trajectories

TINY = 1e-300
CORE = ("core_defect",)


class Conjugacy(Analysis):
    """GSEMM V' = Xi Phi Xi^+ s(V) against Elman h' = s(W h), with h = s(V).

    Any bias-free Elman network is a GSEMM with H memories: in a random orthonormal Xi,
    Phi = Xi^+ W Xi, and h o f = g o h holds identically. `defect` is the largest |s(V(t)) - h(t)|
    over `steps` steps from states that the network visits, V factor by factor and h by W: it
    measures rounding, and for expanding networks its growth. `spectrum_defect` is the largest
    distance between paired eigenvalues of Phi and W, relative to |W|; `norm` = |W|_2 (the identity
    needs no bound on it). `core_defect` asks what theory does: how well the few variable memories
    of `emt_basis` (dual) alone move the network, as the mean of |Psi Phi_hat Psi* h - J h| / |J h|
    over its autonomous states h, from the fixed point h* with Jacobian J that `point_norm`,
    `point_residual` and `point_kind` tell of (J is W at the origin).

    References: Episodic Memory Theory, arXiv:2310.02430, section 3, Eqs. 12-21.
    """

    name = "conjugacy"
    models = RecurrentModel
    requires = (PulseCircuit,)
    scalars = {
        "defect": ScalarInfo(
            "largest distance of the episodic memory's states from the network's",
            better="lower",
            undefined="where the network diverges",
        ),
        "spectrum_defect": ScalarInfo(
            "largest distance between paired eigenvalues of Phi and W_hh, relative to |W_hh|",
            better="lower",
        ),
        "norm": ScalarInfo("spectral norm of W_hh"),
        "core_defect": ScalarInfo(
            "relative error of the variable memories alone in moving the network a step",
            better="lower",
            undefined="without a fixed point or a core",
        ),
        **POINT_SCALARS,
    }
    conditions = {"point_kind": CORE}

    def __init__(
        self,
        *,
        steps: Annotated[
            int, Field(ge=1, description="Number of steps for which the two are compared.")
        ] = 100,
        sequences: Sequences = 16,
        threshold: Threshold = 0.9,
        point: Point = "auto",
    ) -> None:
        self.steps, self.sequences, self.threshold = steps, sequences, threshold
        self.point = point

    def measure(self, subject: Subject) -> Findings:
        """Factor the weights, run both, compare."""
        circuit = subject.fact(PulseCircuit)
        if circuit.b.any():
            raise NotApplicable("the network has biases, which the episodic memory has not")
        weights, size = circuit.W_hh, len(circuit.W_hh)
        normals = subject.stream.fork("memories").normal((size, size)).double().numpy()
        basis = np.linalg.qr(normals)[0]
        model = Gsemm.from_elman(weights, basis, circuit.activation)
        states = trajectories(subject, recurrent(subject), self.sequences).autonomous.numpy()
        if states.shape[-1] != size or not np.isfinite(states[:, :2]).all():
            raise NotApplicable("the network's states are not those of its recurrent matrix")
        apart = np.abs(np.linalg.eigvals(model.phi)[:, None] - np.linalg.eigvals(weights))
        pairs = apart[linear_sum_assignment(apart)]
        norm = float(np.linalg.norm(weights, 2))
        place = attempt(subject, self.point)
        core = self._core_defect(subject, states, place)
        defect = conjugacy_defect(model, weights, states[:, 0], self.steps)
        return Findings(
            {
                "defect": defect if np.isfinite(defect) else float("nan"),
                "spectrum_defect": float(pairs.max()) / max(norm, TINY),
                "norm": norm,
                **core.scalars,
                **place.scalars,
            },
            reasons={"defect": "the network diverges", **core.reasons, **place.reasons},
        )

    def _core_defect(self, subject: Subject, states: np.ndarray, place: Linearisation) -> Measured:
        """The defect of the variable memories alone, or NaN and why it is undefined."""
        try:
            law = autonomous_law(subject)
        except NotApplicable as reason:
            return undefined(CORE, str(reason))
        local = place.local
        if local is None:
            return undefined(CORE, place.reason)
        core = memories.spectral_core(local.jacobian, self.threshold)
        if core.size == 0:
            return undefined(CORE, f"no mode above {self.threshold}")
        found = memories.dual_memories(core, local.jacobian, local.readout, law.history, law.mask)
        moved = (states - local.point) @ local.jacobian.T
        alone = memories.project(states - local.point, found) @ found.phi.T @ found.basis.T
        share = np.linalg.norm(alone - moved, axis=-1) / np.linalg.norm(moved, axis=-1)
        return Measured({CORE[0]: float(share.mean())}, {CORE[0]: "the states vanish"})


@dataclass(frozen=True, eq=False)
class Gsemm:
    """Memories Xi (H, m), interactions `phi` (m, m), activation s."""

    memories: Array
    phi: Array
    activation: str

    @classmethod
    def from_elman(cls, weights: Array, memories: Array, activation: str) -> "Gsemm":
        """Phi = Xi^+ W Xi: exact where the memories span the space in which W (H, H) acts."""
        return cls(memories, np.linalg.pinv(memories) @ weights @ memories, activation)

    @cached_property
    def dual(self) -> Array:
        """Xi^+ (m, H)."""
        return np.linalg.pinv(self.memories)

    def step(self, states: Array) -> Array:
        """V(t+1) = Xi Phi Xi^+ s(V(t)), factor by factor; states (..., H)."""
        held = ACTIVATIONS[self.activation](states) @ self.dual.T
        return held @ self.phi.T @ self.memories.T


def conjugacy_defect(model: Gsemm, weights: Array, start: Array, steps: int) -> float:
    """Largest |s(V(t)) - h(t)| over `steps`, from h(0) = s(V(0)); start (..., H).

    V is stepped factor by factor, h by `weights` (H, H): two arithmetics of one map.
    """
    s = ACTIVATIONS[model.activation]
    inner, outer, worst = start, s(start), 0.0
    for _ in range(steps):
        inner, outer = model.step(inner), s(outer @ weights.T)
        worst = max(worst, float(np.abs(s(inner) - outer).max()))
    return worst


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Offer `conjugacy`."""
    return [Conjugacy]
