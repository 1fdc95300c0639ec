"""A subclass that writes a method anew is not what its parent says of that method."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from emtkit import RecurrentModel, Registry, SequenceModel, Stream, Task
from emtkit.execute.monitor import Quiet
from emtkit.execute.run import Options
from emtkit.places import CommandOptions
from emtkit.session import Session
from emtkit.study.plan import plan_study
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.gru import GatedRecurrentUnit as Gru
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.tasks.k_delay import KDelay
from tests.inline_engine import InlineEngine

REGISTRY = Registry.installed()
SAID = ("offers", "facts")
PLUGIN = """
import torch
from emtkit import hookimpl
from emtkit_std.architectures.elman import Elman
from emtkit_std.tasks.k_delay import KDelay

class Half(Elman):
    name = "half"
    def step(self, state, inputs):
        return 0.5 * super().step(state, inputs)

class Mirrored(KDelay):
    name = "mirrored"
    def sample(self, batch, stream, horizon=None):
        found = super().sample(batch, stream, horizon)
        return type(found)(-found.inputs, found.targets, found.mask, found.input_steps)

class Cubic(KDelay):
    name = "cubic"
    def loss(self, outputs, batch):
        return (outputs - batch.targets).abs().pow(3).sum(-1)

@hookimpl
def emtkit_architectures():
    return [Half]

@hookimpl
def emtkit_tasks():
    return [Mirrored, Cubic]
"""


def same(cls: type, base: type, names: tuple[str, ...]) -> bool:
    return all(vars(cls).get(name) is vars(base)[name] for name in names)


@pytest.mark.parametrize("parent", [Elman, Gru, LinearRnn])
@pytest.mark.parametrize("method", ["step", "trace", "initial", "encode"])
def test_a_network_that_moves_otherwise_has_no_form_of_its_parent(
    parent: type[RecurrentModel], method: str
) -> None:
    child = type("Child", (parent,), {method: lambda self, *given: None})
    assert same(child, RecurrentModel, ("simple_form", "stacked_kernel"))
    assert same(child, SequenceModel, (*SAID, "recognise"))
    assert ("jacobian" in vars(child)) == (method == "step")


def test_a_readout_of_its_own_leaves_the_passes_through_time() -> None:
    child = type("Child", (Gru,), {"read": lambda self, state: state})
    assert same(child, RecurrentModel, ("simple_form",))
    assert same(child, SequenceModel, SAID)
    assert child.stacked_kernel is Gru.stacked_kernel
    assert child.jacobian is Gru.jacobian


def test_what_a_subclass_says_itself_holds() -> None:
    class Own(Elman):
        offers = Elman.offers
        simple_form = Elman.simple_form

        def step(self, state: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
            return super().step(state, inputs)

    assert Own.simple_form is Elman.simple_form
    assert Own.facts is Elman.facts
    assert type("Grandchild", (Own,), {}).simple_form is Elman.simple_form


def test_of_several_parents_the_first_in_order_counts() -> None:
    class Slower:
        def step(self, state: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
            return state

    assert same(type("Mixed", (Slower, Elman), {}), RecurrentModel, ("simple_form",))
    assert type("Same", (Elman, Slower), {}).simple_form is Elman.simple_form


def test_a_task_that_draws_or_judges_otherwise_has_no_recipe_of_its_parent() -> None:
    drawn = type("Drawn", (KDelay,), {"sample": lambda self, *given: None})
    assert same(drawn, Task, (*SAID, "targets", "recipe", "sample_rows"))
    assert drawn.squares is KDelay.squares
    judged = type("Judged", (KDelay,), {"loss": lambda self, *given: None})
    assert same(judged, Task, ("squares",))
    assert judged.recipe is KDelay.recipe


@pytest.mark.parametrize(
    ("task", "network"),
    [("k_delay", "half"), ("mirrored", "elman"), ("cubic", "elman"), ("cubic", "gru")],
)
def test_it_trains_as_it_is_written(tmp_path: Any, task: str, network: str) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "s.yaml").write_text(
        "plugins: [./mine.py]\n"
        f"tasks: [{{use: {task}, delay: 1, steps: 5}}]\n"
        f"architectures: [{{use: {network}, hidden: 4}}]\n"
        "seeds: 2\n"
        "training: {steps: 20, batch: 8, lr: 1e-2}\n"
    )
    plan = plan_study(tmp_path / "s.yaml")
    weights = []
    for tier in (None, "loop"):
        one = Session(plan, CommandOptions("s", tmp_path / f"{tier}.sqlite"))
        one.run(InlineEngine(plan.registry), Quiet(), Options(tier=tier))
        weights.append([one.model(row.cell.key).state_dict() for row in plan.rows])
    for ours, alone in zip(*weights, strict=True):
        for name, value in alone.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-5)


def test_the_recipe_would_have_drawn_other_batches() -> None:
    task = KDelay(delay=1, steps=5)
    batch = task.sample(3, Stream(1, "train"))
    recipe = task.recipe()
    assert recipe is not None
    assert torch.equal(recipe.batch(3, task.channels, Stream(1, "train")).inputs, batch.inputs)
