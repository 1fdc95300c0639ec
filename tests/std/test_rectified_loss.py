"""The exact loss of a rectified readout against enumeration, closed forms and Monte Carlo."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from emtkit.errors import EmtkitError
from emtkit_std._theory.facts import DelayLaw
from emtkit_std._theory.superposition import rectified_loss, relu_lattice, relu_series
from emtkit_std._theory.superposition.amplitudes import AMPLITUDES
from emtkit_std._theory.superposition.linear_loss import (
    delay_law,
    enumerated_loss,
    finite_terms,
    linear_response,
)
from emtkit_std._theory.superposition.rectified_loss import relu_losses
from emtkit_std._theory.superposition.relu_patterns import pattern_loss
from tests.std.known_nets import assert_within_standard_errors, sample_law

LAWS = sorted(relu_series.LAWS)

UNLAWS = [name for name, law in AMPLITUDES.items() if law.waves is not None]
SCORINGS = {
    "last": lambda t, k: t == t[-1],
    "recall": lambda t, k: t >= k,
    "all": lambda t, k: t >= 0,
}


@pytest.mark.parametrize("lattice", [False, True])
@pytest.mark.parametrize("bias", [0.0, 0.2, -0.3])
@pytest.mark.parametrize("scoring", SCORINGS)
def test_constant_amplitudes_against_enumeration(monkeypatch, scoring, bias, lattice):
    law = delay_law(2, 0.3, "constant", features=2, importance=0.6)
    a = np.random.default_rng(1).normal(size=(2, 2, 6))
    scored = SCORINGS[scoring](np.arange(6), 2)
    exact = enumerated_loss(linear_response(a, "relu", np.full(2, bias)), law, scored)
    if lattice:
        monkeypatch.setattr(rectified_loss, "MOST_PATTERN_BITS", 0)
    found = relu_losses(a[None], law, scored, np.full((1, 6, 2), bias))
    assert abs(found.loss[0] - exact) <= found.error[0]
    assert found.error[0] < (1e-7 if lattice else 1e-11)


@pytest.mark.parametrize("amplitude", LAWS)
def test_a_rectifier_that_never_clips_leaves_the_linear_loss(amplitude):
    law, a = delay_law(2, 0.4, amplitude), np.random.default_rng(2).normal(size=(1, 1, 7))
    scored, bias = np.arange(7) >= 2, float(np.abs(a).sum()) + 0.1
    linear = finite_terms(a, law, scored, np.array([bias])).total
    found = relu_losses(a[None], law, scored, np.full((1, 7, 1), bias))
    assert abs(found.loss[0] - linear) <= found.error[0] < 1e-10


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.99), st.floats(0.0, 4.0), st.floats(-1, 1))
def test_a_lattice_bounds_its_distance_to_every_pattern(seed, density, decades, bias):
    rng = np.random.default_rng(seed)
    gain = rng.normal(size=12) * 10.0 ** (decades * rng.uniform(-1, 1, 12))
    target, densities = np.eye(12)[3], np.full(12, density)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relu_lattice, "POINTS", 1 << 12)
        found = relu_lattice.lattice_loss(gain, target, densities, bias)
    rounding = 1e-13 * (np.abs(gain).sum() + 1) ** 2
    exact = pattern_loss(gain, target, densities, bias)
    assert abs(found.loss - exact) <= found.error + rounding


@pytest.mark.parametrize("density", [0.02, 0.3])
def test_eighty_constant_amplitudes_against_the_binomial_law(density):
    """Equal gains: the number of active ones is binomial, 2^80 patterns in 80 values."""
    others = np.arange(80)
    a, bias, asked = np.full(80, -0.05), 0.4, 1.0
    gain, target = np.append(asked, a[1:]), np.eye(80)[0]
    chance = binom.pmf(others, 79, density)
    level = bias - 0.05 * others
    on, off = np.maximum(level + asked, 0), np.maximum(level, 0)
    exact = chance @ (density * (on**2 - 2 * on) + (1 - density) * off**2)
    found = relu_lattice.lattice_loss(gain, target, np.full(80, density), bias)
    assert abs(found.loss - exact) <= found.error < 1e-6


@pytest.mark.parametrize("name", AMPLITUDES)
def test_what_a_law_says_of_itself_is_true(name):
    """Moments and waves against a midpoint rule over the law's own quantiles."""
    law, count = AMPLITUDES[name], 1 << 20
    values = law.quantile(torch.from_numpy((np.arange(count) + 0.5) / count)).numpy()
    # The tails of a lognormal square converge slowest: its last quantile is e^4.9.
    assert values.mean() == pytest.approx(law.mean, abs=2e-4)
    assert np.square(values).mean() == pytest.approx(law.second_moment, rel=5e-3)
    assert law.one_signed == bool((values >= 0).all())
    assert (law.waves is None) == (name in LAWS)
    if law.waves is not None:
        for angle in (-3.0, -0.2, 1e-3, 0.7, 4.0):
            turned = np.exp(1j * angle * values)
            at = np.array([angle])
            assert abs(law.waves.less_one(at)[0] - (turned - 1.0).mean()) < 1e-3
            assert abs(law.waves.with_amplitude(at)[0] - (values * turned).mean()) < 2e-3


