"""The constructed linear optimum reaches its own loss."""

import pytest

from emtkit import Task
from emtkit_std.analyses.superposition import Superposition
from emtkit_std.architectures.optimal_linear import OptimalLinear
from emtkit_std.tasks.k_delay import KDelay
from tests.std.known_nets import look


def test_a10_the_network_has_the_loss_radius_and_angle_of_the_table():
    task = KDelay(delay=3, density=1.0, scored="last", steps=120)
    found = look(Superposition(samples=2000), task, OptimalLinear(task).double()).scalars
    assert found["expected_loss"] == pytest.approx(0.17685, abs=5e-4)
    assert found["travelled_angle"] == pytest.approx(83.3, abs=0.5)
    assert abs(found["relative_loss"] - found["expected_loss"]) < 4 * found["relative_loss_error"]
    assert found["regime"] == "undefined"  # a linear readout hides nothing


def test_it_is_constructed_and_says_where_it_does_not_apply():
    defaults = {"hidden": 2, "bias": False}
    assert not OptimalLinear.trains(defaults)
    assert not list(OptimalLinear(KDelay()).parameters())
    assert OptimalLinear.accepts(KDelay(), defaults) is None
    assert "one feature" in OptimalLinear.accepts(KDelay(features=2), defaults)


class Lawless(KDelay):
    name = "lawless"
    offers = ()


def test_a_task_without_a_delay_law_is_not_applicable():
    task: Task = Lawless()
    assert OptimalLinear.accepts(KDelay(steps=50), {"hidden": 7, "bias": True}) is None
    assert "DelayLaw" in OptimalLinear.accepts(task, {"hidden": 2, "bias": False})
