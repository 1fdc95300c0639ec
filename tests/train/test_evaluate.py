"""The standard error of every number of an evaluation, by its sequences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from emtkit.plugin.stream import Stream
from emtkit.study.cells import EvaluationSpec
from emtkit.train.evaluate import judge
from emtkit.train.grouping import tier_named
from emtkit.train.stack import flatten, losses_alone, stack
from emtkit_std.architectures.elman import Elman
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay


def judged(sequences):
    task = HistoryDependentSystem(rule="repeat", history=3, dimension=2, horizon=12)
    torch.manual_seed(0)
    models = [Elman(task, hidden=5) for _ in range(2)]
    spec = EvaluationSpec("k", sequences, 7, 4, (3,))
    flat = torch.stack([flatten(model) for model in models])
    found = judge(stack(models, [task] * 2, ["t"] * 2), flat, tier_named("vmap"), [spec] * 2)
    batch = task.sample(sequences, Stream(None, "test", dtype=flat.dtype), 12)
    return found, task, models, batch


def first(mask, count):
    return mask * (mask.cumsum(0) <= count)


def test_errors_are_the_spread_of_the_sequences_over_the_root_of_their_number():
    found, task, models, batch = judged(30)
    for scalars, model in zip(found, models, strict=True):
        outputs = model.trace(batch.inputs, batch.steps).outputs.detach()
        right = ((outputs >= 0) == (batch.targets >= 0)).double().mean(2)
        for name, errors, mask in (
            ("accuracy", right, first(batch.mask, 7)),
            ("loss", task.loss(outputs, batch).double(), first(batch.mask, 4)),
        ):
            alone = (errors * mask).sum(1) / mask.sum()
            assert scalars[name] == pytest.approx(float(alone.mean()), rel=1e-5)
            wanted = float(alone.std()) / math.sqrt(30)
            assert scalars[f"{name}_error"] == pytest.approx(wanted, rel=1e-4)
        assert {"first_accuracy_error", "accuracy_at_3_error"} < set(scalars)


def test_one_sequence_has_no_error():
    found, *_ = judged(1)
    assert not any(name.endswith("_error") for name in found[0])


def test_the_error_is_the_spread_over_evaluation_sets():
    """A silent network on sparse inputs: the loss of 400 sets, and what each says of its error."""
    task = KDelay(delay=1, density=0.2, features=2, scored="last")
    losses, errors = [], []
    for seed in range(400):
        batch = task.sample(64, Stream(seed, "test", dtype=torch.float64))
        alone = losses_alone(
            task.loss(torch.zeros_like(batch.targets), batch)[None], batch.mask[None]
        )[0]
        losses.append(float(alone.mean()))
        errors.append(float(alone.std()) / 8)
    assert np.mean(losses) == pytest.approx(1, abs=4 * np.std(losses) / 20)
    assert np.mean(np.square(errors)) == pytest.approx(np.var(losses), rel=0.25)
