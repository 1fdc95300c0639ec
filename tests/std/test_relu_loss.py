"""The p-series of the ReLU readout against quadrature, enumeration and Monte Carlo."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtkit.errors import EmtkitError
from emtkit_std._theory.facts import DelayLaw
from emtkit_std._theory.superposition.linear_loss import delay_law, enumerated_loss, linear_response
from emtkit_std._theory.superposition.relu_loss import relu_second_order, uniform_relu_moments
from tests.rounding import assert_rounded
from tests.std.known_nets import (
    assert_within_standard_errors,
    last_step,
    net_a1,
    relu_chain,
    sample_law,
)
from tests.std.references import linear_terms, output_projections, relu_first_order


@pytest.mark.parametrize(
    ("density", "first", "second"), [(0.1, 0.030334, 0.027651), (0.03, 0.009100, 0.008859)]
)
def test_series_of_the_a1_net_with_uniform_amplitudes(density, first, second):
    law, a = delay_law(3, density), output_projections(*net_a1(), lags=8)
    assert relu_first_order(a, law) == pytest.approx(first, abs=1e-6)
    assert relu_second_order(a, law) == pytest.approx(second, abs=1e-6)


@pytest.mark.parametrize(
    ("density", "first", "second", "exact"),
    [(0.1, 0.091002, 0.081178, 0.083285), (0.03, 0.027301, 0.026416, 0.026481)],
)
def test_series_of_the_a1_net_with_constant_amplitude_against_enumeration(
    density, first, second, exact
):
    law, a = delay_law(3, density, "constant"), output_projections(*net_a1(), lags=8)
    assert relu_first_order(a, law) == pytest.approx(first, abs=1e-6)
    assert relu_second_order(a, law) == pytest.approx(second, abs=1e-6)
    found = enumerated_loss(linear_response(a, "relu"), law, last_step(8))
    assert found == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("amplitude", ["uniform", "constant", "signed"])
def test_the_error_of_the_series_is_third_order(amplitude):
    """Two active inputs at most: the series truncated there is the loss with three or more cut."""
    a = np.array([0.7, -0.4, 1.0, -0.2])[None, None]
    rng = np.random.default_rng(6)
    law = delay_law(2, 0.02, amplitude)
    active = rng.random((400_000, 4)) < 0.5
    active = active[active.sum(1) <= 2]
    unit = sample_law(delay_law(2, 1.0, amplitude), active.shape, rng)
    inputs = active * unit
    errors = np.square(np.maximum(inputs @ a[0, 0], 0) - inputs[:, 2])
    count = active.sum(1)
    # p^n (1 - p)^(4 - n) expanded to second order in p, times the 11 patterns drawn uniformly.
    weight = np.array([0.0, 0.02 - 3 * 0.02**2, 0.02**2])[count] * 11
    assert_within_standard_errors(errors * weight, relu_second_order(a, law))


def corners(gains: np.ndarray) -> float:
    """E[relu(a.U)²] for n uniforms by inclusion-exclusion over the corners of the cube."""
    n = len(gains)
    total = sum(
        (-1) ** (n - sum(corner)) * max(float(gains @ corner), 0.0) ** (n + 2)
        for corner in product([0, 1], repeat=n)
    )
    factorial = float(np.prod(np.arange(3, n + 3)))
    return total / factorial / float(np.prod(gains))


gain = st.floats(-3, 3).filter(lambda value: abs(value) > 1e-2)


@given(gain, gain)
def test_uniform_moments_against_the_corner_formula(a, b):
    square, _ = uniform_relu_moments(np.array(a), np.array(b))
    assert float(square) == pytest.approx(corners(np.array([a, b])), abs=1e-7)


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_uniform_moments_against_quadrature(a, b):
    nodes, weights = np.polynomial.legendre.leggauss(60)
    u, w = (nodes + 1) / 2, weights / 2
    square, cross = uniform_relu_moments(np.array(a), np.array(b))
    # The kink limits quadrature to a few 1e-5; gains are of order 1.
    value = np.maximum(a * u[:, None] + b * u[None, :], 0)
    assert float(square) == pytest.approx(float(w @ value**2 @ w), abs=2e-4)
    assert float(cross) == pytest.approx(float(w @ (u[:, None] * value) @ w), abs=2e-4)


@pytest.mark.parametrize(("a", "b"), [(1, -1), (-1, 1), (0, 0), (0, -1), (1, 0), (0, 1), (-1, 0)])
def test_uniform_moments_are_continuous_at_the_edges_of_their_cases(a, b):
    exact = uniform_relu_moments(np.array(float(a)), np.array(float(b)))
    for near_a, near_b in product([-1e-9, 1e-9], repeat=2):
        near = uniform_relu_moments(np.array(a + near_a), np.array(b + near_b))
        np.testing.assert_allclose(near, exact, atol=1e-8)


def test_a5_relu_circuit_has_no_first_order_loss():
    a = output_projections(*relu_chain(), lags=11, activation="relu")
    assert relu_first_order(a, delay_law(2, 0.1)) == 0


def test_a6_the_first_order_loss_ignores_silent_projections_and_the_linear_one_does_not():
    law, a = delay_law(3, 0.1), output_projections(*net_a1(), lags=41)
    louder = a.copy()
    louder[0, 0, 0] *= 10
    assert a[0, 0, 0] < 0
    assert relu_first_order(louder, law) == relu_first_order(a, law)
    assert linear_terms(a, law).total == pytest.approx(0.13753, abs=1e-5)
    assert linear_terms(louder, law).total == pytest.approx(9.5540, abs=1e-4)


def test_second_order_over_sequences_is_the_mean_over_scored_steps():
    law, a = delay_law(2, 0.03), output_projections(*net_a1(), lags=7)
    scored = np.arange(7) >= 5
    by_hand = np.mean([relu_second_order(a[..., :6], law), relu_second_order(a, law)])
    assert_rounded(relu_second_order(a, law, scored), by_hand, 7 * 7)  # pairs of seven inputs


def test_second_order_needs_the_law_of_the_amplitudes():
    law = DelayLaw((1,), (0,), (1.0,), (0.5,), (1 / 3,), (0.05,))
    with pytest.raises(EmtkitError, match="by name"):
        relu_second_order(np.ones((1, 1, 4)), law)