@pytest.mark.parametrize("amplitude", [*LAWS, *UNLAWS])
@pytest.mark.parametrize("spread", [1.0, 10.0])
@pytest.mark.parametrize("bias", [0.0, -0.4])
def test_sequences_of_two_features_against_monte_carlo(amplitude, spread, bias):
    rng = np.random.default_rng(3)
    law = delay_law(2, 0.3, amplitude, features=2, importance=0.6)
    a = rng.normal(size=(2, 2, 6)) * spread ** rng.normal(size=(2, 2, 6))
    scored, inputs = np.arange(6) >= 1, sample_law(law, (100_000, 6, 2), rng)
    targets = np.concatenate([np.zeros((100_000, 2, 2)), inputs[:, :-2]], 1)
    outputs = linear_response(a, "relu", np.full(2, bias))(inputs)
    errors = (np.square(outputs - targets) @ [1.0, 0.6])[:, scored].mean(1)
    found = relu_losses(a[None], law, scored, np.full((1, 6, 2), bias))
    assert_within_standard_errors(errors, float(found.loss[0]))
    assert found.error[0] < 1e-6 * 0.3 * law.second_moment[0]


@pytest.mark.parametrize("bias", [0.0, 0.4, -0.4])
@pytest.mark.parametrize("density", [0.02, 0.5, 1.0])
def test_normal_amplitudes_against_every_pattern(bias, density):
    """Given who is active, Y is N(b, v): E relu² and, by Stein's lemma, E[U_k relu] are known."""
    a, last = np.array([0.3, -2.0, 1.0, 0.5, -0.1]), np.arange(5) == 4
    patterns = (np.arange(32)[:, None] >> np.arange(5)) & 1
    chance = np.where(patterns, density, 1.0 - density).prod(1)
    spread = np.sqrt(np.maximum(patterns @ a**2, 1e-300))
    below, height = norm.cdf(bias / spread), norm.pdf(bias / spread)
    square = (bias**2 + spread**2) * below + bias * spread * height
    exact = chance @ (square - 2.0 * patterns[:, 2] * a[2] * below) + density
    law, held = delay_law(2, density, "normal"), np.full((1, 5, 1), bias)
    found = relu_losses(a[None, None, None], law, last, held)
    assert abs(found.loss[0] - exact) <= found.error[0] + 1e-14
    assert found.error[0] < 1e-6 * density


def test_exponential_amplitudes_of_two_ages_against_the_closed_form():
    """x_1 alone gives 0, x_0 alone and both give E relu(a U - c V)² = 2 a³ / (a + c)."""
    a, c, p = 0.8, 1.7, 0.3
    square = p * 2 * a**2 * (1 - p) + p * p * 2 * a**3 / (a + c)
    # E[U relu(a U - c V)] = E over V of exp(-c V / a) (2 a + c V), V of rate 1
    product = p * (1 - p) * 2 * a + p * p * (2 * a**2 / (a + c) + c * a**2 / (a + c) ** 2)
    law, last = delay_law(0, p, "exponential"), np.arange(2) == 1
    found = relu_losses(np.array([[[[a, -c]]]]), law, last)
    exact = square - 2 * product + 2 * p
    assert abs(found.loss[0] - exact) <= found.error[0] < 1e-6


