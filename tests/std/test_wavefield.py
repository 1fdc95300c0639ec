"""Section 4.1 of the notes on waves: constructed fields with known answers, no training."""

from __future__ import annotations

import numpy as np
import pytest

from emtkit_std._theory.waves.speed import (
    coherence,
    direction_index,
    flag_of,
    frequency_speed,
    lag_correlation,
    lag_speed,
    shuffle_z,
    spectrum,
)
from emtkit_std._theory.waves.wavefield import (
    Array,
    Wavefield,
    amplitude_ratio,
    boundary_residual,
    coordinates,
    field_of,
    fit_history,
    gain_corrected_shift,
    living_steps,
    motion,
    operator_residuals,
    shift_residual,
    sliding_history,
)
from tests.rounding import assert_rounded, rounding


def repeat_operator(s: int, d: int) -> Array:
    return np.eye(d, s * d)


def selection_t4() -> Array:
    """x_n = (x_{n-4}[2], -x_{n-3}[0], x_{n-2}[3], -x_{n-1}[1])."""
    f = np.zeros((4, 16))
    f[0, 2], f[1, 4], f[2, 8 + 3], f[3, 12 + 1] = 1, -1, 1, -1
    return f


def signs(rng: np.random.Generator, *shape: int) -> Array:
    return rng.choice([-1.0, 1.0], size=shape)


def wave(f: Array, batch: int, s: int, steps: int, rng: np.random.Generator) -> Wavefield:
    """The exact travelling wave: columns are the sliding window over the sequence of rule f."""
    return field_of(sliding_history(sequence(f, batch, s, steps, rng), s))


def sequence(f: Array, batch: int, s: int, steps: int, rng: np.random.Generator) -> Array:
    terms = list(signs(rng, s, batch, len(f)))
    for _ in range(steps - 1):
        terms.append(np.concatenate(terms[-s:], axis=-1) @ f.T)
    return np.stack(terms, axis=1)


