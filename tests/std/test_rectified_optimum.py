"""Optima of rectified readouts against the linear optimum, trained networks and perturbation."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from emtkit import Stream
from emtkit.errors import EmtkitError
from emtkit_std._theory.superposition.filters import comb_angles, filters, scattered_angles
from emtkit_std._theory.superposition.linear_loss import delay_law
from emtkit_std._theory.superposition.linear_optimum import linear_optimum
from emtkit_std._theory.superposition.rectified_chain import _chain
from emtkit_std._theory.superposition.rectified_loss import relu_losses
from emtkit_std._theory.superposition.rectified_optimum import branches
from emtkit_std._theory.superposition.rectified_search import MOST_REACH
from emtkit_std._theory.superposition.transition import transition_density
from emtkit_std.analyses.superposition import Superposition
from emtkit_std.architectures import optimal_rectified
from emtkit_std.architectures.optimal_rectified import OptimalRectified
from emtkit_std.tasks.k_delay import KDelay
from tests.std.known_nets import last_step, look


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


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


def searched(branch, delay):
    """Its loss and what a search adds where it reaches too far."""
    reach = np.abs(branch.gains).sum() / abs(branch.gains[delay])
    return branch.loss + np.log(max(reach / MOST_REACH, 1.0)) ** 2


@pytest.mark.parametrize(
    ("delay", "density", "trained"),
    [(6, 0.14, 0.61987), slow(2, 0.05, 0.04095), slow(9, 0.65, 0.45921)],
)
def test_places_where_four_trained_networks_found_what_a_smaller_search_missed(
    delay, density, trained
):
    best = branches(delay_law(delay, density), 2, last_step(3 * delay + 5))[0]
    assert best.loss < trained


@pytest.mark.parametrize(
    ("hidden", "delay", "density", "loss"),
    [
        (2, 6, 0.05, 0.47906),
        slow(3, 9, 0.17, 0.61440),
        slow(3, 7, 0.14, 0.40765),
        slow(3, 8, 0.1, 0.44484),
    ],
)
def test_what_a_search_at_one_density_missed(hidden, delay, density, loss):
    law, scored = delay_law(delay, density), last_step(3 * delay + 5)
    assert searched(branches(law, hidden, scored, best=True)[0], delay) < loss + 1e-5


# Units, delay, density and the least that a search at that density alone found, at random places.
PLACES = [
    (2, 3, 0.022, 0.021194), (2, 3, 0.041, 0.039218), (2, 3, 0.604, 0.384668),
    (2, 4, 0.255, 0.484184), (2, 7, 0.06, 0.6115), (2, 7, 0.293, 0.673319),
    (2, 7, 0.356, 0.633902), (2, 8, 0.33, 0.662839), (2, 8, 0.579, 0.499402),
    (2, 9, 0.082, 0.731202), (2, 9, 0.351, 0.65869), (3, 3, 0.43, 0.249834),
    (3, 6, 0.654, 0.366732), (3, 8, 0.023, 0.147083), (3, 8, 0.171, 0.587899),
    (3, 9, 0.038, 0.282821), (3, 9, 0.108, 0.563058), (3, 10, 0.071, 0.505078),
    (4, 4, 0.049, 0.027327), (4, 5, 0.492, 0.279406), (4, 6, 0.145, 0.136033),
    (4, 7, 0.104, 0.098159), (4, 7, 0.188, 0.175339), (4, 8, 0.984, 0.181048),
    (4, 9, 0.026, 0.096926), (4, 9, 0.046, 0.131974), (4, 10, 0.064, 0.283184),
    (4, 10, 0.077, 0.331266), (4, 10, 0.38, 0.531505), (4, 10, 0.391, 0.525755),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("hidden", "delay", "density", "loss"), PLACES)
def test_no_optimum_is_worse_than_that_of_a_search_at_its_density_alone(
    hidden, delay, density, loss
):
    law, scored = delay_law(delay, density), last_step(3 * delay + 5)
    assert searched(branches(law, hidden, scored, best=True)[0], delay) < loss + 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hidden", "delay", "density"),
    [(2, 4, 0.7), (2, 7, 0.35), (3, 3, 1.0), (3, 4, 1.0), (3, 6, 1.0)],
)
def test_a_rectifier_never_loses_to_the_linear_optimum(hidden, delay, density):
    """Targets are never negative, so that relu(y) is nearer to them than y."""
    law, scored = delay_law(delay, density), last_step(3 * delay + 5)
    best = branches(law, hidden, scored, best=True)[0]
    assert best.regime == "dense"
    assert best.loss < linear_optimum(law, hidden, scored).loss / (density * law.second_moment[0])


@pytest.mark.slow
def test_an_optimum_depends_on_its_own_setting_alone():
    law, scored = delay_law(3, 0.3), last_step(14)
    first = branches(law, 2, scored)
    branches(delay_law(3, 0.31), 2, scored)
    _chain.cache_clear()
    branches(delay_law(3, 0.05), 2, scored)
    again = branches(law, 2, scored)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.point, other.point)


def test_a_register_that_is_long_enough_is_exact():
    (found,) = branches(delay_law(2, 0.45), 3, last_step(11))
    assert found.loss == pytest.approx(0.0, abs=1e-14)
    assert OptimalRectified(KDelay(delay=2), hidden=4).W_r.shape == (1, 4)


def test_loading_needs_no_search(monkeypatch):
    task, given = KDelay(delay=2, scored="last"), {"hidden": 3, "branch": "best"}
    made = OptimalRectified(task, **given)
    monkeypatch.setattr(optimal_rectified, "_branches", None)
    loaded = OptimalRectified.empty(task, given)
    loaded.load_state_dict(made.state_dict())
    inputs = task.sample(3, Stream(0, "test")).inputs
    assert torch.equal(*(one.trace(inputs, inputs.shape[1]).outputs for one in (made, loaded)))


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
    [(3, 0.5, 0.43650, 0.44246), (3, 0.47, 0.45093, 0.41877), slow(5, 0.32, 0.61516, 0.60941)],
)
def test_the_bounds_of_the_claims_of_the_phase_diagram(delay, density, dense, other):
    found = branches(delay_law(delay, density), 2, last_step(3 * delay + 5))
    losses = {one.regime: one.loss for one in found}
    assert losses.pop("dense") == pytest.approx(dense, abs=2e-5)
    assert min(losses.values()) == pytest.approx(other, abs=2e-5)


STUDY = Path(__file__).parents[2] / "studies" / "phase_diagram.yaml"
LINES = [one for one in yaml.safe_load(STUDY.read_text("utf-8"))["claims"] if "line-" in one["id"]]


@pytest.mark.slow
@pytest.mark.parametrize("claim", LINES, ids=lambda one: one["id"])
def test_every_claim_on_a_line_lies_between_the_branches_of_theory(claim):
    """Below a transition the bound parts the best code from dense ones; above it holds these."""
    where, share = claim["expect"]["where"], claim["expect"]["share"]
    delay = where["task.delay"]
    law, scored = delay_law(delay, where["task.density"]), last_step(3 * delay + 5)
    found = branches(law, where["architecture.hidden"], scored)
    dense = [one.loss for one in found if one.regime == "dense"]
    if claim["id"].endswith("below"):
        assert found[0].regime != "dense"
        assert found[0].loss < share["below"]
        assert all(loss > share["below"] for loss in dense)
    else:
        low, high = share["between"]
        assert low < found[0].loss < high
        assert all(not low < one.loss < high for one in found[1:])


@pytest.mark.parametrize(("delay", "density"), [(6, 0.29), slow(4, 0.38), slow(7, 0.23)])
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
     (3, 3, 0.4759, "sparse"), (9, 3, 0.3114, "alternating"), (4, 4, 0.4316, "sparse"),
     (5, 4, 0.5485, "sparse"), (6, 4, 0.4727, "sparse")],
)  # fmt: skip
def test_where_the_branches_cross(delay, hidden, density, below):
    found = transition_density(delay_law(delay, 0.5), hidden, last_step(3 * delay + 5))
    assert found.density == pytest.approx(density, abs=5e-4)
    assert found.below == below


def test_an_exact_register_has_no_transition():
    with pytest.raises(EmtkitError, match="exactly"):
        transition_density(delay_law(1, 0.5), 2, last_step(8))
