"""How alike two sets of states are: X (N, H) and Y (N, K), row by row of the same moments."""

import numpy as np
from scipy.spatial.distance import pdist
from scipy.stats import rankdata

from emtkit_std._theory.facts import Array

RANK = 1e-6
"""Directions whose singular value is below this share of the largest one count as rounding."""


def debiased_cka(x: Array, y: Array) -> float:
    """Linear CKA by the unbiased estimator of HSIC, in O(N H K).

        CKA  = HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y)),   K = X X' and L = Y Y', diagonals 0
        HSIC = [tr K L + 1'K1 1'L1 / ((N-1)(N-2)) - 2 / (N-2) 1'K L 1] / (N (N-3))

    Raises:
        ValueError: N < 4.
    """
    if len(x) < 4:
        raise ValueError(f"{len(x)} moments; the unbiased estimator needs 4")
    own = _hsic(x, x), _hsic(y, y)
    if min(own) <= 0:  # nearly no state moves, and the estimate of its size may be negative
        return float("nan")
    return float(_hsic(x, y) / np.sqrt(own[0] * own[1]))


def _hsic(x: Array, y: Array) -> float:
    n = len(x)
    squares = [np.square(one).sum(1) for one in (x, y)]
    sums = [one @ one.sum(0) - square for one, square in zip((x, y), squares, strict=True)]
    trace = np.square(x.T @ y).sum() - squares[0] @ squares[1]
    product = sums[0].sum() * sums[1].sum() / ((n - 1) * (n - 2))
    cross = 2 / (n - 2) * (sums[0] @ sums[1])
    return float((trace + product - cross) / (n * (n - 3)))


def angle(cosine: float) -> float:
    """arccos, of what rounding may have put beyond 1."""
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)))


def procrustes_angle(x: Array, y: Array) -> float:
    """The angular shape distance, 0 to pi / 2.

        theta = arccos |X' Y|_*,   X and Y centred and of Frobenius norm 1, |.|_* the nuclear norm

    It is the angle between X and Y Q for the best orthogonal Q.
    """
    one, other = (_unit(_centred(part)) for part in (x, y))
    return angle(float(np.linalg.svd(one.T @ other, compute_uv=False).sum()))


def canonical_correlations(x: Array, y: Array) -> Array:
    """Canonical correlations, the largest first, with zeros up to the larger of the two ranks."""
    bases = [_basis(_centred(part)) for part in (x, y)]
    found = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    most = max(base.shape[1] for base in bases)
    return np.pad(np.clip(found, 0.0, 1.0), (0, most - len(found)))


def weighted_correlation(x: Array, y: Array) -> float:
    """The mean canonical correlation of X and Y, each weighted by what it is of X.

        sum_i a_i rho_i / sum_i a_i,   a_i = sum_j |<h_i, x_j>|

    h_i (N) are the canonical directions in X, as many as the smaller rank, and x_j its units.

    Source: Morcos, Raghu and Bengio (2018), arXiv:1806.05759, section 2.2.
    """
    centred = _centred(x)
    basis, other = _basis(centred), _basis(_centred(y))
    turn, found, _ = np.linalg.svd(basis.T @ other, full_matrices=False)
    weights = np.abs((basis @ turn).T @ centred).sum(1)
    return float(weights @ np.clip(found, 0.0, 1.0) / weights.sum())


def rank_correlation_of_distances(x: Array, y: Array) -> float:
    """Spearman's correlation of the Euclidean distances |x_i - x_j| and |y_i - y_j|, i < j."""
    ranks = [rankdata(np.round(pdist(part), 12)) for part in (x, y)]
    return float(np.corrcoef(*ranks)[0, 1])


def _centred(states: Array) -> Array:
    return np.asarray(states - states.mean(0))


def _unit(states: Array) -> Array:
    return np.asarray(states / np.linalg.norm(states))


def _basis(states: Array) -> Array:
    left, values, _ = np.linalg.svd(states, full_matrices=False)
    return np.asarray(left[:, values > RANK * values[0]])
