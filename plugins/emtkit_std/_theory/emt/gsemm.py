"""General sequential episodic memory (GSEMM) and its conjugacy with Elman networks.

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

import numpy as np

from emtkit_std._theory.facts import ACTIVATIONS, Array


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
