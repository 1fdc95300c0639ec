"""Singular values by QR iteration (LAPACK's gesvd).

numpy's divide and conquer (gesdd) is faster, and gave up on the states of a trained network (2,624
x 60, finite, of full rank): "SVD did not converge". A finding is not lost for that.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import svd

from emtkit_std._theory.facts import Array


@dataclass(frozen=True)
class Decomposition:
    """A = left diag(values) right, for A (n, m): (n, q), (q) descending, (q, m), q = min(n, m)."""

    left: Array
    values: Array
    right: Array


def decompose(matrix: Array) -> Decomposition:
    """The thin decomposition of a finite matrix; ValueError where it is not finite."""
    left, values, right = svd(matrix, full_matrices=False, lapack_driver="gesvd")
    return Decomposition(np.asarray(left), np.asarray(values), np.asarray(right))
