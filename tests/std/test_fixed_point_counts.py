"""How many fixed points there are, where that is known, and what a short search says of it."""

import numpy as np
import pytest
import torch

from emtkit_std._theory.unseen import unseen_kinds, unseen_share
from emtkit_std.analyses.fixed_points import FixedPointAnalysis
from emtkit_std.architectures.elman import Elman
from emtkit_std.tasks.k_delay import KDelay
from tests.std.subjects import build, subject_of

TASK = KDelay(features=4, delay=2, density=0.3, amplitude="signed")


def flip_flops(units, bias=0.0):
    """Decoupled units h <- tanh(2 h + b): three points each, of which two attract."""
    model = build(Elman, TASK, hidden=units, bias=bool(bias)).double()
    model.W_hh.copy_(2 * torch.eye(units))
    model.W_uh.copy_(torch.eye(units, 4))
    if bias:
        model.b.fill_(bias)
    return model


def search(model, **parameters):
    return FixedPointAnalysis(**{"noise": 2.0, **parameters}).measure(subject_of(model, TASK))


def test_four_bistable_units_have_81_points_and_16_attract():
    found = search(flip_flops(4), starts=1500).scalars
    assert (found["count"], found["stable"], found["odd"]) == (81, 16, True)
    assert found["unseen"] < 0.01
    assert found["estimated"] == pytest.approx(81, abs=3)


def test_a_three_bit_flip_flop_has_eight_states():
    found = search(flip_flops(3), starts=400).scalars
    assert (found["count"], found["stable"]) == (27, 8)
    biased = search(flip_flops(3, bias=0.05), starts=600).scalars
    assert (biased["count"], biased["stable"], biased["odd"]) == (27, 8, False)


def test_a_short_search_says_that_it_has_not_seen_all():
    counts = [search(flip_flops(4), starts=starts).scalars for starts in (30, 120, 1500)]
    assert counts[0]["count"] < counts[1]["count"] <= 81
    assert counts[0]["unseen"] > counts[1]["unseen"] > counts[2]["unseen"]
    assert counts[0]["estimated"] > counts[0]["count"] + 10


def test_mirror_images_are_points_that_no_start_reached():
    found = search(flip_flops(4), starts=60)
    points, table = found.arrays["points"], found.tables["points"]
    assert (table["hits"] == 0).any()
    for point in points:
        assert np.linalg.norm(points + point, axis=1).min() < 1e-6
    moved = np.tanh(2 * points)
    assert np.abs(moved - points).max() < 2e-9
    assert table["hits"].sum() == round(60 * found.scalars["converged"])


def test_slow_points_are_kept_with_their_speed_and_jacobian():
    """h <- h + h^2 / 10 + .001: no fixed point; slowest at h = 0, where it moves by .001."""

    class Ghost(Elman):
        def step(self, state, inputs):
            return state + 0.1 * state.square() + 1e-3

        def jacobian(self, state, inputs):
            return torch.diag_embed(1 + 0.2 * state)

    ghost = subject_of(build(Ghost, TASK, hidden=1).double(), TASK)
    found = FixedPointAnalysis(starts=8).measure(ghost)
    assert found.scalars["count"] == 0
    slowest = found.tables["unconverged"]["speed"].min()
    assert slowest == pytest.approx(1e-3, rel=0.2)
    slow = found.arrays["slow_points"]
    assert found.arrays["slow_jacobians"][:, 0] == pytest.approx(1 + 0.2 * slow)
    assert "no start" in found.reasons["unseen"]


def test_good_turing_and_chao_meet_the_truth_on_average():
    """Draws of kinds of unequal chance: the share unseen is known, their number bounded."""
    rng = np.random.default_rng(0)
    chances = np.arange(1, 41.0)
    chances /= chances.sum()
    errors, numbers = [], []
    for hits in rng.multinomial(60, chances, size=4000):
        errors.append(unseen_share(hits) - chances[hits == 0].sum())
        numbers.append((hits > 0).sum() + unseen_kinds(hits))
    # Good-Turing is off by at most the share of one draw in expectation
    assert abs(np.mean(errors)) < 1 / 60
    assert np.mean(numbers) < 40
    equal = [
        (hits > 0).sum() + unseen_kinds(hits)
        for hits in rng.multinomial(60, np.full(40, 1 / 40), size=4000)
    ]
    assert np.mean(equal) == pytest.approx(40, rel=0.02)


def test_what_no_start_can_reach_is_not_estimated():
    """A unit that no input drives does not move: its other states are beyond all starts."""
    idle = flip_flops(4)
    idle.W_uh[3] = 0.0
    found = search(idle, starts=600).scalars
    assert (found["count"], found["unseen"]) == (27, 0)


def test_nothing_drawn_is_undefined():
    assert np.isnan(unseen_share(np.zeros(0, dtype=int)))
    assert unseen_kinds(np.array([5, 9])) == 0
