"""Operators of trajectories and their distances, on matrices of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from emtkit_std._theory.operators import (
    delay_operator,
    eigenvalue_distance,
    rotated_bound,
    rotated_distance,
)

SIZE = 6


def drawn(seed: int, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(size, size)) / np.sqrt(size)


def rotation(seed: int) -> np.ndarray:
    return np.linalg.qr(drawn(seed))[0]


def test_rotated_copies_are_found() -> None:
    for seed in range(5):
        matrix, turn = drawn(seed), rotation(seed + 10)
        assert rotated_distance(matrix, turn @ matrix @ turn.T) < 1e-7


@pytest.mark.parametrize("sign", [1, -1])
def test_normal_operators_meet_the_matching_of_eigenvalues(sign) -> None:
    """Of two symmetric or two antisymmetric matrices it is the least (Hoffman and Wielandt)."""
    for seed in range(3):
        one, other = (drawn(at) + sign * drawn(at).T for at in (seed, seed + 20))
        wanted = eigenvalue_distance(*(np.linalg.eigvals(part) for part in (one, other)))
        assert rotated_distance(one, other) == pytest.approx(wanted, abs=1e-7)
        assert rotated_bound(one, other) == pytest.approx(wanted, abs=1e-7)


def test_orthogonal_operators_meet_the_matching_of_eigenvalues() -> None:
    one, other = rotation(1), rotation(2)
    wanted = eigenvalue_distance(*(np.linalg.eigvals(part) for part in (one, other)))
    assert rotated_distance(one, other) == pytest.approx(wanted, abs=1e-7)


def test_a_register_and_a_cycle_differ_by_one_entry() -> None:
    """So |A - B| = 1, of n - 1 and n ones; the eigenvalues, 1 apart, are no lower bound."""
    register, cycle = np.eye(SIZE, k=-1), np.roll(np.eye(SIZE), 1, 0)
    turn = rotation(0)
    found = rotated_distance(turn @ register @ turn.T, cycle)
    assert found == pytest.approx(np.sqrt(1 / (2 * SIZE - 1)), abs=1e-7)
    assert rotated_bound(register, cycle) == pytest.approx(found, abs=1e-7)
    values = [np.linalg.eigvals(part) for part in (register, cycle)]
    assert eigenvalue_distance(*values) == pytest.approx(np.sqrt(SIZE / SIZE), abs=1e-9)


def test_no_rotation_comes_below_the_bound_or_what_is_found() -> None:
    one, other = drawn(3), drawn(4)
    size = np.sqrt(np.square(one).sum() + np.square(other).sum())
    bound, found = rotated_bound(one, other), rotated_distance(one, other)
    tried = [np.linalg.norm(one - c @ other @ c.T) / size for c in map(rotation, range(2000))]
    assert 0.05 < bound <= found + 1e-9
    assert found < min(tried)
    assert rotated_distance(other, one) == found


def test_an_operator_is_that_of_its_states() -> None:
    """Exactly, of a linear map with inputs; coordinates only change what its directions are."""
    rng = np.random.default_rng(0)
    matrix, into = 0.9 * rotation(5) @ np.diag([1, 0.9, 0.8, 0.7, 0.6, 0.5]), drawn(6)[:, :2]
    inputs, states = rng.normal(size=(50, 12, 2)), np.zeros((50, 12, SIZE))
    for step in range(12):
        before = states[:, step - 1] if step else rng.normal(size=(50, SIZE))
        states[:, step] = before @ matrix.T + inputs[:, step] @ into.T + 3.0
    found = delay_operator(states, inputs, 1, SIZE)
    values = np.linalg.eigvals(found), np.linalg.eigvals(matrix)
    assert eigenvalue_distance(*values) < 1e-9
    moved = delay_operator(5.0 * states @ rotation(7).T, inputs, 1, SIZE)
    assert moved == pytest.approx(found, abs=1e-9)
    assert len(delay_operator(states, inputs, 3, 4)) == 4


def test_eigenvalues_are_paired_and_filled_up() -> None:
    assert eigenvalue_distance(np.array([1.0, 2.0]), np.array([2.0, 1.0])) == 0.0
    # 3 with 4 and 3 with nothing: 1 + 9, less than 3 with 3 and 4 with nothing: 16
    found = eigenvalue_distance(np.array([3.0]), np.array([3.0, 4.0]))
    assert found == pytest.approx(np.sqrt(10 / 34))
    assert np.isnan(eigenvalue_distance(np.zeros(2), np.zeros(1)))
    assert np.isnan(rotated_distance(np.zeros((2, 2)), np.zeros((1, 1))))
