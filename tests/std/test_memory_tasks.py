"""The tasks of the literature: what is drawn, their chance, and exact answers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emtkit import EmtkitError, Stream
from emtkit_std._theory.required_memory import estimated
from emtkit_std.tasks.adding import Adding
from emtkit_std.tasks.associative_recall import AssociativeRecall
from emtkit_std.tasks.copy import Copy
from emtkit_std.tasks.delayed_match import DelayedMatch
from emtkit_std.tasks.flip_flop import FlipFlop
from emtkit_std.tasks.n_back import NBack
from tests.std.known_nets import assert_within_standard_errors

SEEDS = st.integers(0, 99)


def drawn(task, sequences=6, seed=0):
    return task.sample(sequences, Stream(seed, "data", dtype=torch.float64))


def losses(task, outputs, batch):
    """Mean loss of each sequence over its scored steps."""
    scored = batch.mask.expand(outputs.shape[:2])
    return ((task.loss(outputs, batch) * scored).sum(1) / scored.sum(1)).numpy()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.floats(0.05, 1.0), SEEDS)
def test_flip_flops_hold_the_last_pulse(bits, density, seed):
    batch = drawn(FlipFlop(bits=bits, density=density, steps=20), seed=seed)
    for sequence, held in zip(batch.inputs, batch.targets, strict=True):
        state = torch.zeros(bits).double()
        for pulses, wanted in zip(sequence, held, strict=True):
            state = torch.where(pulses != 0, pulses, state)
            assert torch.equal(state, wanted)


def test_without_a_memory_a_flip_flop_has_its_chance():
    task = FlipFlop(bits=2, density=0.2, steps=15)
    batch = drawn(task, 8000)
    assert_within_standard_errors(losses(task, batch.inputs, batch), task.chance)
    assert float((batch.inputs != 0).double().mean()) == pytest.approx(0.2, abs=0.005)


def test_the_sum_is_that_of_one_marked_number_of_each_half():
    task = Adding(steps=11)
    batch = drawn(task, 500)
    numbers, marks = batch.inputs.unbind(-1)
    assert torch.equal(marks[:, :5].sum(1), torch.ones(500).double())
    assert torch.equal(marks[:, 5:].sum(1), torch.ones(500).double())
    first, second = marks[:, :5].argmax(1), 5 + marks[:, 5:].argmax(1)
    rows = torch.arange(500)
    assert torch.equal(batch.targets[:, -1, 0], numbers[rows, first] + numbers[rows, second])
    assert batch.mask.tolist() == [0.0] * 10 + [1.0]
    mean = torch.ones_like(batch.targets)
    assert_within_standard_errors(losses(task, mean, batch), task.chance)
    assert float(task.metrics(batch.targets + 0.039, batch)["accuracy"]) == 1.0
    assert float(task.metrics(batch.targets + 0.041, batch)["accuracy"]) == 0.0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(2, 5), SEEDS)
def test_n_back_compares_symbols_n_steps_apart(lag, symbols, seed):
    task = NBack(lag=lag, symbols=symbols, scored=7)
    batch = drawn(task, seed=seed)
    kinds = batch.inputs.argmax(-1)
    assert torch.equal(batch.inputs.sum(-1), torch.ones(6, lag + 7).double())
    for t in range(lag, lag + 7):
        same = kinds[:, t] == kinds[:, t - lag]
        assert torch.equal(batch.targets[:, t, 0], torch.where(same, 1.0, -1.0).double())
    assert batch.mask.tolist() == [0.0] * lag + [1.0] * 7


@pytest.mark.parametrize(
    "task", [NBack(lag=3, symbols=5), DelayedMatch(), AssociativeRecall(), Copy(longest=3)]
)
def test_half_of_the_answers_are_of_either_kind(task):
    batch = drawn(task, 4000)
    scored = (batch.mask > 0).expand(batch.targets.shape[:2])
    answers = torch.where(scored[..., None], batch.targets, torch.nan)
    assert set(answers[scored].unique().tolist()) == {-1.0, 1.0}
    means = np.nanmean(answers.flatten(1).numpy(), 1)
    assert_within_standard_errors(means, 0.0)
    silent = losses(task, torch.zeros_like(batch.targets), batch)
    assert silent == pytest.approx(np.ones(4000))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(0, 3), st.integers(1, 4), SEEDS)
def test_a_match_is_a_pattern_that_comes_again(shortest, more, dimension, seed):
    task = DelayedMatch(shortest=shortest, longest=shortest + more, dimension=dimension)
    batch = drawn(task, seed=seed)
    assert torch.equal(batch.mask.sum(1), torch.ones(6).double())
    for inputs, targets, mask in zip(batch.inputs, batch.targets, batch.mask, strict=True):
        at = int(mask.argmax())
        assert shortest <= at <= shortest + more
        assert not inputs[1:at].any()
        assert not inputs[at + 1 :].any()
        same = torch.equal(inputs[0], inputs[at])
        assert float(targets[at]) == (1.0 if same else -1.0)
        assert torch.equal(inputs[at].abs(), torch.ones(dimension).double())


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 3), SEEDS)
def test_every_query_is_answered_with_the_value_of_its_key(queries, pairs, keys, seed):
    task = AssociativeRecall(
        pairs=queries + pairs, queries=queries, keys=queries + pairs + keys, dimension=2
    )
    batch = drawn(task, seed=seed)
    heard, values = batch.inputs.split([task.keys, 2], -1)
    for key, value, answer in zip(heard.argmax(-1), values, batch.targets, strict=True):
        known = dict(zip(key[: task.pairs].tolist(), value[: task.pairs], strict=True))
        assert len(known) == task.pairs
        asked = key[task.pairs :].tolist()
        assert len(set(asked)) == queries
        for k, said in zip(asked, answer[task.pairs :], strict=True):
            assert torch.equal(known[k], said)


def test_values_apart_come_a_step_after_their_keys_and_all_else_is_the_same():
    together, apart = (AssociativeRecall(pairs=3, queries=2, apart=way) for way in (False, True))
    one, two = drawn(together), drawn(apart)
    assert two.steps == 8
    heard = two.inputs[:, :6].unflatten(1, (3, 2))
    assert torch.equal(heard.sum(2), one.inputs[:, :3])
    assert not heard[:, :, 0, 8:].any()
    assert not heard[:, :, 1, :8].any()
    assert torch.equal(two.inputs[:, 6:], one.inputs[:, 3:])
    assert torch.equal(two.targets[:, 6:], one.targets[:, 3:])
    assert two.mask.tolist() == [0.0] * 6 + [1.0] * 2
    assert apart.heard == 6


def test_what_must_be_held_is_what_the_tasks_say():
    """Estimates that are known: the value of a pair by its share of the queries, and no more."""
    stream = Stream(None, "items", dtype=torch.float64)
    found = estimated(FlipFlop(bits=1, density=1.0, steps=4), stream)
    assert np.array_equal(found.weight > 0, np.eye(4) > 0), "each pulse is overwritten"
    found = estimated(Adding(steps=6), stream)
    assert (found.weight[-1] > 0).all(), "numbers and marks are needed to the end"
    task = AssociativeRecall(pairs=2, queries=2, keys=2, dimension=1)
    needed = estimated(task, stream)
    last_pair = [
        weight
        for weight, item in zip(needed.weight[1], needed.items, strict=True)
        if item.channel == 2 and item.step < 2
    ]
    # A value drawn anew is another one half of the time; a query asks for it half of the time.
    assert last_pair == pytest.approx([0.5, 0.5], abs=0.1)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: DelayedMatch(shortest=3, longest=2), "the shortest delay 3 is above the longest"),
        (lambda: AssociativeRecall(pairs=2, queries=3), "3 queries of 2 pairs among 8 keys"),
    ],
)
def test_settings_that_say_nothing_are_refused(make, says):
    with pytest.raises(EmtkitError, match=says):
        make()
