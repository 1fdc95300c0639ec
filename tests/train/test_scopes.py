"""Every field of training is what it declares to be: a row's own, a stack's, or outside of keys."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from typing import Annotated

import pytest

from emtkit import Registry
from emtkit.methods.settings import Scope, ScopedSettings, Since
from emtkit.study.cells import Cell, PluginConfig, cell_key
from emtkit.study.plan import plan_study
from emtkit.study.settings import Training
from emtkit.train.grouping import available, group, pair_of, tier_named
from emtkit.train.tiers.native import NativeTier
from emtkit.train.trainer import Trainer
from tests.train.fakes import REGISTRY, cell
from tests.train.variations import Variation, variations

PLAIN = {"steps": 6, "batch": 5, "lr": 1e-2}
BUSY = {
    **PLAIN,
    "steps": 7,
    "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": True},
    "weight_decay": 0.1,
    "clip": 0.3,
    "schedule": {"kind": "cosine", "from": 0.2, "end": 0.1, "warmup": 0.4},
    "solved": {"metric": "loss", "below": 0.9},
    "stop": {"metric": "loss", "below": 0.5},
    "check": 2,
    "snapshots": [0, 4],
}
WATCHING = {**PLAIN, "curriculum": {"kind": "loss_gated", "start": 2, "threshold": 0.9}}
BASES = {"plain": PLAIN, "busy": BUSY, "watching": WATCHING}
NETWORKS = {
    "native": {"use": "elman", "hidden": 4},
    "dense": {"use": "gru", "hidden": 4},
    "vmap": "tanh_fake",
    "loop": "branching_fake",
}
LENGTH = {"rule": "repeat", "history": 2, "dimension": 2, "horizon": 4}


def first_cell(tier: str) -> tuple[Cell, Registry]:
    """A cell that trains in that tier."""
    network = NETWORKS[tier]
    if isinstance(network, str):
        return cell(3, network), REGISTRY
    registry = Registry.installed()
    study = {"seeds": {"first": 3, "count": 1}, "tasks": [{"use": "hds", **LENGTH}],
             "architectures": [network]}  # fmt: skip
    return plan_study(study, registry).rows[0].cell, registry


def with_training(one: Cell, training: Training) -> Cell:
    key = cell_key(one.task, one.architecture, training, one.seed, True)
    return replace(one, key=key, training=training)


def of(base: dict[str, object]) -> tuple[Training, list[Variation]]:
    training = Training.model_validate_json(json.dumps(base))
    return training, list(variations(training))


def scope(variation: Variation) -> Scope:
    (found,) = (s for s in Scope if variation.path[0] in Training.fields_of(s))
    return found


def trained(cells, registry, tier):
    trainer = Trainer(registry, cells, tier)
    trainer.run()
    return [row.encode() for row in trainer.rows]


@pytest.mark.parametrize(
    "base", ["plain", "busy", pytest.param("watching", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("tier", NETWORKS)
def test_a_network_trains_alike_in_its_stack_and_alone(tier, base):
    """The stacks are those that are made of all variations at once."""
    if tier not in available():
        pytest.skip(f"the tier {tier} is not here")
    one, registry = first_cell(tier)
    training, varied = of(BASES[base])
    cells = {str(v): with_training(one, v.training) for v in varied}
    cells = {"base": with_training(one, training), **cells}
    names = {id(cell): name for name, cell in cells.items()}
    together = 0
    for stack in group(cells.values(), registry):
        if stack.tier not in available() or len(stack.cells) == 1:
            continue
        together += len(stack.cells)
        found = trained(stack.cells, registry, tier_named(stack.tier))
        for member, row in zip(stack.cells, found, strict=True):
            (alone,) = trained([member], registry, tier_named(stack.tier))
            assert row == alone, f"{names[id(member)]} became another network in its stack"
        if stack.tier == "native":
            assert found == trained(stack.cells, registry, Apart()), "whole iterations differ"
    rows = [v for v in varied if scope(v) is Scope.ROW]
    assert together > len(rows)


class Apart(NativeTier):
    """The native tier with drawing, gradients and updates one after the other."""

    def fused(self, stacked, trainings, streams, flat, buffers):
        return None


@pytest.mark.parametrize("base", BASES)
def test_what_is_outside_of_keys_decides_no_weight(base):
    one, registry = first_cell("vmap")
    training, varied = of(BASES[base])
    outside = [v for v in varied if scope(v) is Scope.OUTSIDE and v.training.device != "cuda"]
    assert outside
    plain = with_training(one, training)
    for variation in outside:
        other = with_training(one, variation.training)
        assert other.key == plain.key
        stacks = group([plain, other], registry)
        for stack in stacks:
            trainer = Trainer(registry, [plain, other], tier_named(stack.tier))
            trainer.run()
            first, second = trainer.rows
            assert first.parameters.equal(second.parameters), str(variation)
            assert (first.losses == second.losses).all(), str(variation)


@pytest.mark.parametrize("base", BASES)
def test_every_other_field_makes_another_network(base):
    one, _ = first_cell("vmap")
    training, varied = of(BASES[base])
    inside = [v.training for v in varied if scope(v) is not Scope.OUTSIDE]
    keys = [with_training(one, t).key for t in (training, *inside)]
    assert len(set(keys)) == len(keys)


def test_a_field_that_a_stack_shares_makes_another_pair_and_another_stack():
    one, registry = first_cell("vmap")
    training, varied = of(PLAIN)
    plain = with_training(one, training)
    for variation in varied:
        other = with_training(one, variation.training)
        is_own = scope(variation) is Scope.ROW
        assert (pair_of(other) == pair_of(plain)) == is_own
        if scope(variation) is not Scope.OUTSIDE:
            assert len(group([plain, other], registry)) == (1 if is_own else 2), str(variation)


def test_every_field_and_option_is_varied():
    _, varied = of(PLAIN)
    paths = {variation.path for variation in varied}
    assert {path[0] for path in paths} == set(Training.model_fields)
    for path in (
        ("optimizer", "adam", "betas"),
        ("optimizer", "sgd", "nesterov"),
        ("optimizer", "muon", "others"),
        ("schedule", "cosine", "from"),
        ("schedule", "step", "warmup"),
        ("curriculum", "loss_gated", "max"),
        ("curriculum", "staged", "stages"),
        ("stop", "horizon"),
    ):
        assert path in paths
    assert all(one.training != other.training for one, other in combinations(varied, 2))


class Odd:
    """A kind of value that nobody knows another of."""


def test_a_field_that_cannot_be_varied_fails_loudly():
    class Odder(Training, arbitrary_types_allowed=True):
        odd: Annotated[Odd | None, Scope.ROW] = None

    from tests.train import variations as here

    field = Odder.model_fields["odd"]
    with pytest.raises(AssertionError, match="odd: no other value is known of"):
        list(here.values(field.annotation, field.metadata, None, ("odd",)))


def test_an_undeclared_field_cannot_exist():
    with pytest.raises(TypeError, match=r"declares 0 scopes; it needs one of Scope\.ROW"):

        class Undeclared(ScopedSettings):
            noise: float = 0.0

    with pytest.raises(TypeError, match="declares 2 scopes"):

        class Twice(ScopedSettings):
            noise: Annotated[float, Scope.ROW, Scope.STACK] = 0.0


def test_a_later_field_enters_keys_only_where_it_is_used():
    class Later(Training):
        noise: Annotated[float, Scope.ROW, Since.LATER] = 0.0

    task = PluginConfig("any", 1, {})
    plain, quiet, noisy = (
        cell_key(task, task, training, 0, True)
        for training in (Training(), Later(), Later(noise=0.1))
    )
    assert plain == quiet != noisy


def test_a_later_parameter_of_a_plugin_enters_keys_only_where_it_is_used():
    plain, off, on = (
        plan_study(
            {
                "tasks": ["hds"],
                "architectures": [{"use": "elman", **given}],
                "training": {"steps": 1},
            }
        ).rows[0]
        for given in ({}, {"readout_bias": False}, {"readout_bias": True})
    )
    assert plain.cell.key == off.cell.key != on.cell.key
    before = ["elman", 1, {"activation": "tanh", "bias": False, "hidden": 128, "init": "uniform"}]
    assert plain.cell.architecture.identity() == before
    assert plain.cell.architecture.parameters["readout_bias"] is False


def test_keys_are_those_of_stored_networks(monkeypatch):
    """Made before optimisers had options and schedules a warm-up, at training version 3."""
    monkeypatch.setattr("emtkit.study.cells.TRAINING_VERSION", 3)
    task, network = PluginConfig("k_delay", 1, {"delay": 2}), PluginConfig("elman", 1, {})
    found = {
        name: cell_key(task, network, Training.model_validate(setting), 5, True)
        for name, setting in STORED_SETTINGS.items()
    }
    assert found == STORED


STORED_SETTINGS = {
    "defaults": {},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1, "clip": None},
    "sgd": {"optimizer": {"kind": "sgd"}, "schedule": {"kind": "cosine", "from": 0.5}},
    "step": {"schedule": {"kind": "step", "at": 0.5, "factor": 0.1}, "dtype": "float64"},
    "gated": {"curriculum": {"kind": "loss_gated"}, "stop": {"below": 0.1}, "tf32": True},
    "staged": {"curriculum": {"kind": "staged", "stages": (2, 3)}, "snapshots": (1, 2)},
}
STORED = {
    "defaults": "8dbafa5a8668b9393e8607a237df88fe",
    "adamw": "6d4f6de68b6a00e811ed48a836ae2de6",
    "sgd": "497796b3ab7eb650718a5231098a5149",
    "step": "4d88548dc401d19db97de88c042858ec",
    "gated": "45dd4cd85786ddb12b6a23cc6ee9c925",
    "staged": "ee253c2f9287e723ea975ae14acbfc7a",
}
