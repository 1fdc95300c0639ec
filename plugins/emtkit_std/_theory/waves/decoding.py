"""Linear decoding of past inputs from states, and the geometry of their directions.

Shapes: states (B T H), windows of the true history (B T s d) oldest first, directions (L H I).
"""

from dataclasses import dataclass

import numpy as np

from emtkit_std._theory.facts import Array
from emtkit_std._theory.svd import decompose

RIDGE = 1e-8


@dataclass(frozen=True)
class Decoding:
    """Per lag k = 0..s-1, on unseen sequences: `r2` of x(t-k) and `accuracy` of its sign."""

    r2: Array
    accuracy: Array


def decode_history(states: Array, windows: Array) -> Decoding:
    """One affine map from states to the whole history, fitted on the first half of the sequences.

    The map is the same for all times, so it does not read a register that keeps its place. Measured
    on the other half; R^2 may be negative there. A ridge of 1e-8 of the states' variance keeps
    states that do not fill their space harmless.
    """
    half = len(states) // 2
    history, dimension = windows.shape[2:]
    flat = windows.reshape(*windows.shape[:2], -1)
    fitted, seen = (part.reshape(-1, states.shape[-1]) for part in (states[:half], states[half:]))
    values, true = (part.reshape(-1, flat.shape[-1]) for part in (flat[:half], flat[half:]))
    mean, values_mean = fitted.mean(0), values.mean(0)
    centred = fitted - mean
    gram = centred.T @ centred
    ridge = RIDGE * max(float(np.trace(gram)) / len(gram), 1e-300)
    weights = np.linalg.solve(gram + ridge * np.eye(len(gram)), centred.T @ (values - values_mean))
    guess = (seen - mean) @ weights + values_mean
    missed = ((true - guess) ** 2).reshape(-1, history, dimension).sum((0, 2))
    total = ((true - true.mean(0)) ** 2).reshape(-1, history, dimension).sum((0, 2))
    r2 = 1.0 - np.divide(missed, total, out=np.full(history, np.nan), where=total > 0)
    right = ((guess >= 0) == (true >= 0)).reshape(-1, history, dimension).mean((0, 2))
    return Decoding(r2[::-1], right[::-1])


def subspace_overlap(first: Array, second: Array) -> float:
    """Mean squared cosine of the principal angles between the columns of two matrices (H I).

    0 where orthogonal, 1 where one holds the other; NaN where either is zero.
    """
    bases = [_orthonormal(first), _orthonormal(second)]
    smallest = min(basis.shape[1] for basis in bases)
    if smallest == 0:
        return float("nan")
    return float(np.linalg.norm(bases[0].T @ bases[1]) ** 2 / smallest)


def overlaps(directions: Array) -> Array:
    """`subspace_overlap` of every pair of ages (L, L) of directions (L H I)."""
    return np.array([[subspace_overlap(a, b) for b in directions] for a in directions])


def _orthonormal(matrix: Array) -> Array:
    found = decompose(matrix)
    values = found.values
    keep = values > 1e-10 * values[0] if values[0] > 0 else np.zeros(len(values), dtype=bool)
    return found.left[:, keep]
