"""What must be remembered: exact facts against their meaning, and estimates against the facts."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emtkit import Batch, EmtkitError, NotApplicable, Stream, Task
from emtkit_std._theory.required_memory import Item, RequiredMemory, estimated, required_memory
from emtkit_std.architectures.elman import Elman
from emtkit_std.tasks.cued_delay import CuedDelay
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from emtkit_std.tasks.k_delay import KDelay
from tests.std.subjects import build, subject_of

WITHIN = 0.2
"""The largest of many shares, each of 1,024 draws (signs: a standard error of 3 %)."""
SIZES = {"history": 3, "dimension": 2, "horizon": 8}


def stream() -> Stream:
    return Stream(None, "test", dtype=torch.float64)


def assert_close(task: Task) -> RequiredMemory:
    exact, found = task.facts(RequiredMemory), estimated(task, stream())
    assert exact.items == found.items
    assert ((exact.weight > 0) == (found.weight > 0)).all()
    np.testing.assert_allclose(found.weight, exact.weight, atol=WITHIN)
    return exact


def test_a_delay_needs_every_input_until_it_is_repeated():
    task = KDelay(delay=(3, 1), features=2, density=0.5, steps=8)
    weight = assert_close(task).weight.reshape(8, 8, 2)
    for step, came in np.ndindex(8, 8):
        for channel, delay in enumerate((3, 1)):
            due = came + delay
            assert weight[step, came, channel] == (came <= step <= due and 3 <= due < 8)


@pytest.mark.parametrize("scored", ["recall", "all", "last"])
def test_what_is_never_scored_need_not_be_remembered(scored):
    weight = assert_close(KDelay(delay=2, density=0.3, steps=6, scored=scored)).weight
    first = {"recall": 2, "all": 2, "last": 5}[scored]
    assert np.flatnonzero(weight.any(0)).tolist() == list(range(first - 2, 4))


@pytest.mark.parametrize("rule", ["T1", "T2", "T3", "T4"])
def test_a_published_rule_needs_the_mask_of_its_core(rule):
    """Hand-derived masks of the smallest exact circuits, at the end of the inputs."""
    task = Hds(rule=rule, horizon=60)
    fact = task.facts(RequiredMemory)
    needed = np.zeros(64, dtype=bool)
    needed[fact.at(7)] = True
    assert (needed == task.selection.mask).all()
    assert set(np.unique(fact.weight)) == {0.0, 1.0}


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 9), st.integers(0, 99), st.booleans())
def test_of_any_signed_rule_the_estimate_is_the_fact(history, dimension, horizon, seed, real):
    values = "real" if real else "signs"
    try:
        task = Hds(
            rule="signed",
            history=history,
            dimension=dimension,
            horizon=horizon,
            rule_seed=seed,
            values=values,
        )
    except EmtkitError:
        return  # no such permutation at this size
    assert_close(task)


@pytest.mark.parametrize("rule", ["parity", "xor_shift", "majority"])
def test_of_a_boolean_rule_the_estimate_is_the_fact(rule):
    task = Hds(rule=rule, **SIZES)
    weight = assert_close(task).weight
    if rule == "majority":  # of three: a sign decides when the others differ, then all agree
        assert weight[2] == pytest.approx(0.5)
    else:  # a product changes with every factor
        assert set(np.unique(weight)) == {0.0, 1.0}


def test_terms_of_a_sum_share_it():
    task = Hds(rule="fibonacci", history=3, dimension=1, horizon=1)
    assert assert_close(task).weight[2] == pytest.approx(1 / 3)


def test_the_cue_decides_at_once_and_items_until_the_longest_delay():
    """One item, two delays: at steps 2 and 3 one sequence in two is asked, by the cue."""
    found = estimated(CuedDelay(shortest=2, longest=3, amplitude="signed"), stream())
    item, cue = found.items.index(Item(0, 0)), found.items.index(Item(2, 1))
    assert found.weight[:, item] == pytest.approx([1, 1, 1, 1], abs=WITHIN)
    assert found.weight[2, cue] == pytest.approx(0.5, abs=WITHIN)
    assert not found.weight[3:, cue].any()


class LastOfTwo(KDelay):
    """Says no targets: what is not given cannot be estimated."""

    offers: ClassVar = ()

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        return super().sample(batch, stream, horizon)


def test_a_task_that_says_nothing_is_told_what_to_write():
    task = LastOfTwo()
    with pytest.raises(NotApplicable, match=r"write `targets\(inputs\)` in the task"):
        required_memory(subject_of(build(Elman, task, hidden=2), task))


def test_what_cannot_be_tried_out_is_estimated():
    task = Hds(rule="parity", history=4, dimension=4, horizon=6)
    with pytest.raises(NotApplicable, match="16 signs have more values"):
        task.facts(RequiredMemory)
    found = required_memory(subject_of(build(Elman, task, hidden=2), task))
    assert set(np.unique(found.weight > 0.7)) == {False, True}
    assert (found.weight[3] > 0.7).all()


def test_long_histories_are_refused_in_words():
    task = Hds(rule="repeat", history=600, dimension=2)
    with pytest.raises(NotApplicable, match="are 1200 items"):
        task.facts(RequiredMemory)
