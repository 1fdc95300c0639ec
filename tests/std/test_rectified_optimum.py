"""Optima of rectified readouts against the linear optimum, trained networks and perturbation."""

import numpy as np
import pytest

from emtkit.errors import EmtkitError
from emtkit_std._theory.superposition.filters import comb_angles, filters, scattered_angles
from emtkit_std._theory.superposition.linear_loss import delay_law
from emtkit_std._theory.superposition.linear_optimum import linear_optimum
from emtkit_std._theory.superposition.rectified_loss import relu_losses
from emtkit_std._theory.superposition.rectified_optimum import branches
from emtkit_std._theory.superposition.transition import transition_density
from emtkit_std.analyses.superposition import Superposition
from emtkit_std.architectures.optimal_rectified import OptimalRectified
from emtkit_std.tasks.k_delay import KDelay
from tests.std.known_nets import last_step, look


@pytest.mark.parametrize("hidden", [1, 2, 3, 5])
def test_filters_are_stable_and_their_directions_orthonormal(hidden):
    every = np.concatenate([scattered_angles(50, hidden), comb_angles(4, hidden)])
    made = filters(every)
    gram = made.W_hh @ made.W_hh.transpose(0, 2, 1)
    gram += made.W_uh[:, :, None] * made.W_uh[:, None]
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(hidden), gram.shape), atol=1e-14)
    assert (np.abs(np.linalg.eigvals(made.W_hh)) < 1).all()
    fifth = np.linalg.matrix_power(made.W_hh, 5) @ made.W_uh[..., None]
    np.testing.assert_allclose(made.directions(7)[:, 5], fifth[..., 0], atol=1e-14)


def test_a_comb_has_its_poles_on_an_arc():
    poles = np.linalg.eigvals(filters(comb_angles(10, 4)[:1]).W_hh[0])
    np.testing.assert_allclose(np.abs(poles), 0.6, rtol=1e-9)
    spacing = np.diff(np.sort(np.angle(poles)))
    np.testing.assert_allclose(spacing, 2 * np.pi / 10.5, rtol=1e-9)


def test_dense_inputs_have_nearly_the_linear_optimum():
    law, last = delay_law(3, 1.0), last_step(14)
    best = branches(law, 2, last)[0]
    assert best.regime == "dense"
    linear = linear_optimum(law, 2, last).loss * 3
    assert linear - 1e-4 < best.loss < linear


@pytest.mark.parametrize(
    ("density", "regime", "trained"),
    [(0.02, "sparse", 0.01958), (0.1, "sparse", 0.09450), (0.45, "sparse", 0.40271),
     (0.55, "dense", 0.41202)],
)  # fmt: skip
def test_the_best_of_sixteen_trained_networks_is_just_above(density, regime, trained):
    best = branches(delay_law(3, density), 2, last_step(14))[0]
    assert best.regime == regime
    assert trained - 4e-4 < best.loss < trained + 1e-5
    assert best.error < 1e-6


@pytest.mark.parametrize(
    ("delay", "density", "trained"), [(2, 0.05, 0.04095), (9, 0.65, 0.45921), (6, 0.14, 0.61987)]
)
def test_places_where_four_trained_networks_found_what_a_smaller_search_missed(
    delay, density, trained
):
    best = branches(delay_law(delay, density), 2, last_step(3 * delay + 5))[0]
    assert best.loss < trained


@pytest.mark.parametrize(("density", "amplitude"), [(0.3, "uniform"), (0.3, "exponential")])
def test_networks_near_by_are_worse(density, amplitude):
    law, last = delay_law(3, density, amplitude), last_step(14)
    best = branches(law, 2, last)[0]
    near = best.point + 3e-2 * np.random.default_rng(0).normal(size=(60, 4))
    gains = filters(near[:, :2]).directions(14) @ near[:, 2:, None]
    losses = relu_losses(gains[None, ..., 0].swapaxes(0, 1)[:, None], law, last).loss
    energy = density * law.second_moment[0]
    assert losses.min() / energy > best.loss - 1e-6


def test_the_constructed_network_has_the_loss_and_the_branch_that_is_asked_for():
    task = KDelay(delay=3, density=0.45, scored="last")
    found = [
        look(Superposition(samples=1000), task, OptimalRectified(task, branch=branch)).scalars
        for branch in ("best", "dense", "alternating")
    ]
    assert [one["regime"] for one in found] == ["sparse", "dense", "alternating"]
    losses = [one["expected_loss"] for one in found]
    np.testing.assert_allclose(losses, [0.40265, 0.46037, 0.44646], atol=2e-5)
    refused = OptimalRectified.accepts(KDelay(), {"hidden": 2, "branch": "sparse"})
    assert "there are: dense" in refused


def test_tasks_without_an_optimum_are_refused():
    defaults = {"hidden": 2, "branch": "best"}
    assert OptimalRectified.accepts(KDelay(), defaults) is None
    assert "one feature" in OptimalRectified.accepts(KDelay(features=2), defaults)


@pytest.mark.parametrize(
    ("delay", "density", "dense", "other"),
    [(3, 0.5, 0.43650, 0.44246), (3, 0.47, 0.45093, 0.41877), (5, 0.32, 0.61516, 0.60941)],
)
def test_the_bounds_of_the_claims_of_the_phase_diagram(delay, density, dense, other):
    found = branches(delay_law(delay, density), 2, last_step(3 * delay + 5))
    losses = {one.regime: one.loss for one in found}
    assert losses.pop("dense") == pytest.approx(dense, abs=2e-5)
    assert min(losses.values()) == pytest.approx(other, abs=2e-5)


@pytest.mark.parametrize(("delay", "density"), [(6, 0.29), (4, 0.38), (7, 0.23)])
def test_what_is_left_early_is_not_the_best(delay, density):
    """Near a transition, where few windows rank regimes wrongly."""
    law, scored = delay_law(delay, density), last_step(3 * delay + 5)
    best, whole = branches(law, 2, scored, best=True)[0], branches(law, 2, scored)[0]
    assert best.regime == whole.regime
    assert best.loss == pytest.approx(whole.loss, abs=1e-6)  # what a descent counts as a gain


@pytest.mark.slow
@pytest.mark.parametrize(
    ("delay", "hidden", "density", "below"),
    [(2, 2, 0.4953, "sparse"), (3, 2, 0.4953, "sparse"), (5, 2, 0.3346, "alternating"),
     (3, 3, 0.4759, "sparse"), (4, 4, 0.4316, "sparse"), (5, 4, 0.5485, "sparse")],
)  # fmt: skip
def test_where_the_branches_cross(delay, hidden, density, below):
    found = transition_density(delay_law(delay, 0.5), hidden, last_step(3 * delay + 5))
    assert found.density == pytest.approx(density, abs=5e-4)
    assert found.below == below


def test_an_exact_register_has_no_transition():
    with pytest.raises(EmtkitError, match="exactly"):
        transition_density(delay_law(1, 0.5), 2, last_step(8))
