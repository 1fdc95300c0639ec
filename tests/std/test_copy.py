"""Copy: what is drawn, what chance is, and an exact answer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emtkit import EmtkitError, Stream
from emtkit_std.tasks.copy import Copy
from tests.std.known_nets import assert_within_standard_errors


def stream(seed: int = 0) -> Stream:
    return Stream(seed, "data", dtype=torch.float64)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(0, 4), st.integers(1, 3), st.integers(0, 99))
def test_each_sequence_is_repeated_after_its_own_marker(shortest, more, dimension, seed):
    longest = shortest + more
    task = Copy(shortest=shortest, longest=longest, dimension=dimension)
    batch = task.sample(6, stream(seed))
    assert batch.inputs.shape == (6, 2 * longest + 1, dimension + 1)
    marker = batch.inputs[..., -1]
    assert torch.equal(marker.sum(1), torch.ones(6).double())
    for b, n in enumerate(marker.argmax(1).tolist()):
        assert shortest <= n <= longest
        items = batch.inputs[b, :n, :-1]
        assert torch.equal(items.abs(), torch.ones_like(items))
        assert not batch.inputs[b, n + 1 :].any()
        assert not batch.inputs[b, n:, :-1].any()
        wanted = torch.zeros(task.steps, dtype=torch.float64)
        wanted[n + 1 : 2 * n + 1] = 1.0
        assert torch.equal(batch.mask[b], wanted)
        assert torch.equal(batch.targets[b, n + 1 : 2 * n + 1], items)
        assert not batch.targets[b, wanted == 0].any()


def test_lengths_are_uniform():
    batch = Copy(shortest=2, longest=5).sample(4000, stream())
    counts = torch.bincount(batch.mask.sum(1).long(), minlength=6)
    assert counts[:2].sum() == 0
    assert (counts[2:] - 1000).abs().max() < 5 * 27.4  # five standard deviations


def test_silence_has_loss_one_and_a_guess_is_right_half_the_time():
    task = Copy(shortest=1, longest=3, dimension=2)
    batch = task.sample(4000, stream())
    silent = torch.zeros_like(batch.targets)
    scored = batch.mask > 0
    assert torch.equal(task.loss(silent, batch)[scored], torch.ones(int(scored.sum())).double())
    guess = stream(7).signs(tuple(batch.targets.shape))
    right = ((guess == batch.targets).double().mean(-1) * batch.mask).sum(1) / batch.mask.sum(1)
    assert_within_standard_errors(right.numpy(), 0.5)
    found = task.metrics(guess, batch)
    whole = [2.0 ** (-2 * n) for n in batch.mask.sum(1).tolist()]
    share = sum(whole) / len(whole)
    assert float(found["all_right"]) == pytest.approx(share, abs=4 * (share / 4000) ** 0.5)


def test_the_right_answer_is_right_whatever_padding_says():
    task = Copy(longest=4)
    batch = task.sample(50, stream())
    loud = torch.where((batch.mask > 0)[..., None], batch.targets, 9.0)
    assert {name: float(v) for name, v in task.metrics(loud, batch).items()} == {
        "accuracy": 1.0,
        "all_right": 1.0,
    }


def test_a_range_the_wrong_way_round_is_refused():
    with pytest.raises(EmtkitError, match="the shortest sequence of 5 items is above the longest"):
        Copy(shortest=5, longest=4)
