"""Gradient by lag: check 12 of the notes on waves and section 3.7 of those on EMT."""

from __future__ import annotations

import numpy as np
import pytest

from emtkit_std.analyses.gradient_lag import (
    Array,
    decay,
)
from tests.rounding import rounding
from tests.std.references import lag_profile, linear_lag_profile, projected_lag_profile


def orthogonal(size: int, rng: np.random.Generator) -> Array:
    q, r = np.linalg.qr(rng.normal(size=(size, size)))
    return q * np.sign(np.diag(r))


@pytest.mark.parametrize("rho", [0.5, 0.8, 0.95, 1.0, 1.05])
def test_check_12_scaled_orthogonal_recurrence_decays_at_minus_log_rho(rho):
    rng = np.random.default_rng(1)
    recurrent, write = rho * orthogonal(128, rng), rng.normal(size=(128, 8))
    exact = linear_lag_profile(recurrent, write, 8)
    assert decay(exact).rate == pytest.approx(-np.log(rho), abs=1e-6)
    assert decay(exact, 1).rate == pytest.approx(-np.log(rho), abs=1e-6)
    assert decay(exact).first_over_last == pytest.approx(rho**7)

    state, inputs = np.tile(recurrent, (1, 8, 1, 1)), np.tile(write, (1, 8, 1, 1))
    found = lag_profile(state, inputs)
    np.testing.assert_allclose(found, exact, rtol=rounding(8 * 128))  # 8 products of 128
    projected = projected_lag_profile(state, inputs, rng.normal(size=(12, 128)))
    assert decay(projected).rate == pytest.approx(-np.log(rho), abs=0.05)


def test_exact_repeat_circuit_has_a_flat_profile():
    rng = np.random.default_rng(2)
    s = d = 8
    basis = np.linalg.qr(rng.normal(size=(128, s * d)))[0]
    phi = np.eye(s * d, k=d) + np.eye(s * d, k=d - s * d)
    profile = linear_lag_profile(basis @ phi @ basis.T, basis[:, -d:], s)
    limit = rounding(8 * 128)  # 8 products of 128
    np.testing.assert_allclose(profile, 1.0, rtol=limit)
    assert abs(decay(profile).rate) <= limit


def test_profile_of_a_tanh_network_equals_finite_differences():
    rng = np.random.default_rng(3)
    recurrent, write = rng.normal(size=(6, 6)) / 2, rng.normal(size=(6, 2))
    inputs = rng.normal(size=(3, 5, 2))

    def last(u: Array) -> Array:
        h = np.zeros((len(u), 6))
        for t in range(5):
            h = np.tanh(h @ recurrent.T + u[:, t] @ write.T)
        return h

    h, state_jacobians, input_jacobians = np.zeros((3, 6)), [], []
    for t in range(5):
        h = np.tanh(h @ recurrent.T + inputs[:, t] @ write.T)
        slope = (1 - h**2)[:, :, None]
        state_jacobians.append(slope * recurrent)
        input_jacobians.append(slope * write)
    profile = lag_profile(np.stack(state_jacobians, 1), np.stack(input_jacobians, 1))

    for lag in range(5):
        squared = np.zeros(3)
        for channel in range(2):
            nudge = np.zeros_like(inputs)
            nudge[:, 4 - lag, channel] = 1e-6
            squared += (((last(inputs + nudge) - last(inputs - nudge)) / 2e-6) ** 2).sum(1)
        assert profile[lag] == pytest.approx(np.exp(np.log(np.sqrt(squared / 2)).mean()), rel=1e-6)


def test_default_initialisation_decays_at_half_log_three():
    rng = np.random.default_rng(4)
    bound = 1 / np.sqrt(128)
    rates = []
    for _ in range(20):
        recurrent = rng.uniform(-bound, bound, (128, 128))
        write = rng.uniform(-bound, bound, (128, 8))
        rates.append(decay(linear_lag_profile(recurrent, write, 8)).rate)
    assert np.mean(rates) == pytest.approx(0.5 * np.log(3), abs=0.02)


def test_undefined_profiles_are_nan_and_normalising_starts_at_the_first_lag():
    assert np.isnan(decay(np.array([1.0, 0.0, 0.0])).rate)
    assert np.isnan(decay(np.array([1.0, 0.5]), first_lag=1).rate)
