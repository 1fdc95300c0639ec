"""Sequences of unequal length: each has its own mask, and padding changes no number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from emtkit import Batch, PluginError, Stream
from emtkit.plugin.strata import Strata, Stratified
from emtkit.study.cells import EvaluationSpec
from emtkit.train.evaluate import judge
from emtkit.train.grouping import tier_named
from emtkit.train.stack import flatten, stack
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.gru import GatedRecurrentUnit
from emtkit_std.tasks.copy import Copy
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay

MODELS, SEQUENCES = 3, 7
FAR_ABOVE_ROUNDING = {"rtol": 1e-9, "atol": 1e-9}


class PaddedCopy(Copy):
    """The same sequences with silence after them, which nobody scores."""

    padding = 5

    def __init__(self, *, shortest: int = 1, longest: int = 4, dimension: int = 2) -> None:
        super().__init__(shortest=shortest, longest=longest, dimension=dimension)

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        drawn = super().sample(batch, stream, horizon)
        more = [
            torch.cat([x, x.new_zeros(batch, self.padding, *x.shape[2:])], 1)
            for x in (drawn.inputs, drawn.targets, drawn.mask)
        ]
        return Batch(*more, drawn.input_steps)


def networks(task, architecture):
    torch.manual_seed(1)
    return [architecture(task, hidden=6).double() for _ in range(MODELS)]


def stacked(task, models):
    flat = torch.stack([flatten(model) for model in models])
    return stack(models, [task] * len(models), ["t"] * len(models)), flat


def drawn(task, sequences=SEQUENCES):
    streams = [Stream(seed, "train", dtype=torch.float64) for seed in range(MODELS)]
    return streams, [
        task.sample(sequences, Stream(seed, "train", dtype=torch.float64)) for seed in range(MODELS)
    ]


@pytest.mark.parametrize("architecture", [Elman, GatedRecurrentUnit])
@pytest.mark.parametrize("tier", ["loop", "vmap", "dense"])
def test_loss_and_gradient_are_those_of_all_scored_steps(tier, architecture):
    task = Copy(longest=4)
    models = networks(task, architecture)
    whole, flat = stacked(task, models)
    streams, alone = drawn(task)
    batch = whole.draw(SEQUENCES, streams, None)
    assert len({tuple(one.mask.sum(1).tolist()) for one in alone}) > 1, "their lengths differ"
    found = tier_named(tier).gradients(whole, flat, batch, batch.scored_steps)
    wanted, slopes = [], []
    for model, one in zip(models, alone, strict=True):
        outputs = model(one.inputs[:, : one.input_steps], one.steps).outputs
        picked = [
            (outputs[b, t] - one.targets[b, t]).square().mean()
            for b, t in one.mask.nonzero().tolist()
        ]
        loss = torch.stack(picked).mean()
        slopes.append(
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, model.parameters())])
        )
        wanted.append(loss.detach())
    assert found.losses.tolist() == pytest.approx([float(x) for x in wanted], rel=1e-9)
    torch.testing.assert_close(found.gradients, torch.stack(slopes), **FAR_ABOVE_ROUNDING)


@pytest.mark.parametrize("tier", ["loop", "vmap", "dense"])
def test_padding_changes_no_number(tier):
    plain, padded = Copy(longest=4), PaddedCopy(longest=4)
    models = networks(plain, Elman)
    spec = EvaluationSpec("k", 40, None, None, ())
    numbers = []
    for task in (plain, padded):
        whole, flat = stacked(task, models)
        streams, _ = drawn(task)
        batch = whole.draw(SEQUENCES, streams, None)
        made = tier_named(tier)
        found = made.gradients(whole, flat, batch, batch.scored_steps)
        numbers.append((found.losses, found.gradients, judge(whole, flat, made, [spec] * MODELS)))
    (losses, gradients, scores), (others, slopes, found) = numbers
    assert losses.tolist() == pytest.approx(others.tolist(), rel=1e-9)
    torch.testing.assert_close(gradients, slopes, **FAR_ABOVE_ROUNDING)
    for one, other in zip(scores, found, strict=True):
        assert one == pytest.approx(other, rel=1e-9)


def test_a_batch_of_one_length_has_the_loss_of_a_common_mask():
    task = Copy(shortest=3, longest=3)
    models = networks(task, Elman)
    whole, flat = stacked(task, models)
    batch = whole.draw(SEQUENCES, drawn(task)[0], None)
    common = replace(batch, mask=batch.mask[:, 0])
    tier = tier_named("vmap")
    own = tier.gradients(whole, flat, batch, batch.scored_steps)
    same = tier.gradients(whole, flat, common, common.mask)
    assert own.losses.tolist() == pytest.approx(same.losses.tolist(), rel=1e-9)
    torch.testing.assert_close(own.gradients, same.gradients, **FAR_ABOVE_ROUNDING)


def test_errors_are_the_spread_over_evaluation_sets():
    """600 sets of a network that is good at short sequences: a ratio of sums, and a plain mean."""
    task = Copy(shortest=1, longest=8, dimension=1)
    whole, flat = stacked(task, networks(task, Elman)[:1])
    spec = EvaluationSpec("k", 50, None, None, ())
    found = [
        judge(whole, flat, tier_named("vmap"), [replace(spec, stream=f"set {n}")])[0]
        for n in range(600)
    ]
    for name in ("loss", "accuracy", "all_right"):
        values = np.array([one[name] for one in found])
        errors = np.array([one[f"{name}_error"] for one in found])
        # The variance of a variance of 600 normal values is 2 / 600: .058 of it, four times.
        assert np.mean(errors**2) == pytest.approx(np.var(values), rel=0.24), name


def test_the_spread_of_sequences_alone_is_another_error():
    """The control: what is right for a mean over sequences is wrong for a mean over steps."""
    task = Copy(shortest=1, longest=8, dimension=1)
    losses, plain = [], []
    for seed in range(600):
        batch = task.sample(50, Stream(seed, "test", dtype=torch.float64))
        outputs = Stream(seed, "noise", dtype=torch.float64).normal(tuple(batch.targets.shape))
        errors = task.loss(outputs, batch) * batch.mask
        losses.append(float(errors.sum() / batch.mask.sum()))
        alone = errors.sum(1) / batch.mask.sum(1)
        plain.append(float(alone.var()) / 50)
    # Equal errors at all steps: E[1 / n] against 1 / E[n], n uniform on 1 .. 8.
    assert np.mean(plain) / np.var(losses) == pytest.approx(0.3397 * 4.5, rel=0.24)


def test_who_cannot_bear_masks_of_their_own_says_so():
    task = Copy(longest=2)
    own = task.sample(4, Stream(0, "test"))

    class Squared(Copy):
        def squares(self):
            return (0.5,) * self.dimension

    model = Elman(task, hidden=2)
    whole, _ = stacked(Squared(longest=2), [model])
    with pytest.raises(PluginError, match="has `squares`, and a mask for each sequence"):
        whole.draw(4, [Stream(0, "test")], None)
    with pytest.raises(PluginError, match="strata of several kinds came with a mask for each"):
        Stratified(own, Strata((0.5, 0.5), (2, 2)))
    with pytest.raises(PluginError, match=r"has a mask of shape \(4,\); it must be \(5,\), or"):
        Batch(own.inputs, own.targets, own.mask[:, 0], own.input_steps)


@pytest.mark.parametrize("task", [KDelay(), HistoryDependentSystem()])
def test_a_common_mask_stays_what_it_was(task):
    batch = task.sample(3, Stream(0, "test"))
    assert not batch.per_sequence
    assert batch.scored_steps is batch.mask
