"""One reason for every bound at rounding level, the same on every processor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from emtkit.dynamics.fixed_points import FixedPointSearch

CONSTANT = 4
STILL = math.sqrt(2 * FixedPointSearch().tolerance)
"""|step(h) - h| of what counts as a fixed point, at most."""


def rounding(size: float, condition: float = 1.0, dtype: Any = np.float64) -> float:
    """How far apart rounding alone can bring two right answers: 4 eps `size` `condition`.

    A basic operation is off by at most u = eps / 2. The result of a chain of n of them, such as a
    sum of n terms, is off by at most n u / (1 - n u) times the sum of the terms' moduli: in any
    order, with any number of lanes, with or without fused multiply-add (Higham 2002, Accuracy and
    Stability of Numerical Algorithms, lemma 3.1 and section 3.1). The bound holds therefore for
    every kernel, and needs not be measured on one.

    `size`: operations in the longest chain from what is given to one number of the answer: the
    length of a sum, times the products that follow each other. Factorisations (QR, SVD, Schur,
    LU) of an n x n matrix are right for a matrix within about n u of it (chapters 9 and 19).

    `condition`: how much the answer magnifies an error made on the way, times the size of what
    enters where it is large: sum |terms| / |sum|, |A| |A^-1| of an inverse, of a basis, of the
    eigenvectors (Bauer-Fike), the range of an angle.

    The constant: both sides are computed (2), and an operation may be worth four of u: the
    functions of vector libraries (exp, tanh) are right to one or two units in the last place
    (2 to 4 u), a complex product to sqrt(5) u.
    """
    name = str(dtype).removeprefix("torch.") if isinstance(dtype, torch.dtype) else dtype
    return CONSTANT * float(np.finfo(name).eps) * size * condition


def assert_rounded(
    found: Any, wanted: Any, size: float, condition: float = 1.0, dtype: Any = None
) -> None:
    """Two arrays agree but for rounding, relative to the largest number wanted.

    `dtype`: what was computed in, where `found` has been converted since.
    """
    dtype = getattr(found, "dtype", np.float64) if dtype is None else dtype
    found, wanted = _array(found), _array(wanted)
    assert np.broadcast_shapes(found.shape, wanted.shape) == found.shape
    assert np.array_equal(np.isnan(found), np.isnan(np.broadcast_to(wanted, found.shape)))
    gap, most = np.nanmax(np.abs(found - wanted)), np.nanmax(np.abs(wanted))
    bound = rounding(size, condition, dtype) * most
    assert gap <= bound, f"{gap:.3g} apart; rounding explains {bound:.3g} of {most:.3g}"


def assert_rounded_rows(
    found: Any, single: Any, double: Any, size: float, dtype: Any = None
) -> None:
    """The rows (M, ...) of `found` are those of a reference but for rounding, in norm.

    For what has no formula of its condition (gradients through time, trainings) the reference is
    computed in single and in double precision. How far apart these are, in units of single
    precision, counts as operations beside `size`: what the computation magnifies there it
    magnifies here. `dtype`: what `found` was computed in, where it has been converted since.
    """
    dtype = getattr(found, "dtype", np.float64) if dtype is None else dtype
    rows = [_array(values).reshape(len(values), -1) for values in (found, single, double)]
    assert rows[0].shape == rows[1].shape == rows[2].shape
    found, single, double = (values.astype(np.float64) for values in rows)
    length = np.linalg.norm(double, axis=1)
    seen, gap = (np.linalg.norm(values - double, axis=1) for values in (single, found))
    measured = np.max(seen[length > 0] / length[length > 0], initial=0) / np.finfo(np.float32).eps
    bound = rounding(size + measured, dtype=dtype) * length
    assert (gap <= bound).all(), f"{gap} apart; rounding explains {bound} of {length}"


def from_fixed_point(jacobians: Any) -> float:
    """How far a fixed point that is found may lie from one: `STILL` |(J - I)^-1| (J ... H H)."""
    slopes = _array(jacobians)
    inverse = np.linalg.inv(slopes - np.eye(slopes.shape[-1]))
    return STILL * float(np.linalg.norm(inverse, 2, axis=(-2, -1)).max())


def _array(values: Any) -> np.ndarray:
    return np.asarray(values.detach() if isinstance(values, torch.Tensor) else values)
