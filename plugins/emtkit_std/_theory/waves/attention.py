"""Self-attention as a boundary condition: what rule it writes, and for how long it holds.

The substrate H (B s d), oldest column first, is continued by (Eq. 8, made precise)

    f(H) = sum_a W_V^a sum_i alpha_i^a h_i,   alpha^a = softmax_i(kappa (W_K^a k_i) . (W_Q^a q)),
    k_i = [h_i ; p_i],  q = [h_s ; p_s],

over columns i = 1..s. With scores of position alone, f is linear: F = sum_a alpha^a (x) W_V^a, the
Kronecker product, so H heads reach Kronecker rank H at most and a selection rule needs one head per
distinct column that it reads. Without positions, f is the same for every order of columns 1..s-1.

Source: Karuvally, Sejnowski and Siegelmann, ICML 2024, Eq. 8 (printed with the sum to d for s and
with W_K W_Q for W_K^T W_Q, of which only the product is identifiable).
"""

from dataclasses import dataclass

import numpy as np

from emtkit_std._theory.facts import Array

SAFE = 0.3
"""Measured: accuracy holds while leak * steps / s stays below .3 and is lost by 1.2."""


@dataclass(frozen=True)
class Heads:
    """Weights of all heads: W_Q, W_K (heads, r, d + positions) and W_V (heads, d, d)."""

    W_Q: Array
    W_K: Array
    W_V: Array


@dataclass(frozen=True)
class BoundaryHeads:
    """A fact of models whose columns are continued by attention."""

    heads: Heads
    history: int


def constructed_heads(
    operator: Array, history: int, strength: float, heads: int, rank: int, temperature: float = 1.0
) -> Heads:
    """Heads with one-hot positions that write the rule f (d, s d), up to softmax leak.

    Each column that f reads takes one head, which scores that position `strength` and the others
    0 (`temperature` is kappa, divided out); W_V is f's block. Heads that are left over are zero;
    there must be one for each column that f reads.
    """
    dimension = len(operator)
    width = dimension + history
    W_Q, W_K = np.zeros((heads, rank, width)), np.zeros((heads, rank, width))
    W_V = np.zeros((heads, dimension, dimension))
    for head, column in enumerate(columns_read(operator, history)):
        W_Q[head, 0, width - 1] = strength / temperature
        W_K[head, 0, dimension + column] = 1.0
        W_V[head] = operator[:, column * dimension : (column + 1) * dimension]
    return Heads(W_Q, W_K, W_V)


def columns_read(operator: Array, history: int) -> tuple[int, ...]:
    """The columns (from 0, oldest first) in which f (d, s d) is not zero."""
    blocks = _blocks(operator, history)
    return tuple(int(i) for i in np.flatnonzero(np.abs(blocks).max(axis=(1, 2))))


def boundary(heads: Heads, columns: Array, alpha: Array) -> Array:
    """The new column f(H) (B, d)."""
    return np.asarray(np.einsum("aij,bas,bsj->bi", heads.W_V, alpha, columns))


def effective_boundary(alpha: Array, W_V: Array) -> Array:
    """F (d, s d) of attention fixed at alpha (heads, s): block i is sum_a alpha_i^a W_V^a."""
    blocks = np.einsum("as,aij->sij", alpha, W_V)
    return np.concatenate(list(blocks), axis=1)


def linearity(columns: Array, written: Array) -> float:
    """R^2 (about zero) of new columns (B d) under the best linear F of columns (B s d)."""
    flat = columns.reshape(len(columns), -1)
    solved, *_ = np.linalg.lstsq(flat, written, rcond=None)
    total = float((written**2).sum())
    missed = float(((written - flat @ solved) ** 2).sum())
    return 1.0 - missed / total if total > 0 else float("nan")


def kronecker_rank(operator: Array, history: int, tolerance: float = 1e-6) -> int:
    """Rank of F (d, s d) as sum of (column) x (d x d) products: of its blocks as rows (s, d d).

    Singular values below `tolerance` of the largest count as zero.
    """
    blocks = _blocks(operator, history)
    values = np.linalg.svd(blocks.reshape(history, -1), compute_uv=False)
    return int((values > tolerance * values[0]).sum()) if values[0] > 0 else 0


def entropy(alpha: Array) -> Array:
    """Entropy in nats over the last axis; log s when attention is even."""
    return np.asarray(-(alpha * np.log(np.maximum(alpha, 1e-300))).sum(axis=-1))


def measured_leak(alpha: Array) -> float:
    """Largest share, over heads (heads, s), that misses the head's favourite column."""
    return float((1.0 - alpha.max(axis=-1)).max())


def safe_horizon(leak: float, history: int) -> float:
    """Steps T up to which leak * T / s <= 0.3; every step mixes the columns by the leak."""
    return SAFE * history / leak if leak > 0 else float("inf")


def _blocks(operator: Array, history: int) -> Array:
    """Blocks (s, d, d) of F (d, s d), oldest column first."""
    dimension = len(operator)
    return np.moveaxis(operator.reshape(dimension, history, dimension), 1, 0)
