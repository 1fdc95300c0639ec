"""Training in stacks: every row gets the numbers it would get alone."""

from __future__ import annotations

import math

import pytest
import torch

from emtkit import Stream
from emtkit.study.settings import Training
from emtkit.train.grouping import group
from emtkit.train.row_state import RowState
from emtkit.train.tiers.loop import LoopTier
from emtkit.train.tiers.vmap import VmapTier
from emtkit.train.trainer import Trainer, final_loss
from tests.rounding import assert_rounded_rows
from tests.train.fakes import REGISTRY, Repeat, Tanh, assert_same_path, cell

GATED = {"kind": "loss_gated", "start": 2, "max": 9, "factor": 1.3, "threshold": 0.9}
STAGED = {"kind": "staged", "stages": (2, 5, 8), "metric": "accuracy", "above": 0.55}


def train(cells, tier=None, **how):
    trainer = Trainer(REGISTRY, cells, tier or VmapTier())
    trainer.run(**how)
    return trainer.rows


def same(a: RowState, b: RowState) -> bool:
    return a.encode() == b.encode()


def rows_that_differ():
    return [
        cell(0, lr=1e-2),
        cell(1, lr=3e-2, weight_decay=0.1, clip=0.05),
        cell(2, task={"gain": 0.5}),
        cell(3, schedule={"kind": "cosine", "from": 0.5}, steps=9),
        cell(4, schedule={"kind": "step", "at": 0.3, "factor": 0.1}, snapshots=(0, 5, 12)),
        cell(0, task={"gain": 2.0}, clip=None),
    ]


@pytest.mark.parametrize("curriculum", ["none", GATED, STAGED])
def test_a_row_has_the_same_bits_alone_and_in_any_stack(curriculum):
    cells = [
        c.__class__(c.key, c.task, c.architecture, _with(c.training, curriculum), c.seed, True)
        for c in rows_that_differ()
    ]
    together = train(cells)
    shuffled = [4, 2, 0]
    for at, row in zip(shuffled, train([cells[i] for i in shuffled]), strict=True):
        assert same(row, together[at])
    for one, row in zip(cells, together, strict=True):
        assert same(train([one])[0], row)
        assert row.end == "done"


def test_curriculum_rows_reach_different_horizons():
    cells = [cell(s, curriculum=GATED, steps=8, lr=0.02 * (s + 1)) for s in range(4)]
    horizons = {row.progress.horizon for row in train(cells)}
    assert len(horizons) > 1


def test_a_segment_may_be_cut_anywhere():
    cells = [cell(s, curriculum=GATED, snapshots=(3,)) for s in range(3)]
    whole = train(cells)
    states = None
    for _ in range(12):
        trainer = Trainer(REGISTRY, cells, VmapTier())
        for at, state in enumerate(states or []):
            trainer.load(at, RowState.decode(state))
        trainer.run(lambda: True)
        states = [row.encode() for row in trainer.rows]
    assert states == [row.encode() for row in whole]


@pytest.mark.parametrize("curriculum", ["none", GATED, STAGED])
def test_loop_and_vmap_agree_in_float64(curriculum):
    single, double = (
        [cell(s, dtype=dtype, curriculum=curriculum, steps=20) for s in range(3)]
        for dtype in ("float32", "float64")
    )
    assert_same_path(train(double), train(single, LoopTier()), train(double, LoopTier()))


def by_torch(one, optimizer, dtype):
    """Weights and losses of 12 iterations as a loop of torch's own makes them."""
    task, losses = Repeat(history=2, horizon=4), []
    model = Trainer(REGISTRY, [one], VmapTier()).models[0].to(dtype)
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    reference = kinds[optimizer](model.parameters(), lr=1e-2, weight_decay=0.05)
    for iteration in range(12):
        batch = task.sample(5, Stream(7, "train", iteration, dtype=dtype))
        loss = task.loss(model(batch.inputs[:, :2], 6).outputs, batch)[:, 2:].mean()
        losses.append(loss.item())
        reference.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.3)
        reference.step()
    return torch.nn.utils.parameters_to_vector(model.parameters())[None], [losses]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_training_equals_torch_s_own_optimiser(optimizer):
    setting = {"optimizer": optimizer, "weight_decay": 0.05, "clip": 0.3, "dtype": "float64"}
    one = cell(7, **setting)
    trained = train([one])[0]
    single, double = (by_torch(one, optimizer, dtype) for dtype in (torch.float32, torch.float64))
    assert_rounded_rows(trained.parameters[None], single[0], double[0], 2 * 12)
    assert_rounded_rows(trained.losses[None], single[1], double[1], 2 * 12)


