"""Gradients by lag: how much of an input of k steps ago still moves the state.

G_k = dh(s)/du(s-k), g_k = ||G_k||_F / sqrt(I), from the exact recursion backwards in time

    J = 1;  for t = s..1:  G_{s-t} = J B_t,  J <- J A_t,    A_t = dh(t)/dh(t-1), B_t = dh(t)/du(t).

The decay rate is minus the slope of log g_k against k: positive vanishes, negative explodes, and
W = rho Q with Q orthogonal has -ln rho exactly. Since a loss's gradient vanishes with the error,
only normalised profiles "approach 1".

Shapes: A (B T H H), B (B T H I), profile (T) with lag 0 first.

Source: Karuvally, Sejnowski and Siegelmann, ICML 2024, Fig. 5 and Eqs. 10-16; they leave open which
gradient is meant, and the loss's own cannot approach 1 at a solution.
"""

from dataclasses import dataclass

import numpy as np

from emtkit_std._theory.facts import Array


@dataclass(frozen=True)
class Decay:
    """`rate` of exponential decay per lag, and g at the farthest lag over g at the first one."""

    rate: float
    first_over_last: float


def gradient_profile(gradients: Array) -> Array:
    """g_k (T): geometric mean over B of ||G_k||_F / sqrt(I), given dh(s)/du(t) (B T H I)."""
    norms = np.linalg.norm(gradients, axis=(2, 3)) / np.sqrt(gradients.shape[-1])
    lags = norms.T[::-1]
    return np.array([np.exp(np.log(lag).mean()) if (lag > 0).all() else 0.0 for lag in lags])


def decay(profile: Array, first_lag: int = 0) -> Decay:
    """Least squares of log g on the lag, from `first_lag` on; NaN where g is zero or too short.

    Trained networks: first_lag = 1, since the write matrix has a large component outside the
    travelling directions, which makes a solved network look as if it decayed.
    """
    used = profile[first_lag:]
    if len(used) < 2 or not (np.isfinite(used) & (used > 0)).all():
        return Decay(float("nan"), float("nan"))
    lags = np.arange(len(used))
    slope = float(np.polyfit(lags, np.log(used), 1)[0])
    return Decay(-slope, float(used[-1] / used[0]))
