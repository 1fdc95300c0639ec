"""The decomposition is one: it gives the matrix back, with numpy's singular values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from emtkit_std._theory.svd import decompose
from tests.rounding import assert_rounded, rounding


@settings(max_examples=40, deadline=None, derandomize=True)
@given(rows=some.integers(1, 40), columns=some.integers(1, 40), seed=some.integers(0, 99))
def test_it_gives_the_matrix_back(rows, columns, seed):
    matrix = np.random.default_rng(seed).normal(size=(rows, columns))
    found = decompose(matrix)
    size, largest = max(rows, columns), found.values[0]
    again = found.left * found.values @ found.right
    assert np.abs(again - matrix).max() <= rounding(size, largest)
    assert_rounded(found.values, np.linalg.svd(matrix, compute_uv=False), size)
    unit = np.eye(min(rows, columns))
    assert_rounded(found.left.T @ found.left, unit, size)
    assert_rounded(found.right @ found.right.T, unit, size)


def test_what_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="infs or NaNs"):
        decompose(np.array([[1.0, np.nan]]))
