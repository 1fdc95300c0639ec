"""State noise: what is added, by whom, and that no bit of it depends on how rows are packed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from emtkit import EmtkitError, RecurrentModel, Registry, Stream
from emtkit.plugin import params
from emtkit.study.cells import Cell, PluginConfig, cell_key, evaluation_spec
from emtkit.study.settings import Evaluation, Training
from emtkit.train.build import build_model, build_task
from emtkit.train.evaluate import judge
from emtkit.train.grouping import inspect_shape, tier_named
from emtkit.train.row_state import RowState
from emtkit.train.stack import flatten, stack
from emtkit.train.trainer import Trainer
from tests.conftest import Terminal
from tests.train.fakes import assert_same_path
from tests.train.test_bits import Study, search

NOISY = ("elman", "linear_rnn", "relu_rnn", "irnn", "gru", "lstm", "emt_circuit")
TASK = {"rule": "repeat", "history": 3, "dimension": 2, "horizon": 12}
GATED = {"kind": "loss_gated", "start": 2, "factor": 1.5, "threshold": 1.0}


@cache
def installed() -> Registry:
    return Registry.installed()


def config(kind: str, name: str, given: dict[str, object]) -> PluginConfig:
    plugin = installed().get(kind, name)
    assert plugin is not None
    found = params.resolve(plugin.cls, given)
    assert not found.mistakes
    return PluginConfig(name, plugin.cls.version, found.values, found.silent)


def cell(network: str, seed: int = 0, noise: float = 0.3, **training: object) -> Cell:
    given = {"hidden": 6, "noise": noise}
    task, architecture = config("task", "hds", TASK), config("architecture", network, given)
    settings = Training.model_validate({"steps": 5, "batch": 7, "lr": 1e-2, **training})
    trains = network != "emt_circuit"
    key = cell_key(task, architecture, settings, seed, trains)
    return Cell(key, task, architecture, settings, seed, trains)


def network(of: Cell) -> RecurrentModel:
    registry = installed()
    model = build_model(registry, of, build_task(registry, of.task))
    assert isinstance(model, RecurrentModel)
    return model


def by_hand(model: RecurrentModel, inputs: Tensor, steps: int, xi: Tensor) -> Tensor:
    """States (B T H) of h_t = step(h_{t-1}, u_t) + noise xi_t from rest."""
    state, states = model.initial(len(inputs)), []
    for t in range(steps):
        heard = inputs[:, t] if t < inputs.shape[1] else torch.zeros_like(inputs[:, 0])
        state = model.step(state, heard) + model.noise * xi[t]
        states.append(state)
    return torch.stack(states, 1)


@pytest.mark.parametrize("name", NOISY)
def test_noise_is_added_to_the_state_after_every_step(name: str) -> None:
    model, stream = network(cell(name)), Stream(0, "test")
    inputs, xi = stream.signs((4, 3, 2)), stream.normal((9, 4, model.hidden))
    found = model(inputs, 9, xi)
    if not model.encodes():
        assert torch.equal(found.states, by_hand(model, inputs, 9, xi))
    else:  # a state that is set has none; after it every step has its own
        assert torch.equal(found.states[:, 2], model.encode(inputs))
        state = found.states[:, 2]
        for t in range(3, 9):
            state = model.step(state, torch.zeros(4, 2)) + 0.3 * xi[t]
            assert torch.equal(found.states[:, t], state)
    assert torch.equal(found.outputs, model.read(found.states))
    assert torch.equal(model(inputs, 5, xi).states, found.states[:, :5])


@pytest.mark.parametrize("name", NOISY)
def test_the_map_is_silent_for_who_asks_for_a_trace(name: str) -> None:
    noisy, silent = network(cell(name)), network(cell(name, noise=0.0))
    inputs = Stream(0, "test").signs((4, 3, 2))
    assert torch.equal(noisy.trace(inputs, 9).outputs, silent.trace(inputs, 9).outputs)
    assert torch.equal(noisy(inputs, 9).outputs, silent.trace(inputs, 9).outputs)


@pytest.mark.parametrize("name", NOISY)
def test_no_noise_leaves_every_key(name: str) -> None:
    given = config("architecture", name, {"hidden": 6})
    assert "noise" in given.silent
    assert "noise" not in given.identity()[2]
    assert cell(name, noise=0.0).key != cell(name).key


def test_an_iteration_draws_from_the_seed_and_the_iteration_alone() -> None:
    """The loss of the second iteration, computed by hand from two streams."""
    one = cell("gru", seed=3, steps=1)
    trainer = Trainer(installed(), [one], tier_named("vmap"))
    trainer.run()
    model, task = network(one), trainer.tasks[0]
    weights, at = trainer.rows[0].parameters, 0
    for value in model.parameters():
        value.data = weights[at : at + value.numel()].view(value.shape)
        at += value.numel()
    batch = task.sample(7, Stream(3, "train", 1))
    xi = Stream(3, "train/noise", 1).normal((batch.steps, 7, model.hidden))
    states = by_hand(model, batch.inputs[:, : batch.input_steps], batch.steps, xi)
    errors = task.loss(model.read(states), batch) * batch.mask
    two = Trainer(installed(), [cell("gru", seed=3, steps=2)], tier_named("vmap"))
    two.run()
    assert two.rows[0].losses[0] == trainer.rows[0].losses[0]
    expected = float(errors.detach().mean(0).sum() / batch.mask.sum())
    assert two.rows[0].losses[1] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["elman", "gru"])
@pytest.mark.parametrize("curriculum", ["none", GATED], ids=["none", "gated"])
def test_bits_hold_alone_in_stacks_and_in_segments(name: str, curriculum: object) -> None:
    """Four seeds, and one of them at another rate, trained and evaluated in every way."""
    cells = [cell(name, seed, curriculum=curriculum) for seed in range(4)]
    search(Study((*cells, cell(name, 0, lr=3e-2, curriculum=curriculum)), 1), tell=print)


@pytest.mark.parametrize("name", ["elman", "linear_rnn", "gru"])
def test_every_tier_that_adds_noise_gives_the_same_numbers(name: str) -> None:
    def trained(tier: str, dtype: str) -> list[RowState]:
        cells = [cell(name, seed, dtype=dtype) for seed in range(3)]
        trainer = Trainer(installed(), cells, tier_named(tier))
        trainer.run()
        return trainer.rows

    single, double = trained("loop", "float32"), trained("loop", "float64")
    assert_same_path(trained("vmap", "float32"), single, double)
    assert_same_path(trained("vmap", "float64"), single, double)


def test_a_tier_without_noise_declines_and_says_why() -> None:
    registry = installed()
    noisy, silent = cell("elman"), cell("elman", noise=0.0)
    assert inspect_shape(noisy, registry).tier == "vmap"
    assert "the state of elman has noise" in inspect_shape(noisy, registry).why
    assert inspect_shape(silent, registry).tier in ("native", "dense")
    trainer = Trainer(registry, [noisy], tier_named("dense"))
    with pytest.raises(EmtkitError, match="has noise, which the tier dense leaves out"):
        trainer.run()


def test_evaluation_sees_noise_of_its_own_the_same_for_every_network() -> None:
    """Scalars of a constructed circuit by hand; a seed enters neither inputs nor noise."""
    cells = [cell("emt_circuit", seed, noise=0.5) for seed in range(2)]
    registry = installed()
    models = [network(one) for one in cells]
    task = build_task(registry, cells[0].task)
    spec = evaluation_spec("", Evaluation(sequences=50), 12, 12)
    flat = torch.stack([flatten(model) for model in models])
    given = stack(models, [task] * 2, ["", ""]), flat
    loop, vmap = (judge(*given, tier_named(tier), [spec, spec]) for tier in ("loop", "vmap"))
    batch = task.sample(50, Stream(None, "test"), 12)
    xi = Stream(None, "test/noise").normal((batch.steps, 50, 6))
    for at, model in enumerate(models):
        outputs = model(batch.inputs[:, :3], batch.steps, xi).outputs
        scored = outputs[:, 3:]
        right = ((scored >= 0) == (batch.targets[:, 3:] >= 0)).double().mean()
        assert loop[at]["accuracy"] == pytest.approx(float(right), abs=1e-6)
        assert vmap[at]["accuracy"] == pytest.approx(float(right), abs=1e-6)
        assert 0.5 < float(right) < 1.0


def test_a_longer_run_has_the_noise_of_a_shorter_one() -> None:
    one = cell("elman")
    model, task = network(one), build_task(installed(), one.task)
    stacked = stack([model] * 2, [task] * 2, ["", ""])
    short, long = (stacked.draw(7, [Stream(0, "train", 4)] * 2, n) for n in (5, 12))
    assert short.noise is not None
    assert long.noise is not None
    assert torch.equal(short.noise, long.noise[:, : short.steps])
    assert replace(short, noise=None).inputs.equal(long.inputs[:, :, : short.steps])


STUDY = """\
question: Do networks with noise come out alike when they are trained again?
seeds: 2
training: {steps: 4, batch: 8}
evaluation: {sequences: 16}
tasks: [{use: hds, rule: repeat, history: 2, dimension: 2, horizon: 6}]
architectures:
  - {use: elman, hidden: 4, grid: {noise: [0.0, 0.2]}}
  - {use: emt_circuit, hidden: 4, noise: 0.2}
"""


@pytest.mark.slow
def test_a_study_with_noise_is_planned_run_and_audited(tmp_path: Path) -> None:
    (tmp_path / "noise.yaml").write_text(STUDY)
    terminal = Terminal(tmp_path)
    planned = terminal.emtkit("plan", "noise.yaml").out
    assert "tier vmap" in planned
    assert "the state of elman has noise" in planned
    ran = terminal.emtkit("run", "noise.yaml", "-j", "1", "--audit", "100%")
    assert "audit: 6 cells and 6 findings were computed again; every byte is equal" in ran.out