def register(batch: int, s: int, d: int, steps: int, rng: np.random.Generator) -> Array:
    return np.repeat(signs(rng, batch, 1, s, d), steps, axis=1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("f", [repeat_operator(4, 4), selection_t4()])
def test_check_5_a_perfect_wave_has_no_residuals_and_speed_one(f, rng):
    field = wave(f, 64, 4, 64, rng)
    assert shift_residual(field) == 0
    assert boundary_residual(field, f) == 0
    assert gain_corrected_shift(field).residual <= rounding(1)
    found = lag_speed(field)
    assert found.speed == 1.0
    assert found.lags == (1, 2, 3)
    assert flag_of(field, found) == "wave"
    assert living_steps(field) == 64
    assert amplitude_ratio(field) == 1.0


def test_check_5_frequency_picture_of_a_perfect_wave(rng):
    field = wave(repeat_operator(8, 8), 256, 8, 64, rng)
    picture = spectrum(field)
    found = frequency_speed(picture)
    assert found.speed == pytest.approx(1.0, abs=0.05)
    assert found.contrast > 5
    assert found.contrast == pytest.approx(7.4, abs=0.3)
    assert coherence(field) > 0.99
    assert direction_index(picture) == pytest.approx(0.83, abs=0.03)
    assert lag_speed(field).speed == 1.0


def test_few_columns_quantise_the_frequency_speed(rng):
    field = wave(repeat_operator(4, 4), 256, 4, 64, rng)
    picture = spectrum(field)
    found = frequency_speed(picture)
    assert found.speed == pytest.approx(1.0, abs=0.2)
    assert found.contrast == pytest.approx(4.2, abs=0.3)
    assert direction_index(picture) == pytest.approx(0.66, abs=0.03)


def test_a_wave_the_other_way_has_negative_speed_and_direction(rng):
    field = wave(repeat_operator(8, 4), 64, 8, 64, rng)
    back = field_of(field.values[:, :, ::-1])
    assert lag_speed(back).speed == -1.0
    assert frequency_speed(spectrum(back)).speed == pytest.approx(-1.0, abs=0.06)
    assert direction_index(spectrum(back)) < -0.6


def test_a_global_search_for_the_lag_would_be_fooled_by_the_period(rng):
    field = wave(repeat_operator(8, 4), 64, 8, 64, rng)
    assert lag_correlation(field, 1, 1) == pytest.approx(lag_correlation(field, 1, -7), abs=0.03)
    assert lag_speed(field).speed == 1.0


def test_two_columns_have_no_direction(rng):
    assert np.isnan(lag_speed(wave(repeat_operator(2, 4), 64, 2, 32, rng)).speed)


@pytest.mark.parametrize(("s", "d", "hidden"), [(4, 4, 16), (4, 4, 64), (8, 8, 128)])
def test_check_6_a_hidden_wave_is_seen_in_its_basis(s, d, hidden, rng):
    f = repeat_operator(s, d)
    basis = rng.normal(size=(hidden, s * d)) / np.sqrt(hidden)
    while np.linalg.cond(basis) > 1e3:
        basis = rng.normal(size=(hidden, s * d)) / np.sqrt(hidden)
    true = wave(f, 16, s, 3 * s, rng)
    states = true.values.reshape(16, 3 * s, -1) @ basis.T
    seen = coordinates(states, basis, s)
    limit = rounding(hidden, np.linalg.cond(basis) ** 2)  # a basis and its dual, H products
    assert shift_residual(seen.field) <= limit
    assert boundary_residual(seen.field, f) <= limit
    assert seen.unexplained <= limit
    phi = np.eye(s * d, k=d)
    phi[-d:] = f
    residuals = operator_residuals(basis @ phi @ np.linalg.pinv(basis), basis, s, f)
    assert residuals.shift <= limit
    assert residuals.boundary <= limit


def test_regression_finds_the_basis_of_a_hidden_wave(rng):
    f = repeat_operator(4, 4)
    chi = wave(f, 128, 4, 12, rng).values
    basis = rng.normal(size=(40, 16))
    fit = fit_history(chi.reshape(128, 12, -1) @ basis.T + 0.7, chi)
    size, condition = 128 * 12, np.linalg.cond(chi.reshape(128 * 12, -1))
    assert_rounded(fit.basis, basis, size, condition)
    limit = rounding(size, condition * np.abs(basis).sum(axis=1).max())
    np.testing.assert_allclose(fit.offset, 0.7, rtol=0, atol=limit)
    assert fit.r2 == pytest.approx(1.0, abs=rounding(1))


def test_coordinates_that_are_not_kept_are_left_out(rng):
    """T4 reads each dimension at one column; older columns of it may hold anything."""
    f = selection_t4()
    kept = np.array([[i >= j for j in (1, 3, 0, 2)] for i in range(4)])
    values = wave(f, 64, 4, 32, rng).values.copy()
    values[..., ~kept] = rng.normal(size=values[..., ~kept].shape)
    assert shift_residual(field_of(values)) > 0.3
    field = field_of(values, kept)
    assert shift_residual(field) == 0
    assert boundary_residual(field, f) == 0
    assert lag_speed(field).speed == 1.0
    basis = rng.normal(size=(20, 16))
    states = (values * kept).reshape(64, 32, -1) @ basis.T
    seen = coordinates(states, basis, 4, kept)
    assert_rounded(seen.field.values, field.values, 20, np.linalg.cond(basis) ** 2)


def test_check_9_a_register_is_static_and_no_wave(rng):
    values = register(1024, 4, 4, 64, rng)
    field = field_of(values)
    found = lag_speed(field)
    assert shift_residual(field) == pytest.approx(1.41, abs=0.03)
    assert np.isnan(coherence(field))
    assert flag_of(field, found) == "static"
    assert np.isnan(found.speed)
    assert motion(field) == 0
    travelling = np.stack([np.roll(values[:, 0], -t, axis=1) for t in range(64)], axis=1)
    fit = fit_history(values.reshape(1024, 64, -1), travelling)
    assert fit.r2 == pytest.approx(1 / 4, abs=0.03)


def test_check_9_white_noise_has_no_shift_and_no_contrast(rng):
    field = field_of(rng.normal(size=(512, 64, 8, 4)))
    assert shift_residual(field) == pytest.approx(1.41, abs=0.03)
    assert gain_corrected_shift(field).residual == pytest.approx(1.0, abs=0.01)
    assert frequency_speed(spectrum(field)).contrast == pytest.approx(1.0, abs=0.1)
    assert coherence(field) == pytest.approx(0.0, abs=0.05)
    assert flag_of(field, lag_speed(field)) == "undefined"


@pytest.mark.parametrize(("sigma", "residual", "within"), [(0.1, 0.141, 0.01), (0.5, 0.632, 0.02)])
def test_check_10_noise_on_a_wave(sigma, residual, within, rng):
    field = wave(repeat_operator(8, 8), 128, 8, 64, rng)
    noisy = field_of(field.values + sigma * rng.normal(size=field.values.shape))
    assert shift_residual(noisy) == pytest.approx(residual, abs=within)
    assert shift_residual(noisy) == pytest.approx(
        np.sqrt(2) * sigma / np.sqrt(1 + sigma**2), abs=0.01
    )
    assert lag_speed(noisy).speed == 1.0


def test_check_11_an_attenuated_wave_is_exact_after_its_gain(rng):
    field = wave(repeat_operator(8, 4), 128, 8, 64, rng)
    fading = field_of(field.values * 0.95 ** np.arange(7, -1, -1)[:, None])
    found = gain_corrected_shift(fading)
    assert shift_residual(fading) == pytest.approx(0.050, abs=0.002)
    np.testing.assert_allclose(found.gains, 0.95, atol=1e-6)
    assert found.residual < 1e-8


def test_a_dying_network_is_flagged_although_it_moves_like_a_wave(rng):
    field = wave(repeat_operator(4, 4), 64, 4, 40, rng)
    dying = field_of(field.values * (0.6 ** np.arange(40))[:, None, None])
    assert living_steps(dying) == 14
    assert amplitude_ratio(dying) == pytest.approx(0.6**39)
    assert flag_of(dying, lag_speed(dying)) == "dying"
    assert lag_speed(dying.until(14)).speed == 1.0


def test_columns_in_unison_are_static_and_overflow_is_undefined(rng):
    unison = np.repeat(rng.normal(size=(64, 32, 1, 4)), 8, axis=2)
    assert flag_of(field_of(unison), lag_speed(field_of(unison))) == "static"
    broken = field_of(np.full((4, 8, 4, 2), np.inf))
    assert flag_of(broken, lag_speed(field_of(np.zeros((4, 8, 4, 2))))) == "undefined"


def test_shuffled_columns_and_times_tell_a_wave_from_noise(rng):
    columns = np.stack([[rng.permutation(8) for _ in range(4)] for _ in range(50)])
    times = np.stack([rng.permutation(48) for _ in range(50)])
    field = wave(repeat_operator(8, 4), 64, 8, 48, rng)
    for shuffle, orders in (("columns", columns), ("time", times)):
        assert shuffle_z(field, coherence, shuffle, orders) > 5
    assert coherence(field) > 0.99
    noise = field_of(rng.normal(size=(64, 48, 8, 4)))
    assert abs(shuffle_z(noise, coherence, "time", times)) < 4
