"""The native tier trains the same networks as the author's module, row by row the same bits."""

from __future__ import annotations

import pytest
import torch

from emtkit import PluginError, Recipe, Registry, Stream
from emtkit.study.plan import plan_study
from emtkit.train.grouping import group
from emtkit.train.native.machine import features, unavailable
from emtkit.train.row_state import RowState
from emtkit.train.tiers.native import LARGEST_HIDDEN, LARGEST_HIDDEN_HALF, NativeTier
from emtkit.train.tiers.vmap import VmapTier
from emtkit.train.trainer import Trainer
from tests.rounding import assert_rounded_rows
from tests.std.kernels import autograd
from tests.train.fakes import assert_same_path

needs_native = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))
NETWORKS = [
    {"use": "linear_rnn", "hidden": 2, "readout": "relu"},
    {"use": "linear_rnn", "hidden": 3, "bias": True},
    {"use": "relu_rnn", "hidden": 2},
    {"use": "relu_rnn", "hidden": 5, "activation": "tanh", "readout": "linear"},
    {"use": "elman", "hidden": 4, "bias": True},
    {"use": "elman", "hidden": 4, "readout_bias": True},
    {"use": "elman", "hidden": 4, "bias": True, "readout_bias": True},
]
# each is compiled anew, which takes longer than its tests
SOME = [
    pytest.param(network, marks=() if at in (0, 3) else pytest.mark.slow)
    for at, network in enumerate(NETWORKS)
]


@pytest.fixture(scope="module")
def registry():
    return Registry.installed()


def cells(registry, network, scored, **training):
    study = {
        "seeds": 3,
        "training": {"steps": 8, "batch": 33, "lr": 1e-2, **training},
        "tasks": [
            {"use": "k_delay", "grid": {"density": [1.0, 0.3]}, "delay": 2, "scored": scored}
        ],
        "architectures": [network],
    }
    return [row.cell for row in plan_study(study, registry).rows]


def trained(registry, chosen, tier):
    trainer = Trainer(registry, chosen, tier)
    trainer.run()
    return trainer.rows


@needs_native
@pytest.mark.parametrize("network", SOME)
@pytest.mark.parametrize("scored", ["recall", pytest.param("last", marks=pytest.mark.slow), "all"])
def test_it_trains_what_the_module_would(registry, network, scored):
    chosen, double = (cells(registry, network, scored, dtype=d) for d in ("float32", "float64"))
    assert {stack.tier for stack in group(chosen, registry)} == {"native"}
    native = trained(registry, chosen, NativeTier())
    plain = [trained(registry, each, VmapTier()) for each in (chosen, double)]
    assert_same_path(native, *plain)


@needs_native
def test_a_row_has_the_same_bits_alone_and_in_any_stack(registry):
    chosen = cells(registry, NETWORKS[2], "all")
    together = Trainer(registry, chosen, NativeTier())
    together.run()
    for at in (4, 0):
        alone = Trainer(registry, [chosen[at]], NativeTier())
        alone.run()
        assert alone.rows[0].encode() == together.rows[at].encode()


class Apart(NativeTier):
    """The same tier, with drawing, gradients and updates one after the other."""

    def fused(self, stacked, trainings, streams, flat, buffers):
        return None


def differing(registry, network, tasks, **training):
    """Networks that differ in all that rows of a stack may differ in."""
    varied = {**training.get("grid", {}), **training.get("zip", {})}
    same = {"steps": 9, "batch": 40, "lr": 2e-2, "snapshots": [0, 4]}
    study = {
        "seeds": 2,
        "training": {**{k: v for k, v in same.items() if k not in varied}, **training},
        "tasks": [{"use": "k_delay", "steps": 8, "features": 2, "importance": 0.8, **tasks}],
        "architectures": [network],
    }
    return [row.cell for row in plan_study(study, registry).rows]


@needs_native
@pytest.mark.parametrize("network", SOME)
@pytest.mark.parametrize("scored", ["last", "all"])
@pytest.mark.parametrize(
    "training",
    [
        {"grid": {"clip": [None, 0.01], "weight_decay": [0.0, 0.3]}},
        {"optimizer": "adamw", "zip": {"lr": [1e-2, 1e-3], "weight_decay": [0.1, 0.0]}},
        {"grid": {"steps": [5, 9]}, "schedule": {"kind": "cosine", "from": 0.5}},
        {"optimizer": "sgd", "solved": {"metric": "loss", "below": 0.9}, "check": 2},
    ],
    ids=["adam", "adamw", "schedules", "sgd"],
)
def test_whole_iterations_are_bit_for_bit_their_parts(registry, network, scored, training):
    tasks = {"grid": {"density": [1.0, 0.3], "delay": [0, 3]}, "scored": scored}
    chosen = differing(registry, network, tasks, **training)
    whole, parts = (Trainer(registry, chosen, tier) for tier in (NativeTier(), Apart()))
    whole.run()
    parts.run()
    assert [row.encode() for row in whole.rows] == [row.encode() for row in parts.rows]


