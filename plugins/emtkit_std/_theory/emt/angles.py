"""Comparing spectra by angle: optimal assignment, its null, and whose spectrum fits best.

Only eigenvalues above a modulus count; unequal counts make a comparison *indeterminate* (NaN),
never a number. Angles are wrapped, pairs are assigned optimally (a greedy assignment depends
on the order of the eigenvalues and is biased upward).

References: arXiv:2310.02430, section 4 and Table 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from emtkit_std._theory.facts import Array

Spectrum = NDArray[np.complex128]

THRESHOLD = 0.9
THEORY_THRESHOLD = 0.5
ZERO_MODULUS = 1e-12
"""A modulus of rounding alone; a gap to it would be a number without meaning."""


@dataclass(frozen=True)
class AngleComparison:
    """A measured spectrum against theory's.

    `error`: mean wrapped angle error, NaN unless `status` is comparable; `gap`: modulus of the
    last expected mode over that of the next one (inf when the next is zero, NaN when there is
    none); `top_error`: the same error for the `expected` largest moduli whatever their size, a
    diagnostic that may cut a conjugate pair.
    """

    error: float
    found: int
    expected: int
    status: str
    gap: float
    top_error: float


def match_angles(found: Spectrum, expected: Spectrum) -> Array:
    """Wrapped angle errors (N), in radians, of `found` paired so that their sum is least."""
    if len(found) != len(expected):
        raise ValueError(f"cannot pair {len(found)} eigenvalues with {len(expected)}")
    cost = np.abs(_wrap_once(np.angle(found)[:, None] - np.angle(expected)))
    return cost[linear_sum_assignment(cost)]


def compare_spectra(
    measured: ArrayLike,
    theory: ArrayLike,
    threshold: float = THRESHOLD,
    theory_threshold: float = THEORY_THRESHOLD,
) -> AngleComparison:
    """Angle error between eigenvalues `measured` (H,) and `theory` (N,), each above its modulus.

    No 'non-zero' tolerance can replace `theory_threshold`: the zero eigenvalues of Phi sit in
    Jordan blocks, and rounding spreads them to moduli of eps^(1/length).
    """
    every = _by_modulus(measured)
    expected = _above(_by_modulus(theory), theory_threshold)
    found = _above(every, threshold)
    comparable = len(found) == len(expected) > 0
    error = float(match_angles(found, expected).mean()) if comparable else float("nan")
    return AngleComparison(
        error=error,
        found=len(found),
        expected=len(expected),
        status="comparable" if comparable else "indeterminate",
        gap=_gap(every, len(expected)),
        top_error=error if comparable else _top_error(every, expected),
    )


def haar_orthogonal(normals: Array) -> Array:
    """Haar-random matrices of O(n), both determinants, from standard normals (draws, n, n)."""
    q, r = np.linalg.qr(normals)
    signs = np.sign(np.diagonal(r, axis1=-2, axis2=-1))
    return np.asarray(q * np.where(signs == 0, 1.0, signs)[..., None, :])


def null_angle_error(
    theory: ArrayLike, normals: Array, theory_threshold: float = THEORY_THRESHOLD
) -> float:
    """Mean angle error of random orthogonal matrices of the core's size against theory.

    `normals` (draws, k, k) with k = expected modes; without this null, angle errors of different
    rules cannot be compared. Raises ValueError when k differs.
    """
    expected = _above(_by_modulus(theory), theory_threshold)
    if normals.ndim != 3 or normals.shape[1:] != (len(expected), len(expected)):
        raise ValueError(
            f"the null needs normals of shape (draws, {len(expected)}, {len(expected)}), "
            f"got {normals.shape}"
        )
    spectra = np.linalg.eigvals(haar_orthogonal(normals))
    return float(np.mean([match_angles(row, expected).mean() for row in spectra]))


def confusion(
    measured: ArrayLike, theories: Mapping[str, ArrayLike], threshold: float = THRESHOLD
) -> dict[str, AngleComparison]:
    """The measured spectrum against every rule's: does a network fit its own rule best?"""
    return {rule: compare_spectra(measured, theory, threshold) for rule, theory in theories.items()}


def _wrap_once(difference: Array) -> Array:
    """Differences of two angles in [-pi, pi); a remainder would take double the time."""
    turn = 2 * np.pi
    turned = difference + np.pi
    turned += turn * (turned < 0)
    turned -= turn * (turned >= turn)
    return np.asarray(turned - np.pi)


def _by_modulus(values: ArrayLike) -> Spectrum:
    array = np.asarray(values, dtype=np.complex128)
    return array[np.argsort(-np.abs(array), kind="stable")]


def _above(values: Spectrum, threshold: float) -> Spectrum:
    return values[np.abs(values) > threshold]


def _gap(ordered: Spectrum, modes: int) -> float:
    if modes == 0 or len(ordered) <= modes:
        return float("nan")
    last, following = np.abs(ordered[modes - 1 : modes + 1])
    return float(last / following) if following > ZERO_MODULUS else float("inf")


def _top_error(ordered: Spectrum, expected: Spectrum) -> float:
    if not len(expected) or len(ordered) < len(expected):
        return float("nan")
    return float(match_angles(ordered[: len(expected)], expected).mean())