def test_a_diverging_row_fails_alone():
    wild = cell(1, "exploding_fake", task={"horizon": 60}, steps=40, clip=None, lr=10.0)
    calm = cell(2, "exploding_fake", task={"horizon": 60}, steps=3, lr=1e-8)
    rows = train([wild, calm])
    assert rows[0].end == "diverged"
    assert rows[0].iteration < 40
    assert same(rows[1], train([calm])[0])


def test_overflow_past_a_row_s_own_horizon_does_not_reach_it():
    short = cell(1, "exploding_fake", task={"horizon": 60}, steps=2,
                 curriculum={**GATED, "start": 2, "max": 2})  # fmt: skip
    long = cell(2, "exploding_fake", task={"horizon": 60}, steps=2,
                curriculum={**GATED, "start": 60, "max": 60})  # fmt: skip
    rows = train([short, long])
    assert rows[0].end == "done"
    assert same(rows[0], train([short])[0])


def test_stop_ends_a_row_and_solved_only_records():
    easy = {"metric": "loss", "below": 1e9}
    stopped, solved = train(
        [cell(0, stop=easy, check=4, steps=40), cell(1, solved=easy, check=5, steps=11)]
    )
    assert (stopped.end, stopped.iteration) == ("stopped", 4)
    assert (solved.end, solved.iteration, solved.solved_at) == ("done", 11, 5)


def test_equal_seeds_draw_equal_batches_and_others_do_not():
    a, b, c = train([cell(0, lr=1e-9), cell(0, lr=2e-9), cell(1, lr=1e-9)])
    assert a.losses[0] == b.losses[0]
    assert a.losses[0] != c.losses[0]


def test_snapshots_are_the_weights_of_a_shorter_run():
    long = train([cell(3, snapshots=(0, 5))])[0]
    short = train([cell(3, steps=5)])[0]
    assert torch.equal(long.snapshots[5], short.parameters)
    assert torch.equal(long.snapshots[0], train([cell(3, steps=0)])[0].parameters)


def test_final_loss_is_the_mean_of_the_last_tenth():
    row = train([cell(0, steps=20)])[0]
    assert final_loss(row) == pytest.approx(row.losses[18:].mean())
    assert math.isnan(final_loss(train([cell(0, steps=0)])[0]))


def test_cells_are_grouped_by_shape_and_tiers_by_what_vmap_can_run():
    cells = [*rows_that_differ(), cell(0, "branching_fake"), cell(0, dtype="float64")]
    stacks = group(cells, REGISTRY)
    assert sorted((len(s.cells), s.tier) for s in stacks) == [(1, "loop"), (1, "vmap"), (6, "vmap")]


def test_the_loop_tier_trains_what_vmap_cannot():
    plain = train([cell(0), cell(1)], LoopTier())
    branching = train([cell(0, "branching_fake"), cell(1, "branching_fake")], LoopTier())
    for a, b in zip(plain, branching, strict=True):
        assert torch.equal(a.parameters, b.parameters)


def test_models_are_drawn_from_seed_and_purpose_alone():
    before = torch.random.get_rng_state()
    first = Trainer(REGISTRY, [cell(0)], VmapTier()).models[0]
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(3)
    again = Trainer(REGISTRY, [cell(0)], VmapTier()).models[0]
    other = Trainer(REGISTRY, [cell(1)], VmapTier()).models[0]
    assert isinstance(first, Tanh)
    assert torch.equal(first.W_hh, again.W_hh)
    assert not torch.equal(first.W_hh, other.W_hh)


def _with(training: Training, curriculum: object) -> Training:
    return training.model_validate({**training.model_dump(by_alias=True), "curriculum": curriculum})
