"""Losses with gradients against the exact loss and its differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emtkit_std._theory.superposition.linear_loss import delay_law
from emtkit_std._theory.superposition.rectified_loss import relu_losses
from emtkit_std._theory.superposition.relu_slopes import WAVES, relu_slopes, target_energy

SCORINGS = {
    "last": lambda t, k: t == t[-1],
    "recall": lambda t, k: t >= k,
    "all": lambda t, k: t >= 0,
}


def exact(gains, law, scored):
    losses = relu_losses(gains[:, None, None], law, scored)
    return losses.loss / target_energy(law, scored)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0.01, 1.0),
    st.sampled_from(sorted(WAVES)),
    st.floats(0.0, 1.5),
    st.sampled_from(sorted(SCORINGS)),
)
def test_losses_at_the_best_scale_are_exact(seed, density, amplitude, decades, scoring):
    rng = np.random.default_rng(seed)
    gains = rng.normal(size=(3, 7)) * 10.0 ** (decades * rng.uniform(-1, 1, (3, 7)))
    gains[:, 2] = 1.0
    law, scored = delay_law(2, density, amplitude), SCORINGS[scoring](np.arange(7), 2)
    found = relu_slopes(gains, law, scored, 1e-5)
    np.testing.assert_allclose(
        found.values, exact(found.scale[:, None] * gains, law, scored), atol=1e-6
    )
    for factor in (0.99, 1.01):
        other = exact(factor * found.scale[:, None] * gains, law, scored)
        assert (other > found.values - 1e-6).all()


@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("amplitude", WAVES)
def test_gradients_are_those_of_the_exact_loss(amplitude, scoring):
    gains = np.random.default_rng(4).normal(size=(1, 7))
    gains[0, 2] = 1.5
    law, scored = delay_law(2, 0.3, amplitude), SCORINGS[scoring](np.arange(7), 2)
    found, step = relu_slopes(gains, law, scored, 1e-7), 1e-3
    # At the best scale the loss is stationary in the scale, which may so be held fixed.
    moves = step * np.concatenate([np.eye(7), -np.eye(7)])
    moved = exact(found.scale * (gains + moves), law, scored)
    slopes = (moved[:7] - moved[7:]) / (2 * step)
    np.testing.assert_allclose(found.gradients[0], slopes, atol=1e-5)
    assert abs(found.gradients[0] @ gains[0]) < 1e-9


def test_large_and_vanishing_projections_meet():
    gains = np.array([[-30.0, -20.0, 1e-9, -9.0, 0.0, 0.4, 1.0, -1e-7, 0.2, 3e-6]])
    law, scored = delay_law(6, 0.05), np.arange(10) == 9
    found = relu_slopes(gains, law, scored, 1e-3)
    assert found.values == pytest.approx(exact(found.scale * gains, law, scored), abs=1e-6)


def test_a_network_that_never_answers_has_loss_1_and_no_slope():
    found = relu_slopes(-np.ones((1, 5)), delay_law(2, 0.3), np.arange(5) == 4, 1e-4)
    assert found.values[0] == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(found.gradients, 0.0, atol=1e-12)
