"""How much of each item can be read off a state, on sequences that the reading has not seen.

States are whitened: centred, X = U S V', directions below FLOOR of the largest left out, so that
h -> A h changes nothing (single precision carries nothing below). The reading is ridge regression
on U, with the penalty chosen, item by item, on the parts that are not judged; a penalty that leaves
nothing gives R^2 = 0, so what is not held scores 0, not the -H/N of least squares. A linear reading
of rank H holds at most H of n independent items of equal variance: sum R^2 <= H, the trace of a
projection.

Nonlinear readings add Gaussians around the first CENTRES states that are fitted, of the canonical
coordinates z that items and states have in common (at most MOST_COORDINATES, those beyond chance):

    exp(-|z - z_c|^2 / (2 w^2 dim z)),   widths w chosen like the penalty

Squares and products of coordinates would not do: signs in one direction with magnitudes r^a are an
odd function of the state, of which a quadratic reading sees nothing beyond the linear one.

References: Hotelling (1936), doi:10.1093/biomet/28.3-4.321, for canonical coordinates; Nystroem
features after Williams and Seeger (NIPS 2000).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emtkit import NotApplicable
from emtkit_std._theory.facts import Array
from emtkit_std._theory.standard_error import apart
from emtkit_std._theory.svd import decompose

FLOOR = 1e-6
ROWS_PER_DIRECTION = 2
PENALTIES = (1e-10, 1e-2, 0.1, 0.5, 2.5, np.inf)
MOST_COORDINATES = 6
CENTRES = 64
WIDTHS = (0.2, 1.0)


@dataclass(frozen=True)
class Held:
    """R^2 of each item (M), and how far each sequence, alone, moves it (N M)."""

    r2: Array
    apart: Array

    @classmethod
    def of(cls, values: Array, guesses: Array) -> "Held":
        """Of true values and guesses (N M); the mean of the values scores 0."""
        missed, total = np.square(values - guesses), np.square(values - values.mean(0))
        whole = total.sum(0)
        share = missed.sum(0) / np.where(whole > 0, whole, 1.0)
        return cls(np.where(whole > 0, 1.0 - share, 0.0), np.nan_to_num(apart(missed, total)))


def whitened(states: Array) -> Array:
    """States (N H) in coordinates of unit variance, uncorrelated (N r).

    Raises:
        NotApplicable: too few sequences for the directions that they fill.
    """
    found = decompose(states - states.mean(0))
    kept = found.values > FLOOR * max(float(found.values[0]), np.finfo(float).tiny)
    if kept.sum() * ROWS_PER_DIRECTION > len(states):
        raise NotApplicable(
            f"states that fill {kept.sum()} directions cannot be read by maps fitted to "
            f"{len(states)} sequences; raise `sequences`"
        )
    return np.asarray(found.left[:, kept] * np.sqrt(len(states)))


def held(white: Array, values: Array, folds: NDArray[np.int64]) -> Held:
    """Values (N M) read linearly off whitened states (N r)."""
    parts = [[_ridge(white[~out], values[~out], white[out])] for out in _parts(folds)]
    return Held.of(values, _chosen(parts, values, folds))


def held_nonlinearly(white: Array, values: Array, folds: NDArray[np.int64]) -> Held:
    """The same with Gaussians of the canonical coordinates."""
    parts = []
    for out in _parts(folds):
        z = white @ _canonical(white[~out], values[~out])
        curves = [_gaussians(z, z[~out], width) for width in WIDTHS]
        each = [white, *(np.hstack([white, more]) for more in curves)]
        parts.append([_ridge(f[~out], values[~out], f[out]) for f in each])
    return Held.of(values, _chosen(parts, values, folds))


def _parts(folds: NDArray[np.int64]) -> Iterable[NDArray[np.bool_]]:
    return (folds == fold for fold in np.unique(folds))


def _ridge(features: Array, values: Array, judged: Array) -> Array:
    """Guesses (P N' M) for judged rows, by readings fitted with each penalty."""
    middle, mean = features.mean(0), values.mean(0)
    centred = features - middle
    sizes, axes = np.linalg.eigh(centred.T @ centred / len(features))
    seen = axes.T @ (centred.T @ (values - mean)) / len(features)
    ahead = (judged - middle) @ axes
    sizes = np.maximum(sizes, 0.0)
    return np.stack([mean + ahead @ (seen / (sizes + p)[:, None]) for p in PENALTIES])


def _chosen(parts: list[list[Array]], values: Array, folds: NDArray[np.int64]) -> Array:
    """For each part the guesses of the reading that is best on all other parts, item by item."""
    outs = list(_parts(folds))
    guesses = [np.concatenate(kinds) for kinds in parts]
    missed = np.stack(
        [np.square(g - values[out]).sum(1) for g, out in zip(guesses, outs, strict=True)]
    )
    chosen = np.empty_like(values)
    for place, out in enumerate(outs):
        best = (missed.sum(0) - missed[place]).argmin(0)
        chosen[out] = np.take_along_axis(guesses[place], best[None, None], 0)[0]
    return chosen


def _canonical(white: Array, values: Array) -> Array:
    """Directions (r q) of whitened states with which items correlate beyond chance."""
    centred = values - values.mean(0)
    size = centred.std(0)
    shared = (white - white.mean(0)).T @ (centred / np.where(size > 0, size, 1.0)) / len(white)
    if not shared.size:
        return np.zeros((white.shape[1], 0))
    found = decompose(shared)
    chance = sum(np.sqrt(shared.shape)) / np.sqrt(len(white))
    return found.left[:, found.values > chance][:, :MOST_COORDINATES]


def _gaussians(z: Array, fitted: Array, width: float) -> Array:
    far = np.square(z[:, None] - fitted[:CENTRES]).sum(2) / (2 * width**2 * max(z.shape[1], 1))
    return np.exp(-far)
