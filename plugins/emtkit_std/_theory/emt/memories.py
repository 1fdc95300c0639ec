"""Variable memories of a trained recurrent network: Algorithm 1, dual and primal.

Both start from the core: the invariant subspace of the Jacobian J whose eigenvalues lie above a
modulus, with the oblique (Riesz) projector that commutes with J. Everything stays real.

    primal:  Psi_k  = Pi J^(s-k) W_r^+                       (the papers', Eq. 9)
    dual:    Psi*_k = (W_r Z) A^-(s-k) L                     (what the output was s-k steps ago)

The dual reads no pseudo-inverse of W_r and is exact for every linear rule; the primal is exact
only where Psi_s is orthogonal to the other memories.

References: arXiv:2310.02430, Eqs. 8-11 and Algorithm 1; arXiv:2402.10163, appendix A.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import schur, solve_sylvester

from emtkit_std._theory.facts import Array, LinearHistoryLaw, Mask
from emtkit_std._theory.svd import decompose

RCOND = 1e-6
"""Relative cutoff of pseudo-inverses: a core smaller than the mask leaves cond 1e15 behind."""


@dataclass(frozen=True)
class Core:
    """The persistent subspace: `right` Z (H, k), `left` L (k, H), L Z = I, `inner` A = L J Z."""

    right: Array
    left: Array
    inner: Array

    @property
    def size(self) -> int:
        """Number of eigenvalues above the threshold."""
        return len(self.inner)

    @property
    def projector(self) -> Array:
        """The Riesz projector Pi = Z L (H, H); it commutes with J."""
        return self.right @ self.left


@dataclass(frozen=True)
class Memories:
    """Variable memories: `basis` Psi (H, m), `dual` Psi* (m, H), `phi` = Psi* J Psi (m, m).

    `condition` and `rank` are those of the basis (singular values above `RCOND`), `residual` is
    the largest entry of Psi* Psi - I.
    """

    basis: Array
    dual: Array
    phi: Array
    condition: float
    rank: int
    residual: float


def spectral_core(jacobian: Array, threshold: float = 0.9) -> Core:
    """The core of `jacobian` (H, H): eigenvalues of modulus above `threshold`.

    Ordered real Schur T = [[A, C], [0, B]]; with A X - X B = -C, L = [I, -X] Z^T.
    """
    upper, orthogonal, size = schur(
        jacobian, output="real", sort=lambda re, im: bool(np.hypot(re, im) > threshold)
    )
    inner, mixed, rest = upper[:size, :size], upper[:size, size:], upper[size:, size:]
    left = orthogonal[:, :size].T.copy()
    if 0 < size < len(jacobian):
        left -= solve_sylvester(inner, -rest, -mixed) @ orthogonal[:, size:].T
    return Core(orthogonal[:, :size].copy(), left, inner.copy())


def dual_memories(
    core: Core, jacobian: Array, readout: Array, history: int, mask: Mask
) -> Memories:
    """Algorithm 1 by observability: rows that read every variable off the core.

    `readout` W_r (d, H), `mask` (s d,). Raises ValueError when the core is empty.
    """
    _refuse_empty(core)
    rows = readout @ core.right
    blocks = [rows]
    for _ in range(history - 1):
        rows = np.linalg.solve(core.inner.T, rows.T).T
        blocks.append(rows)
    inner_dual = np.concatenate(blocks[::-1])[mask]
    dual = inner_dual @ core.left
    basis = core.right @ np.linalg.pinv(inner_dual, rcond=RCOND)
    return _memories(basis, dual, jacobian)


def primal_memories(
    core: Core, jacobian: Array, readout: Array, history: int, mask: Mask
) -> Memories:
    """Algorithm 1 as the papers print it (Eq. 9), with the Riesz projector in place of E E^+."""
    _refuse_empty(core)
    columns = core.projector @ np.linalg.pinv(readout, rcond=RCOND)
    blocks = [columns]
    for _ in range(history - 1):
        columns = jacobian @ columns
        blocks.append(columns)
    basis = np.concatenate(blocks[::-1], axis=1)[:, mask]
    return _memories(basis, np.linalg.pinv(basis, rcond=RCOND), jacobian)


ALGORITHMS = {"dual": dual_memories, "primal": primal_memories}


def outside_basis(states: Array, memories: Memories, components: int) -> Array:
    """Psi-perp (H, q): the main directions of what the memories leave of `states` (..., H).

    SVD of H (I - D^T Psi^T), centred; orthonormal columns. There are at most as many
    as the remainder has directions above rounding.
    """
    flat = states.reshape(-1, states.shape[-1])
    remainder = flat - flat @ memories.dual.T @ memories.basis.T
    found = decompose(remainder - remainder.mean(axis=0))
    rank = int((found.values > RCOND * max(1e-300, float(np.linalg.norm(flat)))).sum())
    return found.right[: min(components, rank)].T


def outside_dual(outside: Array, memories: Memories) -> Array:
    """Psi-perp* = Psi-perp' (I - Psi Psi*) (q, H): with Psi* the dual of [Psi, Psi-perp].

    Psi-perp' alone is not: oblique memories have components along Psi-perp.
    """
    rows = outside.T
    return np.asarray(rows - (rows @ memories.basis) @ memories.dual)


def rule_contrast(memories: Memories, law: LinearHistoryLaw) -> float:
    """How much of the extracted rule lies along the rule, whatever its size: mean max(cos, 0)^2.

        cos_i = <f_hat_i, f_i> / (|f_hat_i| |f_i|),   f the d rows of Phi that compute

    The moduli of the modes are free in theory, and with them the size of each row; the other rows
    shift, which the dual memories do by definition. 1: the circuit's entries alone.
    """
    own = memories.phi[-law.dimension :]
    rule = law.operator[:, law.mask]
    sizes = np.linalg.norm(own, axis=1) * np.linalg.norm(rule, axis=1)
    cosines = (own * rule).sum(1) / np.where(sizes > 0, sizes, 1.0)
    return float((np.maximum(cosines, 0.0) ** 2).mean())


def random_contrast(size: int) -> float:
    """The mean of `rule_contrast` for rows (m) of random direction: half of E cos^2 = 1 / m."""
    return 0.5 / size


def phi_error(memories: Memories, phi: Array, mask: Mask) -> float:
    """Relative Frobenius distance of the extracted Phi from the masked theoretical one."""
    exact = phi[np.ix_(mask, mask)]
    return float(np.linalg.norm(memories.phi - exact) / np.linalg.norm(exact))


def project(states: Array, memories: Memories) -> Array:
    """Coordinates Psi* h (..., m) of hidden states (..., H); not the projection Psi Psi* h."""
    return states @ memories.dual.T


def windows(values: Array, history: int) -> Array:
    """Flattened histories (B, T - s + 1, s d), oldest first, of a sequence (B, T, d).

    Window k ends with value k + s - 1: it is what the state after that step must hold.
    """
    view = np.lib.stride_tricks.sliding_window_view(values, history, axis=1)
    return np.ascontiguousarray(view.transpose(0, 1, 3, 2)).reshape(*view.shape[:2], -1)


def signs_agree(coordinates: Array, contents: Array) -> NDArray[np.bool_]:
    """Whether the sign of each coordinate (..., m) is that of the true history content."""
    return (coordinates >= 0) == (contents >= 0)


def _refuse_empty(core: Core) -> None:
    if core.size == 0:
        raise ValueError("no eigenvalue of the Jacobian lies above the threshold: no core to read")


def _memories(basis: Array, dual: Array, jacobian: Array) -> Memories:
    values = decompose(basis).values
    rank = int((values > RCOND * values[0]).sum())
    smallest = float(values[-1])
    return Memories(
        basis=basis,
        dual=dual,
        phi=dual @ jacobian @ basis,
        condition=float(values[0]) / smallest if smallest > 0 else float("inf"),
        rank=rank,
        residual=float(np.abs(dual @ basis - np.eye(basis.shape[1])).max()),
    )
