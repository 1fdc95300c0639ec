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
from emtkit_std._theory.emt.estimated import LAW, estimated_law, fit, own_law, silent_step
from emtkit_std._theory.facts import ACTIVATIONS, Array, PulseCircuit
from emtkit_std._theory.linearise import POINT_SCALARS, Linearisation, Point, attempt, recurrent
from emtkit_std._theory.observe import autonomous_law, trajectories

TINY = 1e-300
CORE = ("core_defect",)
OF_WEIGHTS = ("defect", "spectrum_defect", "norm")


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
    `point_residual` and `point_kind` tell of (J is W at the origin). Where the task has no linear
    law, the memories are those that `emt_basis` fits to an estimated one (`law`), and the states
    move as they do:

        core_defect = mean |Psi Phi_hat Psi* g - G| / |G|

    with g = h - mean and G = F(h) - mean.

    Gated networks, and those with biases, are no GSEMM: of them the core is asked for alone.

    References: Episodic Memory Theory, arXiv:2310.02430, section 3, Eqs. 12-21.
    """

    name = "conjugacy"
    version = 2  # networks of other forms, and tasks without a law of their own, by the core alone
    models = RecurrentModel
    scalars = {
        "defect": ScalarInfo(
            "largest distance of the episodic memory's states from the network's",
            better="lower",
            undefined="where the network diverges, or is no Elman network without biases",
        ),
        "spectrum_defect": ScalarInfo(
            "largest distance between paired eigenvalues of Phi and W_hh, relative to |W_hh|",
            better="lower",
            undefined="where the network is no Elman network without biases",
        ),
        "norm": ScalarInfo(
            "spectral norm of W_hh",
            undefined="where the network is no Elman network without biases",
        ),
        "core_defect": ScalarInfo(
            "relative error of the variable memories alone in moving the network a step",
            better="lower",
            undefined="without a fixed point or a core",
        ),
        "law": LAW,
        **POINT_SCALARS,
    }
    conditions = {"point_kind": CORE, "law": CORE}

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
        conjugate, stated = self._conjugate(subject), own_law(subject)
        place = Linearisation(None, "nothing is linearised here")
        if stated:
            place = attempt(subject, self.point)
        core = self._core_defect(subject, place) if stated else _fitted_defect(subject)
        return Findings(
            {
                **conjugate.scalars,
                **core.scalars,
                "law": "stated" if stated else "estimated",
                **place.scalars,
            },
            reasons={**conjugate.reasons, **core.reasons, **place.reasons},
        )

    def _conjugate(self, subject: Subject) -> Measured:
        """What the weights say, or why they have not the form."""
        if PulseCircuit not in subject.model.offers:
            return undefined(
                OF_WEIGHTS,
                f"'{subject.model.name}' is no Elman network, to which a GSEMM is conjugate; use "
                "one that offers the fact PulseCircuit",
            )
        circuit = subject.model.facts(PulseCircuit)
        if circuit.b.any():
            why = "the network has biases, which the episodic memory has not; build it without"
            return undefined(OF_WEIGHTS, why)
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
        defect = conjugacy_defect(model, weights, states[:, 0], self.steps)
        values = (defect if np.isfinite(defect) else float("nan"), pairs.max() / max(norm, TINY))
        scalars = dict(zip(OF_WEIGHTS, (*map(float, values), norm), strict=True))
        return Measured(scalars, {"defect": "the network diverges"})

    def _core_defect(self, subject: Subject, place: Linearisation) -> Measured:
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
        states = trajectories(subject, local.model, self.sequences).autonomous.numpy()
        moved = (states - local.point) @ local.jacobian.T
        alone = memories.project(states - local.point, found) @ found.phi.T @ found.basis.T
        share = np.linalg.norm(alone - moved, axis=-1) / np.linalg.norm(moved, axis=-1)
        return Measured({CORE[0]: float(share.mean())}, {CORE[0]: "the states vanish"})


def _fitted_defect(subject: Subject) -> Measured:
    """The defect of memories that are fitted to an estimated law."""
    try:
        law = estimated_law(subject)
        found = fit(silent_step(recurrent(subject), law), law)
    except NotApplicable as reason:
        return undefined(CORE, str(reason))
    return Measured({CORE[0]: found.core_defect}, {CORE[0]: "the states vanish in silence"})


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
