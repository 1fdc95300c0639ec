import math

import pytest
import torch

from emtkit.dynamics.fixed_points import FixedPointSearch, find_fixed_points, merge_points
from emtkit.dynamics.linearise import StateMap
from tests.rounding import STILL, assert_rounded, from_fixed_point, rounding

NOTHING = torch.zeros(1, dtype=torch.float64)


def starts(rows, hidden, scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, hidden, generator=generator, dtype=torch.float64)


def random_tanh(hidden, gain, seed=0):
    recur = starts(hidden, hidden, gain / math.sqrt(hidden), seed)

    def step(states, inputs):
        return torch.tanh(states @ recur.T)

    def jacobian(states, inputs):
        return (1 - torch.tanh(states @ recur.T).square()).unsqueeze(-1) * recur

    return step, jacobian


def test_a_bistable_unit_has_three_fixed_points_and_one_is_unstable():
    fixed = 1.0
    for _ in range(60):  # h = tanh(2 h) contracts to it: its slope there is 0.17
        fixed = math.tanh(2 * fixed)
    found = find_fixed_points(StateMap(lambda h, x: torch.tanh(2 * h), NOTHING), starts(40, 1))
    points, order = found.points.squeeze(1).sort()
    assert fixed == pytest.approx(0.957504024, abs=5e-10)
    assert points.tolist() == pytest.approx(
        [-fixed, 0, fixed], abs=from_fixed_point(found.jacobians)
    )
    assert found.unstable_modes[order].tolist() == [0, 1, 0]
    assert int(found.hits.sum()) == 40
    slope = found.jacobians.flatten()[order]
    assert slope[1].item() == pytest.approx(2)
    # the slope 2 (1 - tanh^2) changes by at most 3.1 per unit of h
    steep = 3.1 * from_fixed_point(found.jacobians)
    assert slope[2].item() == pytest.approx(2 * (1 - fixed**2), abs=steep)


def test_a_map_without_fixed_points_reports_every_start_apart():
    found = find_fixed_points(StateMap(lambda h, x: h + h.square() + 0.1, NOTHING), starts(7, 1))
    assert found.points.shape == (0, 1)
    assert found.jacobians.shape == (0, 1, 1)
    assert found.eigenvalues.shape == (0, 1)
    assert found.unconverged.shape == (7, 1)
    # q is least at h = 0, where it is 0.1^2 / 2; Newton may wander but the best is kept.
    assert (found.unconverged_residuals >= 0.005 * (1 - rounding(5))).all()


def test_an_affine_map_is_solved_exactly_and_merged():
    recur = starts(6, 6, 0.3, seed=3)
    shift = starts(1, 6, seed=4)
    found = find_fixed_points(StateMap(lambda h, x: h @ recur.T + shift, NOTHING), starts(20, 6))
    exact = torch.linalg.solve(torch.eye(6, dtype=torch.float64) - recur, shift.squeeze(0))
    assert len(found.points) == 1
    condition = torch.linalg.cond(torch.eye(6, dtype=torch.float64) - recur)
    assert_rounded(found.points[0], exact, 6 * 6, float(condition))


def test_inputs_move_the_fixed_point():
    drive = torch.tensor([0.3], dtype=torch.float64)
    found = find_fixed_points(StateMap(lambda h, x: 0.5 * h + x, drive), starts(3, 1))
    assert found.points.item() == pytest.approx(0.6)


def test_the_analytic_and_the_forward_jacobian_find_the_same_points():
    step, jacobian = random_tanh(8, gain=2.5, seed=2)
    analytic = find_fixed_points(StateMap(step, NOTHING, jacobian), starts(64, 8))
    forward = find_fixed_points(StateMap(step, NOTHING), starts(64, 8))
    assert len(analytic.points) >= 3
    assert len(analytic.points) == len(forward.points)
    apart = 2 * from_fixed_point(analytic.jacobians)
    # Both list the best first, and which is best among equals is a matter of the last bit.
    distance, same = torch.cdist(analytic.points, forward.points).min(dim=1)
    assert (distance < apart).all()
    assert torch.equal(analytic.hits, forward.hits[same])
    # tanh is odd and has no bias: points come in pairs, and the origin is one of them.
    for point in analytic.points:
        assert (analytic.points + point).norm(dim=1).min() < apart
    assert analytic.points.norm(dim=1).min() < apart


def test_converged_points_are_fixed_to_machine_precision_and_the_rest_is_kept_apart():
    step, jacobian = random_tanh(64, gain=1.5)
    found = find_fixed_points(StateMap(step, NOTHING, jacobian), starts(64, 64, 0.7))
    assert (found.residuals < FixedPointSearch().tolerance).all()
    assert (found.unconverged_residuals >= FixedPointSearch().tolerance).all()
    assert int(found.hits.sum()) + len(found.unconverged) == 64
    assert ((step(found.points, NOTHING) - found.points).norm(dim=1) <= STILL).all()


def test_a_start_that_overflows_harms_no_other():
    far = torch.tensor([[1e200], [0.3]], dtype=torch.float64)
    found = find_fixed_points(StateMap(lambda h, x: h.pow(3), NOTHING), far)
    assert 0.0 in found.points.abs().round(decimals=6).flatten().tolist()
    assert len(found.unconverged) == 1


def test_merging_keeps_the_first_of_each_group():
    points = torch.tensor([[0.0], [1.0], [1e-8], [1.0 + 1e-8], [2.0]], dtype=torch.float64)
    first, sizes = merge_points(points, 1e-6)
    assert first.tolist() == [0, 1, 4]
    assert sizes.tolist() == [2, 2, 1]


def test_starts_of_the_wrong_kind_are_refused():
    with pytest.raises(ValueError, match="float64"):
        find_fixed_points(StateMap(lambda h, x: h, NOTHING), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="at least one row"):
        find_fixed_points(
            StateMap(lambda h, x: h, NOTHING), torch.zeros(0, 2).double(), FixedPointSearch()
        )
