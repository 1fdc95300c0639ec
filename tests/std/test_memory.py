"""Memory capacity and Fisher memory against their sum rules."""

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

from emtkit.errors import EmtkitError
from emtkit_std.analyses.memory_capacity import fisher_memory, linear_capacity
from tests.rounding import assert_rounded, rounding


def random_net(seed: int, units: int = 4, radius: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    W_hh = rng.normal(size=(units, units))
    return W_hh * radius / np.abs(np.linalg.eigvals(W_hh)).max(), rng.normal(size=(units, 1))


@pytest.mark.parametrize("seed", range(5))
def test_a9_capacity_of_a_controllable_network_is_its_size(seed):
    curve = linear_capacity(*random_net(seed), lags=60)
    assert curve.total == pytest.approx(4, abs=1e-6)
    assert curve.by_age.shape == (60, 1)
    assert (curve.by_age >= 0).all()
    assert (curve.by_age <= 1 + rounding(60)).all()


def test_capacity_equals_the_definition_where_that_is_well_conditioned():
    W_hh, W_uh = random_net(1)
    directions = np.stack([np.linalg.matrix_power(W_hh, age) @ W_uh[:, 0] for age in range(400)])
    gram = directions.T @ directions
    expected = np.einsum("sh,hg,sg->s", directions, np.linalg.inv(gram), directions)
    found = linear_capacity(W_hh, W_uh, 60).by_age[:, 0]
    assert_rounded(found, expected[:60], 400, np.linalg.cond(gram))


def test_capacity_of_a_shift_register_is_one_per_age():
    curve = linear_capacity(np.eye(4, k=-1), np.eye(4)[:, :1], lags=10)
    assert_rounded(curve.by_age[:, 0], [1] * 4 + [0] * 6, 10)


def test_capacity_of_an_uncontrollable_network_is_the_rank_it_reaches():
    assert linear_capacity(np.diag([0.5, 0.5, 0.2]), np.ones((3, 1)), 30).total == pytest.approx(2)


@pytest.mark.parametrize("units", [64, 500])
def test_no_number_of_units_is_too_many(units):
    """A register of 500 once read 400, and random networks the rank that rounding leaves."""
    register = linear_capacity(np.eye(units, k=-1), np.eye(units)[:, :1], lags=units + 5)
    assert register.total == units
    assert_rounded(register.by_age[:, 0], [1] * units + [0] * 5, units)
    assert linear_capacity(*random_net(0, units=64), lags=8).total == 64


def test_what_decays_for_long_is_summed_to_its_end():
    """Two decaying rotations: P by Lyapunov's equation, radius .9999."""
    W_hh = 0.9999 * np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
    W_uh = np.array([[1.0], [2.0], [0.0], [-1.0]])
    P = solve_discrete_lyapunov(W_hh, W_uh @ W_uh.T)
    expected = [
        float(w @ np.linalg.solve(P, w))
        for w in (np.linalg.matrix_power(W_hh, age) @ W_uh[:, 0] for age in range(5))
    ]
    found = linear_capacity(W_hh, W_uh, 5).by_age[:, 0]
    condition = np.linalg.cond(P) / (1 - 0.9999**2)
    assert_rounded(found, expected, 16, condition)


def test_a9_fisher_memory_of_a_scaled_rotation_sums_to_one():
    orthogonal = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))[0]
    curve = fisher_memory(0.95 * orthogonal, np.array([[3.0], [0], [1], [0]]), lags=300)
    assert curve.total == pytest.approx(1, abs=1e-6)
    assert curve.by_age.sum() == pytest.approx(1, abs=1e-6)
    ages = np.arange(300)
    # Lyapunov's equation is one of 16 unknowns, of condition (1 + .95^2) / (1 - .95^2) here.
    expected, condition = (1 - 0.95**2) * 0.95 ** (2 * ages), (1 + 0.95**2) / (1 - 0.95**2)
    assert_rounded(curve.by_age[:, 0], expected, 16, condition)


@pytest.mark.parametrize("seed", range(5))
def test_fisher_memory_never_exceeds_the_number_of_units(seed):
    curve = fisher_memory(*random_net(seed), lags=400)
    assert 0 < curve.total <= 4
    assert curve.by_age.sum() == pytest.approx(curve.total, abs=1e-6)


def test_fisher_memory_of_a_non_normal_chain_exceeds_one():
    assert fisher_memory(3.0 * np.eye(5, k=-1), np.eye(5)[:, :1], lags=6).total > 1.5


def test_fisher_memory_of_an_unstable_network_is_refused():
    with pytest.raises(EmtkitError, match="below 1"):
        fisher_memory(np.eye(2), np.ones((2, 1)), 5)
