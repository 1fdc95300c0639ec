"""Section 4.1 of the notes on waves: constructed fields with known answers, no training."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from emtkit_std._theory.waves.history import fit_history, judge_wave, sliding_history
from emtkit_std._theory.waves.speed import (
    coherence,
    direction_index,
    flag_of,
    lag_correlations,
    spectrum,
    wave_speed,
)
from emtkit_std._theory.waves.wavefield import (
    Array,
    Columns,
    Wavefield,
    amplitude_ratio,
    boundary_residual,
    coordinates,
    field_of,
    gain_corrected_shift,
    living_steps,
    motion,
    operator_residuals,
    shift_residual,
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
    assert shift_residual(field).value == 0
    assert boundary_residual(field, f).value == 0
    assert gain_corrected_shift(field).residual.value <= rounding(1)
    found = wave_speed(field)
    assert found.value == 1.0
    assert found.peak == pytest.approx(1.0, abs=1e-4)  # the mean is taken off
    assert flag_of(field, found, travels=True) == "wave"
    assert flag_of(field, found, travels=False) == "none"
    assert living_steps(field) == 64
    assert amplitude_ratio(field).value == 1.0


def test_check_5_frequency_picture_of_a_perfect_wave(rng):
    field = wave(repeat_operator(8, 8), 256, 8, 64, rng)
    assert coherence(field).value > 0.99
    assert direction_index(spectrum(field)) == pytest.approx(0.83, abs=0.03)
    assert wave_speed(field).value == 1.0


def test_direction_of_few_columns(rng):
    field = wave(repeat_operator(4, 4), 256, 4, 64, rng)
    assert direction_index(spectrum(field)) == pytest.approx(0.66, abs=0.03)


def moving(speed: float, s: int, smoothing: float, ring: bool, rng: np.random.Generator) -> Array:
    """Z_i(t) = g(i + v t) of a smooth g (grain 1/20 column): (24, 64, s, 2)."""
    fine, steps = 20, 64
    length = fine * (s if ring else s + int(abs(speed) * steps) + 1)
    g = gaussian_filter1d(rng.normal(size=(24, length, 2)), smoothing * fine, axis=1, mode="wrap")
    at = (np.arange(s) + speed * np.arange(steps)[:, None]) * fine
    return g[:, np.round(at).astype(int) % length] / g.std()


@pytest.mark.parametrize("speed", [-3.0, -2.0, -1.0, 0.3, 0.5, 1.0, 1.7, 2.0, 3.0])
@pytest.mark.parametrize(("s", "smoothing", "ring"), [(8, 1.5, False), (32, 1.5, True)])
def test_smooth_fields_are_read_at_their_speed(speed, s, smoothing, ring, rng):
    field = field_of(moving(speed, s, smoothing, ring, rng))
    found = wave_speed(field)
    assert found.value == pytest.approx(speed, abs=0.05)
    assert flag_of(field, found, travels=True) == "wave"


@pytest.mark.parametrize("speed", [2, 3])
def test_a_field_of_independent_items_may_skip_columns(speed, rng):
    items = signs(rng, 64, 200, 2)
    field = np.stack([items[:, speed * t : speed * t + 8] for t in range(48)], axis=1)
    assert wave_speed(field_of(field)).value == speed


def test_a_wave_the_other_way_has_negative_speed_and_direction(rng):
    field = wave(repeat_operator(8, 4), 64, 8, 64, rng)
    back = field_of(field.values[:, :, ::-1])
    assert wave_speed(back).value == -1.0
    assert direction_index(spectrum(back)) < -0.6


def test_a_global_search_for_the_lag_would_be_fooled_by_the_period(rng):
    field = wave(repeat_operator(8, 4), 64, 8, 64, rng)
    found = lag_correlations(field, 1)  # of columns 1 - s .. s - 1 apart
    assert found[8] == pytest.approx(found[0], abs=0.03)
    assert wave_speed(field).value == 1.0


def test_two_columns_have_no_direction(rng):
    assert np.isnan(wave_speed(wave(repeat_operator(2, 4), 64, 2, 32, rng)).value)


@pytest.mark.parametrize(("s", "d", "hidden"), [(4, 4, 16), (4, 4, 64), (8, 8, 128)])
def test_check_6_a_hidden_wave_is_seen_in_its_basis(s, d, hidden, rng):
    f = repeat_operator(s, d)
    basis = rng.normal(size=(hidden, s * d)) / np.sqrt(hidden)
    while np.linalg.cond(basis) > 1e3:
        basis = rng.normal(size=(hidden, s * d)) / np.sqrt(hidden)
    true = wave(f, 16, s, 3 * s, rng)
    states = true.values.reshape(16, 3 * s, -1) @ basis.T
    dual = np.linalg.pinv(basis)
    columns = Columns(basis, dual, np.ones((s, d), dtype=bool), np.zeros(hidden))
    seen = coordinates(states, columns)
    limit = rounding(hidden, np.linalg.cond(basis) ** 2)  # a basis and its dual, H products
    assert shift_residual(seen).value <= limit
    assert boundary_residual(seen, f).value <= limit
    phi = np.eye(s * d, k=d)
    phi[-d:] = f
    residuals = operator_residuals(basis @ phi @ dual, columns, f)
    assert residuals.shift <= limit
    assert residuals.boundary <= limit


def test_regression_finds_the_basis_of_a_hidden_wave(rng):
    f = repeat_operator(4, 4)
    chi = wave(f, 128, 4, 12, rng).values
    basis = rng.normal(size=(40, 16))
    fit = fit_history(chi.reshape(128, 12, -1) @ basis.T + 0.7, chi)
    # Whitening divides by the singular values of the states, and multiplies by them again.
    size = 128 * 12
    condition = np.linalg.cond(chi.reshape(size, -1)) * np.linalg.cond(basis) ** 2
    assert_rounded(fit.basis, basis, size, condition)
    assert_rounded(fit.dual @ basis, np.eye(16), size, condition)
    limit = rounding(size, condition * np.abs(basis).sum(axis=1).max())
    np.testing.assert_allclose(fit.offset, 0.7, rtol=0, atol=limit)


def test_coordinates_that_are_not_kept_are_left_out(rng):
    """T4 reads each dimension at one column; older columns of it may hold anything."""
    f = selection_t4()
    kept = np.array([[i >= j for j in (1, 3, 0, 2)] for i in range(4)])
    values = wave(f, 64, 4, 32, rng).values.copy()
    values[..., ~kept] = rng.normal(size=values[..., ~kept].shape)
    assert shift_residual(field_of(values)).value > 0.3
    field = field_of(values, kept)
    assert shift_residual(field).value == 0
    assert boundary_residual(field, f).value == 0
    assert wave_speed(field).value == 1.0
    basis = rng.normal(size=(20, 16))
    states = (values * kept).reshape(64, 32, -1) @ basis.T
    dual = np.linalg.pinv(basis)[kept.ravel()]
    seen = coordinates(states, Columns(basis, dual, kept, np.zeros(20)))
    assert_rounded(seen.values, field.values, 20, np.linalg.cond(basis) ** 2)


def test_check_9_a_register_is_static_and_no_wave(rng):
    values = register(1024, 4, 4, 64, rng)
    field = field_of(values)
    found = wave_speed(field)
    assert shift_residual(field).value == pytest.approx(1.41, abs=0.03)
    assert np.isnan(coherence(field).value)
    assert flag_of(field, found, travels=True) == "static"
    assert found.value == 0.0
    assert motion(field) == 0
    travelling = np.stack([np.roll(values[:, 0], -t, axis=1) for t in range(64)], axis=1)
    whole = np.ones((4, 4), dtype=bool)
    orders = np.stack([rng.permutation(1024) for _ in range(20)])
    test = judge_wave(values.reshape(1024, 64, -1), travelling, whole, orders)
    assert test.reading.register.r2 == pytest.approx(1.0, abs=rounding(1))
    assert test.reading.history.r2 == pytest.approx(1 / 4, abs=0.01)
    assert not test.is_wave
    assert test.share == pytest.approx(-1.0, abs=0.05)  # (1/4 - 1) / (1 - 1/4)


def test_check_9_white_noise_has_no_shift_and_no_contrast(rng):
    field = field_of(rng.normal(size=(512, 64, 8, 4)))
    assert shift_residual(field).value == pytest.approx(1.41, abs=0.03)
    assert gain_corrected_shift(field).residual.value == pytest.approx(1.0, abs=0.01)
    assert coherence(field).value == pytest.approx(0.0, abs=0.05)
    assert flag_of(field, wave_speed(field), travels=False) == "none"


@pytest.mark.parametrize(("sigma", "residual", "within"), [(0.1, 0.141, 0.01), (0.5, 0.632, 0.02)])
def test_check_10_noise_on_a_wave(sigma, residual, within, rng):
    field = wave(repeat_operator(8, 8), 128, 8, 64, rng)
    noisy = field_of(field.values + sigma * rng.normal(size=field.values.shape))
    assert shift_residual(noisy).value == pytest.approx(residual, abs=within)
    assert shift_residual(noisy).value == pytest.approx(
        np.sqrt(2) * sigma / np.sqrt(1 + sigma**2), abs=0.01
    )
    assert wave_speed(noisy).value == 1.0


def test_check_11_an_attenuated_wave_is_exact_after_its_gain(rng):
    field = wave(repeat_operator(8, 4), 128, 8, 64, rng)
    fading = field_of(field.values * 0.95 ** np.arange(7, -1, -1)[:, None])
    found = gain_corrected_shift(fading)
    assert shift_residual(fading).value == pytest.approx(0.050, abs=0.002)
    np.testing.assert_allclose(found.gains, 0.95, atol=1e-6)
    assert found.residual.value < 1e-8


def test_a_dying_network_is_flagged_although_it_moves_like_a_wave(rng):
    field = wave(repeat_operator(4, 4), 64, 4, 40, rng)
    dying = field_of(field.values * (0.6 ** np.arange(40))[:, None, None])
    assert living_steps(dying) == 14
    assert amplitude_ratio(dying).value == pytest.approx(0.6**39)
    assert flag_of(dying, wave_speed(dying), travels=True) == "dying"
    assert wave_speed(dying.until(14)).value == 1.0


def test_columns_in_unison_are_static_and_overflow_is_undefined(rng):
    unison = np.repeat(rng.normal(size=(64, 32, 1, 4)), 8, axis=2)
    slow = field_of(gaussian_filter1d(unison, 2.0, axis=1))
    assert flag_of(slow, wave_speed(slow), travels=True) == "static"
    assert np.isnan(wave_speed(field_of(unison)).value)  # nothing lasts a step
    broken = field_of(np.full((4, 8, 4, 2), np.inf))
    still = wave_speed(field_of(np.zeros((4, 8, 4, 2))))
    assert flag_of(broken, still, travels=True) == "undefined"
