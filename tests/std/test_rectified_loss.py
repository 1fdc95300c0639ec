"""The exact loss of a rectified readout against enumeration, closed forms and Monte Carlo."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emtkit.errors import EmtkitError
from emtkit_std._theory.facts import DelayLaw
from emtkit_std._theory.superposition import rectified_loss, relu_series
from emtkit_std._theory.superposition.linear_loss import (
    delay_law,
    enumerated_loss,
    finite_terms,
    linear_response,
)
from emtkit_std._theory.superposition.rectified_loss import relu_losses
from tests.std.known_nets import assert_within_standard_errors, sample_law

LAWS = ["uniform", "constant", "signed"]
SCORINGS = {
    "last": lambda t, k: t == t[-1],
    "recall": lambda t, k: t >= k,
    "all": lambda t, k: t >= 0,
}


@pytest.mark.parametrize("series", [False, True])
@pytest.mark.parametrize("bias", [0.0, 0.2, -0.3])
@pytest.mark.parametrize("scoring", SCORINGS)
def test_constant_amplitudes_against_enumeration(monkeypatch, scoring, bias, series):
    law = delay_law(2, 0.3, "constant", features=2, importance=0.6)
    a = np.random.default_rng(1).normal(size=(2, 2, 6))
    scored = SCORINGS[scoring](np.arange(6), 2)
    exact = enumerated_loss(linear_response(a, "relu", np.full(2, bias)), law, scored)
    if series:
        monkeypatch.setattr(rectified_loss, "MOST_PATTERN_BITS", 0)
        monkeypatch.setattr(relu_series, "_MOST_TERMS", 1 << 10)
    found = relu_losses(a[None], law, scored, np.full((1, 6, 2), bias))
    assert abs(found.loss[0] - exact) <= found.error[0]
    assert found.error[0] < (1e-3 if series else 1e-11)


@pytest.mark.parametrize("amplitude", LAWS)
def test_a_rectifier_that_never_clips_leaves_the_linear_loss(amplitude):
    law, a = delay_law(2, 0.4, amplitude), np.random.default_rng(2).normal(size=(1, 1, 7))
    scored, bias = np.arange(7) >= 2, float(np.abs(a).sum()) + 0.1
    linear = finite_terms(a, law, scored, np.array([bias])).total
    found = relu_losses(a[None], law, scored, np.full((1, 7, 1), bias))
    assert abs(found.loss[0] - linear) <= found.error[0] < 1e-10


@pytest.mark.parametrize("amplitude", LAWS)
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
    assert found.error[0] < 1e-6 * 0.3 / 3


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
        patch.setattr(rectified_loss, "MOST_PATTERN_BITS", 0)
        patch.setattr(relu_series, "_MOST_TERMS", 1 << 9)
        coarse = relu_losses(a, law, last, held)
        patch.undo()
        fine = relu_losses(a, law, last, held)  # constant amplitudes: enumerated
    assert abs(coarse.loss[0] - fine.loss[0]) <= coarse.error[0] + fine.error[0]


def test_a_batch_has_the_bits_of_one_by_one():
    law, a = delay_law(3, 0.2), np.random.default_rng(5).normal(size=(5, 1, 1, 8))
    scored = np.arange(8) >= 3
    together = relu_losses(a, law, scored)
    alone = [relu_losses(one[None], law, scored) for one in a]
    np.testing.assert_array_equal(together.loss, [one.loss[0] for one in alone])
    np.testing.assert_array_equal(together.error, [one.error[0] for one in alone])


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