@needs_native
@pytest.mark.parametrize(
    "features",
    [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(4, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(("steps", "batch"), [(5, 16), pytest.param(7, 70, marks=pytest.mark.slow)])
def test_whole_iterations_of_any_shape_are_their_parts(registry, features, steps, batch):
    tasks = {
        "steps": steps,
        "features": features,
        "grid": {"density": [1.0, 0.3, 0.01], "delay": [0, 3]},
    }
    chosen = differing(registry, NETWORKS[3], tasks, steps=4, snapshots=[], batch=batch)
    whole, parts = (Trainer(registry, chosen, tier) for tier in (NativeTier(), Apart()))
    whole.run()
    parts.run()
    assert [row.encode() for row in whole.rows] == [row.encode() for row in parts.rows]


@needs_native
@pytest.mark.parametrize(
    ("batch", "bias"), [pytest.param(32, False, marks=pytest.mark.slow), (40, True)]
)
def test_whole_iterations_on_histories_are_their_parts(registry, batch, bias):
    study = {
        "seeds": 2,
        "training": {"steps": 7, "batch": batch, "lr": 2e-2, "snapshots": [3]},
        "tasks": [{"use": "hds", "history": 3, "dimension": 3, "horizon": 5,
                   "zip": {"rule": ["repeat", "diagonal", "signed"]}}],
        "architectures": [{"use": "elman", "hidden": 5, "bias": bias}],
    }  # fmt: skip
    chosen = [row.cell for row in plan_study(study, registry).rows]
    whole, parts = (Trainer(registry, chosen, tier) for tier in (NativeTier(), Apart()))
    assert whole.stacked.recipes is not None
    whole.run()
    parts.run()
    assert [row.encode() for row in whole.rows] == [row.encode() for row in parts.rows]


@needs_native
def test_a_recipe_that_points_past_the_inputs_is_refused(registry, monkeypatch):
    chosen = differing(registry, NETWORKS[0], {})
    wrong = Recipe((1.0,) * 8, 8, 0.5, (16,) * 16, (1,) * 16)
    trainer = Trainer(registry, chosen, NativeTier())
    monkeypatch.setattr(type(trainer.tasks[0]), "recipe", lambda _: wrong)
    with pytest.raises(PluginError, match="each from 0 to 15"):
        trainer.run()


@needs_native
def test_a_draw_across_an_upper_word_is_left_to_the_stream(registry):
    chosen = differing(registry, NETWORKS[0], {})[:2]
    trainer, trainings = Trainer(registry, chosen, NativeTier()), [c.training for c in chosen]
    flat = torch.stack([row.parameters for row in trainer.rows])
    buffers = {name: torch.zeros_like(flat) for name in ("first", "second")}
    for position, taken in ((0, True), (2**32 - 3, False)):
        streams = [Stream(seed, "train") for seed in range(2)]
        streams[1].position = position
        whole = NativeTier().fused(trainer.stacked, trainings, streams, flat, buffers)
        assert (whole is not None) is taken


@needs_native
def test_a_neighbour_without_a_recipe_changes_no_bit(registry):
    chosen = differing(registry, NETWORKS[2], {"grid": {"amplitude": ["uniform", "signed"]}})
    mixed = Trainer(registry, chosen, NativeTier())
    assert mixed.stacked.recipes is None
    mixed.run()
    plain = [at for at, cell in enumerate(chosen) if cell.task.parameters["amplitude"] != "signed"]
    alone = Trainer(registry, [chosen[at] for at in plain], NativeTier())
    assert alone.stacked.recipes is not None
    alone.run()
    assert [r.encode() for r in alone.rows] == [mixed.rows[at].encode() for at in plain]


@needs_native
def test_whole_iterations_may_be_cut_anywhere(registry, monkeypatch):
    chosen = differing(registry, NETWORKS[4], {"grid": {"density": [1.0, 0.3]}})
    whole = Trainer(registry, chosen, NativeTier())
    whole.run()
    monkeypatch.setattr("emtkit.train.native.fused._MOST", 1)
    cut, made = Trainer(registry, chosen, NativeTier()), []
    while any(row.end is None for row in cut.rows):
        cut.run(lambda: True)
        made.append(cut.iterations)
        states = [RowState.decode(row.encode()) for row in cut.rows]
        for at, state in enumerate(states):
            cut.load(at, state)
    assert made == list(range(1, 10))
    assert [row.encode() for row in cut.rows] == [row.encode() for row in whole.rows]


@needs_native
def test_a_row_that_diverges_inside_whole_iterations_ends_alone(registry):
    calm, wild = differing(
        registry, NETWORKS[1], {}, zip={"lr": [1e-3, 1e30], "clip": [1.0, None]}
    )[::2]
    rows = {}
    for tier in (NativeTier(), Apart()):
        trainer = Trainer(registry, [calm, wild], tier)
        trainer.run()
        assert [row.end for row in trainer.rows] == ["done", "diverged"]
        rows[type(tier)] = trainer.rows
    assert rows[NativeTier][0].encode() == rows[Apart][0].encode()
    assert rows[NativeTier][1].iteration == rows[Apart][1].iteration < 9


@pytest.mark.parametrize(
    ("network", "training", "reason"),
    [
        ({"use": "gru", "hidden": 4}, {}, "not a simple recurrence"),
        ({"use": "linear_rnn", "tied": True}, {}, "not a simple recurrence"),
        ({"use": "elman", "hidden": 4}, {"dtype": "float64"}, "float32"),
    ],
)
def test_it_says_why_it_cannot(registry, network, training, reason):
    one = cells(registry, network, "last", **training)[0]
    trainer = Trainer(registry, [one], VmapTier())
    assert reason in (NativeTier.refusal(trainer.models[0], trainer.tasks[0], one.training) or "")


GATED = {"kind": "loss_gated", "start": 2, "factor": 1.5, "threshold": 0.7}


def gated(registry, dtype="float32"):
    study = {
        "seeds": 4,
        "training": {"steps": 12, "batch": 20, "lr": 2e-2, "curriculum": GATED, "dtype": dtype},
        "tasks": [{"use": "hds", "rule": "repeat", "history": 3, "dimension": 2, "horizon": 9}],
        "architectures": [{"use": "elman", "hidden": 7}],
    }
    return [row.cell for row in plan_study(study, registry).rows]


@needs_native
def test_a_loss_gated_curriculum_follows_the_same_path(registry):
    chosen = gated(registry)
    assert {stack.tier for stack in group(chosen, registry)} == {"native"}
    native = trained(registry, chosen, NativeTier())
    plain = [trained(registry, each, VmapTier()) for each in (chosen, gated(registry, "float64"))]
    assert_same_path(native, *plain)
    assert len({row.progress.horizon for row in native}) > 1


@needs_native
def test_a_row_that_runs_on_past_its_horizon_keeps_its_bits(registry):
    chosen = gated(registry)
    together = Trainer(registry, chosen, NativeTier())
    together.run()
    for at, cell in enumerate(chosen):
        alone = Trainer(registry, [cell], NativeTier())
        alone.run()
        assert alone.rows[0].encode() == together.rows[at].encode()


@needs_native
def test_it_takes_as_many_units_as_it_is_fast_for(registry):
    most = LARGEST_HIDDEN if "avx512f" in features() else LARGEST_HIDDEN_HALF
    for hidden, taken in ((most, True), (most + 1, False)):
        one = cells(registry, {"use": "elman", "hidden": hidden}, "last")[0]
        trainer = Trainer(registry, [one], VmapTier())
        reason = NativeTier.refusal(trainer.models[0], trainer.tasks[0], one.training)
        assert (reason is None) is taken, reason


@needs_native
def test_gradients_of_the_largest_network_are_single_precision(registry):
    chosen = cells(registry, {"use": "elman", "hidden": LARGEST_HIDDEN}, "all")[:2]
    stacks = Trainer(registry, chosen, VmapTier())
    flat = torch.stack([row.parameters for row in stacks.rows])
    streams = [Stream(seed, "train") for seed in range(2)]
    batch = stacks.stacked.draw(33, streams, None)
    fast = NativeTier().gradients(stacks.stacked, flat, batch, batch.mask)
    single, double = (
        autograd(stacks.stacked, flat, batch, batch.mask, d) for d in (torch.float32, torch.float64)
    )
    assert_rounded_rows(fast.gradients, single.gradients, double.gradients, 2 * batch.steps)