@pytest.mark.parametrize("amplitude", UNLAWS)
@pytest.mark.parametrize("bias", [0.0, 0.05])
def test_amplitudes_without_bound_that_are_never_clipped(amplitude, bias):
    """Positive gains, and normal inputs that a bias lifts by nine standard deviations."""
    a = np.random.default_rng(2).uniform(0.2, 2.0, size=(1, 1, 7))
    bias += 40.0 if amplitude == "normal" else 0.0
    law, scored = delay_law(2, 0.4, amplitude), np.arange(7) >= 2
    linear = finite_terms(a, law, scored, np.array([bias])).total
    found = relu_losses(a[None], law, scored, np.full((1, 7, 1), bias))
    assert abs(found.loss[0] - linear) <= found.error[0]
    assert found.error[0] < 1e-6 * max(linear, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("amplitude", [*LAWS, "exponential", "normal"])
def test_twenty_million_windows(amplitude):
    """A code of the sparse branch, in which rare events carry the loss."""
    rng, law = np.random.default_rng(11), delay_law(3, 0.1, amplitude)
    s = np.arange(14)
    a = -(0.44 ** (s - 3)) * np.sin(np.pi / 2 * s)
    found = relu_losses(a[None, None, None], law, s == 13)
    errors = []
    for _ in range(40):
        inputs = sample_law(law, (500_000, 14, 1), rng)[..., 0]
        outputs = np.maximum(inputs @ a[::-1], 0.0)
        errors.append(np.square(outputs - inputs[:, 10]))
    assert_within_standard_errors(np.concatenate(errors), float(found.loss[0]))
    assert found.error[0] < 1e-6 * 0.1 * law.second_moment[0]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0.01, 1.0),
    st.sampled_from(LAWS),
    st.floats(0.0, 4.0),
    st.sampled_from([0.0, 0.3, -0.3]),
)
def test_the_error_bounds_the_distance_to_many_more_terms(seed, density, amplitude, decades, bias):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(1, 1, 1, 6)) * 10.0 ** (decades * rng.uniform(-1, 1, 6))
    law, last, held = delay_law(2, density, amplitude), np.arange(6) == 5, np.full((1, 6, 1), bias)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relu_series, "_MOST_TERMS", 1 << 9)
        coarse = relu_losses(a, law, last, held)
    fine = relu_losses(a, law, last, held)
    assert abs(coarse.loss[0] - fine.loss[0]) <= coarse.error[0] + fine.error[0]


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["uniform", "signed", "constant", "exponential"]),
    st.sampled_from([0.05, 0.3, 1.0]),
    st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_a_batch_has_the_bits_of_one_by_one(seed, amplitude, density, last):
    """Also where the networks remember over different times, and so have other series."""
    rng = np.random.default_rng(seed)
    law = delay_law(3, density if amplitude != "constant" else min(density, 0.9), amplitude)
    a = rng.normal(size=(5, 1, 1, 8)) * rng.choice([1.0, 0.1, 0.01], (5, 1, 1, 8))
    a *= np.arange(8) < rng.integers(1, 9, (5, 1, 1, 1))
    scored = np.arange(8) == 7 if last else np.arange(8) >= 3
    bias = rng.choice([0.0, 0.1, -0.2], (5, 8, 1))
    together = relu_losses(a, law, scored, bias)
    for some in ([4], [0, 2], [3, 1, 0]):
        found = relu_losses(a[some], law, scored, bias[some])
        np.testing.assert_array_equal(together.loss[some], found.loss)
        np.testing.assert_array_equal(together.error[some], found.error)


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_amplitudes_of_another_size_scale_the_loss(size):
    a, last = np.random.default_rng(6).normal(size=(1, 1, 1, 6)), np.arange(6) == 5
    unit = DelayLaw((2,), (0,), (1.0,), (0.5,), (1 / 3,), (0.2,), amplitude="uniform")
    scaled = DelayLaw(
        (2,), (0,), (1.0,), (0.5 * size,), (size**2 / 3,), (0.2,), amplitude="uniform"
    )
    expected, found = relu_losses(a, unit, last), relu_losses(a, scaled, last)
    assert abs(found.loss[0] / size**2 - expected.loss[0]) <= 2 * expected.error[0]


def test_the_law_of_the_amplitudes_is_needed_by_name():
    law = DelayLaw((1,), (0,), (1.0,), (0.5,), (1 / 3,), (0.05,))
    with pytest.raises(EmtkitError, match="by name"):
        relu_losses(np.ones((1, 1, 1, 4)), law, np.ones(4, bool))
