"""The closed forms against each other, against enumeration and against Monte Carlo."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emtkit.errors import EmtkitError
from emtkit_std._theory.facts import DelayLaw
from emtkit_std._theory.superposition.linear_loss import (
    delay_law,
    enumerated_loss,
    finite_terms,
    linear_response,
    zero_predictor_loss,
)
from tests.rounding import assert_rounded, rounding
from tests.std.known_nets import (
    assert_within_standard_errors,
    chain,
    last_step,
    net_a1,
    sample_law,
)
from tests.std.references import compact_loss, linear_terms, output_projections


@pytest.mark.parametrize(
    ("density", "terms", "total"),
    [
        (1.0, [0, 0.682362, 1.436522, -1.294135], 0.824748),
        (0.2, [0, 0.027294, 0.287304, -0.051765], 0.262833),
    ],
)
def test_a2_four_terms_equal_the_compact_form_and_monte_carlo(density, terms, total):
    law, a = delay_law(3, density), output_projections(*net_a1(), lags=41)
    found = linear_terms(a, law)
    parts = [found.task_benefit, found.mean_correction, found.projection, found.composition]
    np.testing.assert_allclose(parts, terms, atol=1e-5)
    assert found.total == pytest.approx(total, abs=1e-5)
    limit = rounding(41, np.abs(parts).sum())
    assert found.total == pytest.approx(compact_loss(a, law), abs=limit)
    rng, errors = np.random.default_rng(2), []
    for _ in range(10):
        windows = sample_law(law, (100_000, 41), rng)
        errors.append(np.square(windows @ a[0, 0] - windows[:, 3]))
    assert_within_standard_errors(np.concatenate(errors), found.total)


@given(
    arrays(np.float64, (2, 2, 6), elements=st.floats(-3, 3)),
    arrays(np.float64, 2, elements=st.floats(-1, 1)),
    st.floats(0.01, 1),
    st.sampled_from(["uniform", "constant", "signed"]),
)
def test_four_terms_equal_the_compact_form(projections, bias, density, amplitude):
    law = delay_law(3, density, amplitude, features=2, importance=0.7)
    terms = linear_terms(projections, law, bias).total
    # Sums of 2 x 2 x 6 products of what a projection, a bias and the target of 1 can add up to.
    most = (np.abs(projections).sum(axis=(1, 2)) + np.abs(bias) + 1) ** 2
    limit = rounding(2 * 2 * 6, most.sum())
    assert terms == pytest.approx(compact_loss(projections, law, bias), rel=0, abs=limit)


def test_vector_inputs_of_different_laws_against_monte_carlo():
    law = DelayLaw((1, 2), (0, 1), (1.0, -1.0), (0.5, 0.0), (1 / 3, 1 / 3), (0.8, 0.4), (1.0, 0.3))
    rng = np.random.default_rng(5)
    a, bias = rng.normal(size=(2, 2, 4)), np.array([0.2, -0.1])
    first = (rng.random((200_000, 4)) < 0.8) * rng.random((200_000, 4))
    second = (rng.random((200_000, 4)) < 0.4) * rng.uniform(-1, 1, (200_000, 4))
    outputs = first @ a[:, 0].T + second @ a[:, 1].T + bias
    errors = np.square(outputs - np.stack([first[:, 1], -second[:, 2]], 1)) @ [1.0, 0.3]
    assert_within_standard_errors(errors, linear_terms(a, law, bias).total)


@pytest.mark.parametrize("all_steps", [True, False])
def test_finite_sequences_with_bias_against_monte_carlo(all_steps):
    steps, law = 9, delay_law(3, 0.4)
    scored = np.arange(steps) >= (0 if all_steps else 3)
    a, bias = output_projections(*net_a1(), lags=steps), np.array([0.15])
    inputs = sample_law(law, (100_000, steps, 1), np.random.default_rng(7))
    targets = np.concatenate([np.zeros((100_000, 3, 1)), inputs[:, :-3]], 1)
    outputs = linear_response(a, "linear", bias)(inputs)
    errors = np.square(outputs - targets)[:, scored, 0].mean(1)
    assert_within_standard_errors(errors, finite_terms(a, law, scored, bias).total)


@pytest.mark.parametrize("readout", ["linear"])
def test_enumeration_equals_the_closed_form(readout):
    law, a = delay_law(2, 0.3, "constant"), output_projections(*net_a1(), lags=11)
    for scored in (last_step(11), np.arange(11) >= 2, np.ones(11, bool)):
        exact = finite_terms(a, law, scored, np.array([0.1])).total
        response = linear_response(a, readout, np.array([0.1]))
        assert_rounded(enumerated_loss(response, law, scored), exact, 2**11)  # patterns


def test_enumeration_of_two_inputs_equals_the_closed_form():
    law = delay_law(1, 0.4, "constant", features=2, importance=0.5)
    a = np.random.default_rng(1).normal(size=(2, 2, 8))
    scored = np.arange(8) >= 1
    found = enumerated_loss(linear_response(a, "linear"), law, scored)
    assert_rounded(found, finite_terms(a, law, scored).total, 2**16)


def test_enumeration_in_chunks_of_17_bits():
    law, a = delay_law(3, 0.3, "constant"), output_projections(*net_a1(), lags=17)
    found = enumerated_loss(linear_response(a, "linear"), law, last_step(17))
    assert_rounded(found, linear_terms(a, law).total, 2**17)


@pytest.mark.parametrize("density", [0.05, 0.5, 1.0])
def test_a4_shift_register_has_no_loss(density):
    a = output_projections(*chain(4), lags=14)
    assert linear_terms(a, delay_law(3, density)).total == pytest.approx(0, abs=rounding(4, 1 / 3))
    constant = delay_law(3, density, "constant")
    assert enumerated_loss(linear_response(a, "relu"), constant, last_step(14)) == 0


def test_a7_zero_predictor_has_relative_loss_one():
    silent = np.zeros((1, 1, 12))
    law, scored = delay_law(3, 0.3), np.arange(12) >= 3
    energy = 0.3 / 3
    assert linear_terms(silent, law).total / energy == pytest.approx(1, abs=rounding(12))
    assert zero_predictor_loss(law, scored) / energy == pytest.approx(1, abs=rounding(12))
    constant = delay_law(3, 0.3, "constant")
    exact = enumerated_loss(linear_response(silent, "relu"), constant, scored)
    assert exact / 0.3 == pytest.approx(1, abs=rounding(2**12))  # patterns
    inputs = sample_law(law, (100_000, 12), np.random.default_rng(4))
    assert_within_standard_errors(np.square(inputs[:, :-3]).mean(1) / energy, 1.0)


def test_a7_silent_steps_before_the_delay_dilute_the_zero_predictor():
    law = delay_law(3, 0.5)
    assert zero_predictor_loss(law, np.ones(12, bool)) == pytest.approx(0.5 / 3 * 9 / 12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 0.0), "above 0 and at most 1"),
        ((3, 1.5), "above 0 and at most 1"),
        ((3, float("nan")), "above 0 and at most 1"),
        ((-1, 0.5), "delay -1"),
    ],
)
def test_a8_impossible_densities_and_delays_are_refused(arguments, message):
    with pytest.raises(EmtkitError, match=message):
        delay_law(*arguments)


def test_a8_sequences_no_longer_than_the_delay_are_refused():
    with pytest.raises(EmtkitError, match="longer than its delay 3"):
        finite_terms(np.zeros((1, 1, 8)), delay_law(3, 0.5), np.ones(3, bool))


def test_the_variance_in_place_of_the_raw_second_moment_is_refused():
    with pytest.raises(EmtkitError, match="raw moment"):
        DelayLaw((3,), (0,), (1.0,), (0.5,), (1 / 12,), (0.5,))


def test_enumeration_refuses_varying_amplitudes_and_too_many_bits():
    response = linear_response(np.zeros((1, 1, 30)), "linear")
    with pytest.raises(EmtkitError, match="amplitudes vary"):
        enumerated_loss(response, delay_law(3, 0.5), last_step(8))
    with pytest.raises(EmtkitError, match="21 bits"):
        enumerated_loss(response, delay_law(3, 0.5, "constant"), last_step(21))
