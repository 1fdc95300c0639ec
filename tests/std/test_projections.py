"""Directions, projections and order parameters on networks whose answers are known on paper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emtkit.errors import EmtkitError
from emtkit_std._theory.superposition.linear_loss import delay_law
from emtkit_std._theory.superposition.projections import (
    order_parameters,
    own_gains,
    principal_angles,
    pulse_responses,
    regime,
    spectral_radius,
    successive_angles,
    travelled_angle,
)
from tests.rounding import assert_rounded, rounding
from tests.std.known_nets import chain, net_a1, relu_chain, turn
from tests.std.references import output_projections


def test_a1_projections_of_a_spiral():
    expected = [-1.691456, -0.271325, 0.803485, 1, 0.514230, -0.111135, -0.443405, -0.384898]
    found = output_projections(*net_a1(), lags=8)
    assert found.shape == (1, 1, 8)
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-6)


def test_a3_projections_and_eigenvalues_are_gauge_invariant_but_raw_angles_are_not():
    W_hh, W_uh, W_r = net_a1()
    basis = np.array([[2.0, 0.0], [1.0, 0.5]])
    moved = basis @ W_hh @ np.linalg.inv(basis), basis @ W_uh, W_r @ np.linalg.inv(basis)
    # 20 products of 2 x 2; a basis and its inverse enter, into every matrix
    condition = np.linalg.cond(basis) ** 2
    found, wanted = (output_projections(*net, lags=20) for net in (moved, (W_hh, W_uh, W_r)))
    assert_rounded(found, wanted, 20 * 2, condition)
    assert spectral_radius(moved[0]) == pytest.approx(0.8, abs=rounding(2, condition))
    assert np.linalg.norm(moved[0], 2) == pytest.approx(3.176, abs=1e-3)
    limit = rounding(2, 3 * 180 * condition)
    assert travelled_angle(moved[0], 3) == pytest.approx(150, abs=limit)
    own = successive_angles(pulse_responses(W_hh, W_uh, 5))[:, 0]
    np.testing.assert_allclose(own, 50, rtol=0, atol=rounding(5 * 2, 180))
    seen = successive_angles(pulse_responses(moved[0], moved[1], 5))[:, 0]
    np.testing.assert_allclose(seen, [12.02, 98.87, 62.13, 11.00], atol=0.01)


finite = st.floats(-2, 2, allow_nan=False, width=64)


@given(arrays(np.float64, (3, 3), elements=finite), arrays(np.float64, (3, 3), elements=finite))
def test_any_change_of_basis_leaves_projections_and_travelled_angle(first, second):
    W_hh, basis = 0.2 * first, np.eye(3) + 0.15 * second  # within 0.9 of the identity: invertible
    W_uh, W_r = np.array([[1.0, 0], [0.5, -1], [0, 2]]), np.array([[1.0, 2.0, -1.0]])
    inverse = np.linalg.inv(basis)
    moved = basis @ W_hh @ inverse, basis @ W_uh, W_r @ inverse
    found, wanted = (output_projections(*net, lags=8) for net in (moved, (W_hh, W_uh, W_r)))
    sizes = np.linalg.norm(W_uh, 2) * np.linalg.norm(W_r, 2) * max(1, np.linalg.norm(W_hh, 2)) ** 8
    limit = rounding(8 * 3, np.linalg.cond(basis) ** 2 * sizes)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=limit)


def test_a4_shift_register_is_exact_and_its_hidden_share_undefined():
    found = output_projections(*chain(4), lags=14)[0, 0]
    np.testing.assert_array_equal(found, np.eye(14)[3])
    order = order_parameters(found[None, None], delay_law(3, 0.1), "relu")
    assert np.isnan(order.hidden_share)
    assert order.regime == "undefined"
    assert order.reason == "exact: other items are below 1e-06 of the gain squared"
    assert (order.represented, order.tail, order.visible_interference) == (1, 0.0, 0.0)


@pytest.mark.parametrize(
    ("other", "regime"), [(1e-9, "undefined"), (9e-4, "undefined"), (2e-3, "sparse")]
)
def test_what_training_leaves_of_an_exact_network_has_no_regime(other, regime):
    """Of a gain of 2 whose only other projection is hidden."""
    projections = np.zeros((1, 1, 5))
    projections[0, 0, [2, 3]] = 2.0, -2.0 * other
    order = order_parameters(projections, delay_law(2, 0.1), "relu")
    assert order.regime == regime
    assert np.isnan(order.hidden_share) == (regime == "undefined")


def test_a5_relu_circuit_hides_every_intermediate_and_forgets_sharply():
    found = output_projections(*relu_chain(), lags=6, activation="relu")
    np.testing.assert_array_equal(found[0, 0], [-0.5, -0.5, 1, 0, 0, 0])
    order = order_parameters(found, delay_law(2, 0.1), "relu")
    assert (order.hidden_share, order.tail, order.visible_interference) == (1.0, 0.0, 0.0)
    assert order.regime == "sparse"


@given(st.floats(0.01, 100))
def test_relu_pulse_responses_are_homogeneous(amplitude):
    W_hh, W_uh, _ = relu_chain()
    unit = pulse_responses(W_hh, W_uh, 6, "relu")
    scaled = pulse_responses(W_hh, amplitude * W_uh, 6, "relu")
    assert_rounded(scaled, amplitude * unit, 6 * 2)


def test_lone_pulse_equals_running_the_recurrence():
    rng = np.random.default_rng(3)
    W_hh, W_uh = rng.normal(size=(4, 4)), rng.normal(size=(4, 2))
    for activation, function in (("tanh", np.tanh), ("relu", lambda x: np.maximum(x, 0))):
        directions = pulse_responses(W_hh, W_uh, 5, activation)
        growth = np.linalg.norm(W_hh, 2) ** 4  # of an error of the first step until the fifth
        for source in range(2):
            state = np.zeros(4)
            for step in range(5):
                pulse = np.eye(2)[source] if step == 0 else np.zeros(2)
                state = W_uh @ pulse + W_hh @ function(state)
                assert_rounded(directions[step, :, source], state, 4 + 2, growth)


def test_order_parameters_by_hand():
    projections = np.array([-1.0, 0.2, 0.5, 0.1, -0.3])[None, None]
    order = order_parameters(projections, delay_law(2, 0.5), "relu")
    assert order.hidden_share == pytest.approx((1 + 0.09) / (1 + 0.04 + 0.01 + 0.09))
    assert order.visible_interference == pytest.approx((0.04 + 0.01) / 0.25)
    assert order.tail == pytest.approx((0.01 + 0.09) / 0.25)
    assert own_gains(projections, delay_law(2, 0.5)) == pytest.approx([0.5])
    assert order.represented == 0


@given(st.floats(0.1, 10))
def test_order_parameters_do_not_depend_on_the_scale_of_the_readout(scale):
    projections = output_projections(*net_a1(), lags=14)
    law = delay_law(3, 0.5)
    one, other = (
        order_parameters(projections, law, "relu"),
        order_parameters(scale * projections, law, "relu"),
    )
    if other.regime != "undefined":
        assert_rounded(other.hidden_share, one.hidden_share, 14)  # sums of 14 squares
        assert_rounded(other.tail, one.tail, 14)


def test_only_represented_features_count_among_several():
    projections = np.zeros((3, 3, 4))
    projections[0, 0] = [-1, 1, 0, 0]
    projections[1, 1] = [9, 0.1, 0, 0]
    projections[2, 2, 1], projections[2, 0, 0] = 0.8, 0.4
    order = order_parameters(projections, delay_law(1, 0.05, features=3), "relu")
    assert order.represented == 2
    assert order.hidden_share == pytest.approx(1 / 1.25)
    assert order.visible_interference == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("readout", "amplitude", "why"),
    [
        (None, "uniform", "not known to rectify"),
        ("linear", "uniform", "readout is linear"),
        ("relu", "signed", "both signs"),
    ],
)
def test_where_nothing_is_hidden_there_is_no_regime(readout, amplitude, why):
    projections = np.array([-1.0, 0.2, 0.5, 0.1, -0.3])[None, None]
    order = order_parameters(projections, delay_law(2, 0.5, amplitude), readout)
    assert np.isnan(order.hidden_share)
    assert order.regime == "undefined"
    assert why in order.reason
    assert order.visible_interference == pytest.approx((1 + 0.04 + 0.01 + 0.09) / 0.25)


def test_a_silent_network_has_no_regime():
    order = order_parameters(np.zeros((1, 1, 8)), delay_law(3, 0.5), "relu")
    assert order.regime == "undefined"
    assert "own gains" in order.reason


@pytest.mark.parametrize(
    ("share", "name"),
    [
        (0.0, "dense"),
        (0.349, "dense"),
        (0.35, "alternating"),
        (0.749, "alternating"),
        (0.75, "sparse"),
        (1.0, "sparse"),
        (np.nan, "undefined"),
    ],
)
def test_regimes_follow_from_the_hidden_share(share, name):
    assert regime(share) == name


def test_principal_angles_of_planes_that_share_an_axis():
    """Age 0 spans x and y; age 1 x and a direction 30 degrees from y; age 2 lies in x alone."""
    rise = np.cos(np.pi / 6), np.sin(np.pi / 6)
    ages = np.array(
        [
            [[1.0, 1.0], [0.0, 2.0], [0.0, 0.0]],
            [[3.0, 0.0], [0.0, rise[0]], [0.0, rise[1]]],
            [[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]],
            [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]],
        ]
    )
    found = principal_angles(ages, 3)
    np.testing.assert_allclose(found[0], [0, 30], atol=1e-6)
    assert found[1, 0] == pytest.approx(0, abs=1e-6)
    assert np.isnan(found[1, 1])
    assert np.isnan(found[2]).all()
    mixed = ages @ np.array([[2.0, 1.0], [-1.0, 3.0]])  # other inputs, the same spans
    np.testing.assert_allclose(principal_angles(mixed, 3), found, atol=1e-6)


def test_principal_angles_of_one_input_are_those_of_lines():
    W_hh, W_uh, _ = net_a1()
    np.testing.assert_allclose(principal_angles(pulse_responses(W_hh, W_uh, 5), 4), 50, atol=1e-9)
    obtuse = turn(160), np.array([[1.0], [0.0]])
    np.testing.assert_allclose(principal_angles(pulse_responses(*obtuse, 3), 2), 20, atol=1e-9)


def test_travelled_angle_unfolded_and_folded():
    assert travelled_angle(0.9 * turn(160), 5) == pytest.approx(800)
    assert travelled_angle(0.9 * turn(160), 5, folded=True) == pytest.approx(100)
    assert np.isnan(travelled_angle(np.zeros((2, 2)), 3))


def test_angles_to_a_zero_direction_are_nan():
    angles = successive_angles(pulse_responses(*chain(2)[:2], lags=4))
    np.testing.assert_allclose(angles[:, 0], [90, np.nan, np.nan])


def test_shapes_that_do_not_match_the_law_are_refused():
    with pytest.raises(EmtkitError, match="more than 3 lags"):
        own_gains(np.zeros((1, 1, 3)), delay_law(3, 0.5))
