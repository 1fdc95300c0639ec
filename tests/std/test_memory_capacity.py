"""The memory analysis on known recurrences."""

import numpy as np
import pytest
import torch

from emtkit import NotApplicable
from emtkit_std.analyses.memory_capacity import MemoryCapacity
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.relu_rnn import ReluRnn
from emtkit_std.architectures.shift_register import ShiftRegister
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import assert_rounded, rounding
from tests.std.known_nets import look, net_a1, set_weights
from tests.std.pictures import drawings_of
from tests.std.subjects import build, subject_of

TASK = KDelay()


def test_a9_a_random_linear_network_holds_as_many_steps_as_it_has_units():
    torch.manual_seed(0)
    findings = look(MemoryCapacity(), TASK, LinearRnn(TASK, hidden=4).double())
    assert findings.scalars["linear"] == pytest.approx(4, abs=1e-6)
    (plot,) = drawings_of(MemoryCapacity, findings)["memory"].plots
    assert [mark.label for mark in plot.marks] == ["linear", "fisher"]
    assert sum(plot.marks[0].y) == pytest.approx(4, abs=1e-6)


def test_a9_fisher_memory_of_a_spiral_is_one():
    model = LinearRnn(TASK).double()
    set_weights(model, *net_a1())
    # Lyapunov's equation of 2 x 2 unknowns has condition (1 + .8^2) / (1 - .8^2).
    limit = rounding(4, (1 + 0.8**2) / (1 - 0.8**2))
    assert look(MemoryCapacity(), TASK, model).scalars["fisher"] == pytest.approx(1, abs=limit)


def test_a_register_remembers_every_age_up_to_its_length():
    rows = look(MemoryCapacity(), TASK, ShiftRegister(TASK)).tables["memory"]
    assert_rounded(rows["linear"][:6], [1, 1, 1, 1, 0, 0], len(rows))


def test_a_recurrence_that_does_not_forget_is_undefined_with_the_reason():
    model = LinearRnn(TASK).double()
    W_hh, W_uh, W_r = net_a1()
    set_weights(model, W_hh / 0.8, W_uh, W_r)
    findings = look(MemoryCapacity(), TASK, model)
    assert np.isnan(findings.scalars["linear"])
    assert "below 1" in findings.reasons["linear"]


def test_a_network_that_is_not_linear_is_taken_at_its_fixed_point():
    """At the origin of tanh units without biases: the linear network of the same weights."""
    task = KDelay(delay=3, density=0.3)
    curved, straight = build(Elman, task, hidden=6).double(), build(LinearRnn, task, hidden=6)
    weights = curved.state_dict()
    set_weights(straight.double(), *(weights[name].numpy() for name in ("W_hh", "W_uh", "W_r")))
    found, known = (MemoryCapacity().measure(subject_of(one, task)) for one in (curved, straight))
    assert found.scalars["point_kind"] == "origin"
    assert known.scalars["point_kind"] == "none"
    assert found.scalars["linear"] == known.scalars["linear"] == 6
    assert found.scalars["fisher"] == pytest.approx(known.scalars["fisher"], rel=1e-9)


def test_a_network_at_a_kink_has_no_memory_to_take():
    task = KDelay(delay=3, density=0.3)
    with pytest.raises(NotApplicable, match="kink"):
        MemoryCapacity().measure(subject_of(build(ReluRnn, task), task))
