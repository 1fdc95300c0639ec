"""Cycles by Newton's method against maps whose cycles and multipliers are known on paper."""

import math

import pytest
import torch

from emtkit.dynamics.cycles import CLOSED, find_cycles
from emtkit.dynamics.fixed_points import find_fixed_points
from emtkit.dynamics.linearise import StateMap

NOTHING = torch.zeros(1, dtype=torch.float64)


def row(*values):
    return torch.tensor([values], dtype=torch.float64)


def logistic(rate):
    return StateMap(lambda h, x: rate * h * (1 - h), NOTHING)


def test_the_two_cycle_of_the_logistic_map_has_its_closed_form():
    """h = (r + 1 +- sqrt((r - 3)(r + 1))) / 2r, mu = 4 + 2 r - r^2 (Strogatz, section 10.3)."""
    rate = 3.2
    found = find_cycles(logistic(rate), row(0.5), torch.tensor([2]))
    root = math.sqrt((rate - 3) * (rate + 1))
    cycle = [(rate + 1 + sign * root) / (2 * rate) for sign in (-1, 1)]
    assert min(abs(found.points.item() - point) for point in cycle) < 1e-8
    assert bool(found.closed)
    multiplier = found.multipliers[0, 0]
    assert multiplier.abs().item() ** 2 == pytest.approx(4 + 2 * rate - rate**2, rel=1e-6)
    assert found.moved.item() == pytest.approx(abs(found.points.item() - 0.5))
    assert found.before.item() > CLOSED > found.residuals.item()


def test_period_one_is_a_fixed_point():
    unit = StateMap(lambda h, x: torch.tanh(2 * h), NOTHING)
    by_cycles = find_cycles(unit, row(0.8), torch.tensor([1]))
    by_points = find_fixed_points(unit, row(0.8))
    assert by_cycles.points.item() == pytest.approx(by_points.points.item(), abs=1e-8)
    assert by_cycles.multipliers.abs().item() == pytest.approx(
        by_points.jacobians.abs().item(), abs=1e-7
    )


def test_rows_of_different_periods_do_not_touch_each_other():
    rate = 3.2
    starts = torch.tensor([[0.5], [0.7], [0.79]], dtype=torch.float64)
    together = find_cycles(logistic(rate), starts, torch.tensor([2, 1, 2]))
    for place, period in enumerate([2, 1, 2]):
        alone = find_cycles(logistic(rate), starts[place, None], torch.tensor([period]))
        assert torch.equal(alone.points[0], together.points[place])
        assert torch.equal(alone.multipliers[0], together.multipliers[place])
    assert together.points[1].item() == pytest.approx(1 - 1 / rate)  # the fixed point
    assert together.multipliers[1].abs().item() == pytest.approx(rate - 2)


def test_a_circle_of_cycles_is_left_where_it_is():
    """A quarter turn: every state is on a cycle of four, of multipliers 1."""
    turn = row(0.0, -1.0), row(1.0, 0.0)
    matrix = torch.cat(turn)
    found = find_cycles(
        StateMap(lambda h, x: h @ matrix.T, NOTHING), row(0.3, 0.4), torch.tensor([4])
    )
    assert found.moved.item() == 0
    assert found.multipliers.abs().tolist() == [[pytest.approx(1), pytest.approx(1)]]
    wrong = find_cycles(
        StateMap(lambda h, x: h @ matrix.T, NOTHING), row(0.3, 0.4), torch.tensor([3])
    )
    assert wrong.points.abs().max() < 1e-12  # only the origin closes after three
    assert wrong.moved.item() == pytest.approx(0.5)


def test_the_shortest_step_goes_to_the_nearest_of_a_line_of_cycles():
    """h_1 is kept, h_2 is halved: every (h_1, 0) is a fixed point."""
    keep = StateMap(lambda h, x: h * torch.tensor([1.0, 0.5], dtype=torch.float64), NOTHING)
    found = find_cycles(keep, row(0.7, 0.2), torch.tensor([1]))
    assert found.points.tolist() == [[pytest.approx(0.7), pytest.approx(0, abs=1e-12)]]
    assert found.multipliers.abs().tolist() == [[pytest.approx(1), pytest.approx(0.5)]]


def test_multipliers_of_long_cycles_do_not_underflow():
    """.01 per step over 400 steps is 1e-800."""
    shrink = StateMap(lambda h, x: 0.01 * h, NOTHING)
    found = find_cycles(shrink, row(0.0, 0.0), torch.tensor([400]))
    assert found.multipliers.abs().tolist() == [[pytest.approx(0.01), pytest.approx(0.01)]]


def test_a_map_without_a_cycle_says_so():
    away = StateMap(lambda h, x: h + h.square() + 0.1, NOTHING)
    found = find_cycles(away, row(0.3), torch.tensor([2]))
    assert not bool(found.closed)
    assert found.residuals.item() <= found.before.item()
    burst = find_cycles(
        StateMap(lambda h, x: torch.exp(1e3 * h), NOTHING), row(1.0), torch.tensor([2])
    )
    assert not bool(burst.closed)
    assert burst.points.item() == 1.0


@pytest.mark.parametrize(
    ("starts", "periods"),
    [
        (row(0.5).float(), torch.tensor([1])),
        (row(0.5)[0], torch.tensor([1])),
        (row(0.5), torch.tensor([0])),
        (row(0.5), torch.tensor([1.0])),
        (row(0.5), torch.tensor([1, 2])),
    ],
)
def test_what_is_no_start_or_no_period_is_refused(starts, periods):
    with pytest.raises(ValueError, match="must be"):
        find_cycles(logistic(3.2), starts, periods)
