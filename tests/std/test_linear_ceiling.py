"""The bound against the best kernels found by least squares, and the published numbers."""

from __future__ import annotations

import numpy as np
import pytest

from emtkit_std.analyses.linear_ceiling import LinearCeiling, least_loss
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.tasks.hds import HistoryDependentSystem
from tests.rounding import rounding
from tests.std.subjects import build, subject_of


def law_of(rule: str, size: int = 4):
    return HistoryDependentSystem(rule=rule, history=size, dimension=size)._law


@pytest.mark.parametrize(
    ("rule", "size", "at_10", "at_40"),
    [
        ("repeat", 4, 0.0, 0.0),
        ("waves_t3", 4, 0.2, 0.2375),
        ("waves_t4", 4, 0.185, 0.234),
        ("T2", 8, 0.298, 0.401),
        ("T3", 8, 0.264, 0.373),
        ("T4", 8, 0.229, 0.323),
    ],
)
def test_least_loss_of_the_rules(rule, size, at_10, at_40):
    assert least_loss(law_of(rule, size), 10) == pytest.approx(at_10, abs=6e-4)
    assert least_loss(law_of(rule, size), 40) == pytest.approx(at_40, abs=6e-4)


def test_the_best_kernel_by_least_squares_reaches_the_bound_and_no_less():
    law, horizon = law_of("waves_t4"), 12
    s, d = law.history, law.dimension
    lags, unit = horizon + s - 1, np.eye(s * d)
    design, wanted, state = [], [], unit
    for output in range(horizon):
        wanted.append(law.operator @ state)
        row = np.zeros((lags, d, s * d))
        for item in range(s):
            row[s + output - item - 1] = unit[item * d : (item + 1) * d]
        design.append(row.reshape(lags * d, s * d))
        state = law.phi @ state
    heard, asked = np.concatenate(design, 1), np.concatenate(wanted, 1)
    kernel = np.linalg.lstsq(heard.T, asked.T, rcond=None)[0]
    left = ((asked.T - heard.T @ kernel) ** 2).sum() / (horizon * d)
    # Least squares over the pulses of one history, for every output
    limit = rounding(horizon * s * d, np.linalg.cond(heard[heard.any(axis=1)]))
    assert least_loss(law, horizon) == pytest.approx(left, abs=limit)


def test_it_says_that_the_task_is_impossible():
    for rule, possible in (("repeat", True), ("waves_t4", False)):
        task = HistoryDependentSystem(rule=rule, history=4, dimension=4)
        found = LinearCeiling().measure(subject_of(build(LinearRnn, task, hidden=16), task))
        assert found.scalars["possible"] is possible
