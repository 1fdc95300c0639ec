"""Diffusion: how long a linear map keeps its signs when its state is noisy, in closed form.

    h_k = F h_{k-1} + b + sigma xi_k,   y_k = W_r h_k + b_r,   xi_k ~ N(0, I),   k = 1, 2, ...

The error of output o after k steps is a sum of independent normal terms, whatever the history:

    e_k = sigma sum_{j < k} W_r F^j xi_{k-j},   Var e_k,o = sigma^2 v_k,o
    v_k,o = sum_{j < k} |row o of W_r F^j|^2

so a sign s whose output would be m without noise is right with the chance

    P(s y_k,o > 0) = Phi(s m / (sigma sqrt(v_k,o)))

A circuit of eigenvalues of modulus 1 in an orthonormal basis keeps the norm w of its rows, so that
v_k = k w^2, and its expected accuracy falls below a level a once k > (m / (sigma w z))^2 with
z = Phi^-1(a). That horizon falls as 1 / sigma^2, and nothing but larger states lengthens it.

References: none (own derivation); diffusion along a line of states: Seung (1996),
doi:10.1073/pnas.93.23.13339.
"""

import numpy as np
from scipy.special import ndtr, ndtri

from emtkit_std._theory.facts import Array


def growth(F: Array, W_r: Array, steps: int) -> Array:
    """v (K, O) for k = 1 ... `steps`: the error's variance in units of sigma^2."""
    rows, parts = W_r, []
    for _ in range(steps):
        parts.append((rows * rows).sum(1))
        rows = rows @ F
    return np.cumsum(parts, axis=0)


def expected_right(means: Array, signs: Array, variance: Array) -> Array:
    """P(sign right) of every output (B, K, O).

    `means` m and `signs` s (B, K, O), `variance` sigma^2 v (K, O); where that is 0, whether the
    sign of the mean is right.
    """
    spread = np.sqrt(variance)
    sharp = ((means >= 0) == (signs >= 0)).astype(np.float64)
    safe = np.where(spread > 0, spread, 1.0)
    return np.where(spread > 0, ndtr(signs * means / safe), sharp)


def neutral_horizon(margin: float, noise: float, norm: float, level: float) -> float:
    """(m / (sigma w z))^2: how long the accuracy of a neutral circuit is at the level or above.

    `margin` |m| of its outputs, `noise` sigma, `norm` w of its rows of W_r, `level` in (1/2, 1).
    """
    return float((margin / (noise * norm * ndtri(level))) ** 2)
