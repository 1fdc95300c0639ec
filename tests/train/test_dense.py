"""The hand-written passes give what autograd gives, and a row the same bits in any company."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor, nn

from emtkit import Batch, Channels, RecurrentModel, SimpleRecurrence, Stream, Task
from emtkit.plugin.registry import Registry
from emtkit.study.plan import plan_study
from emtkit.train.grouping import group
from emtkit.train.stack import first_scored, stack
from emtkit.train.tiers.dense import DenseTier
from emtkit.train.tiers.vmap import VmapTier
from emtkit.train.trainer import Trainer
from tests.std.kernels import assert_autograd
from tests.train.fakes import assert_same_path


@dataclass(frozen=True)
class Case:
    """Shapes and form of one stack."""

    models: int
    batch: int
    steps: int
    input_steps: int
    hidden: int
    inputs: int
    outputs: int
    form: SimpleRecurrence
    bias: bool
    readout_bias: bool
    squared: bool


class Weighted(Task):
    """Squares with one weight per output, said to the tiers or not."""

    name = "weighted_fake"

    def __init__(self, case: Case, *, scale: float = 1.0) -> None:
        self.case = case
        self.weights = tuple(scale * (1.0 + 0.5 * o) for o in range(case.outputs))

    @property
    def channels(self) -> Channels:
        return Channels(self.case.inputs, self.case.outputs)

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        raise NotImplementedError

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        weights = outputs.new_tensor(self.weights)
        return ((outputs - batch.targets).square() * weights).sum(-1)

    def squares(self) -> tuple[float, ...] | None:
        return self.weights if self.case.squared else None


class Simple(RecurrentModel):
    """The recurrence as `SimpleRecurrence` says it, step by step."""

    name = "simple_fake"

    def __init__(self, task: Weighted) -> None:
        super().__init__()
        case = task.case
        self.case, self.hidden = case, case.hidden
        self.W_r = nn.Parameter(torch.zeros(case.outputs, case.hidden))
        self.b = nn.Parameter(torch.zeros(case.hidden)) if case.bias else None
        self.W_hh = nn.Parameter(torch.zeros(case.hidden, case.hidden))
        self.b_r = nn.Parameter(torch.zeros(case.outputs)) if case.readout_bias else None
        self.W_uh = nn.Parameter(torch.zeros(case.hidden, case.inputs))

    def _sigma(self, state: Tensor) -> Tensor:
        kinds = {"linear": lambda x: x, "relu": torch.relu, "tanh": torch.tanh}
        return kinds[self.case.form.activation](state)

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        drive = self._sigma(state) @ self.W_hh.T + inputs @ self.W_uh.T
        return drive if self.b is None else drive + self.b

    def read(self, state: Tensor) -> Tensor:
        seen = self._sigma(state) if self.case.form.reads == "activation" else state
        drive = seen @ self.W_r.T
        drive = drive if self.b_r is None else drive + self.b_r
        return torch.relu(drive) if self.case.form.readout == "relu" else drive

    def simple_form(self) -> SimpleRecurrence:
        return self.case.form


@some.composite
def cases(
    draw,
):
    steps = draw(some.integers(1, 9))
    form = SimpleRecurrence(
        draw(some.sampled_from(["linear", "relu", "tanh"])),
        draw(some.sampled_from(["linear", "relu"])),
        draw(some.sampled_from(["activation", "preactivation"])),
    )
    return Case(
        models=draw(some.integers(2, 6)),
        batch=draw(some.integers(1, 33)),
        steps=steps,
        input_steps=draw(some.integers(1, steps)),
        hidden=draw(some.integers(1, 40)),
        inputs=draw(some.integers(1, 9)),
        outputs=draw(some.integers(1, 5)),
        form=form,
        bias=draw(some.booleans()),
        readout_bias=draw(some.booleans()),
        squared=draw(some.booleans()),
    )


def posed(case, dtype, seed):
    """A stack of that shape with random weights, data and masks, two kinds of task in it."""
    torch.manual_seed(seed)
    tasks = [Weighted(case, scale=1.0 + row % 2) for row in range(case.models)]
    stacked = stack([Simple(task) for task in tasks], tasks, [str(t.weights) for t in tasks])
    width = sum(slot.stop - slot.start for slot in stacked.slots)
    flat = torch.randn(case.models, width, dtype=torch.float64) / case.hidden**0.5
    shape = (case.models, case.batch, case.steps)
    inputs = torch.randn(*shape, case.inputs, dtype=torch.float64)
    inputs[:, :, case.input_steps :] = 0
    targets = torch.randn(*shape, case.outputs, dtype=torch.float64)
    masks = (torch.rand(case.models, case.steps) < 0.6).double()
    masks[torch.arange(case.models), torch.randint(case.steps, (case.models,))] = 1.0
    batch = Batch(inputs.to(dtype), targets.to(dtype), masks.to(dtype), case.input_steps)
    return stacked, flat.to(dtype), batch


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    case=cases(),
    seed=some.integers(0, 2**31),
    dtype=some.sampled_from([torch.float64, torch.float32]),
)
def test_it_gives_what_autograd_gives(case, seed, dtype):
    stacked, flat, batch = posed(case, dtype, seed)
    assert_autograd(DenseTier().gradients(stacked, flat, batch, batch.mask), stacked, flat, batch)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    case=cases(),
    seed=some.integers(0, 2**31),
    data=some.data(),
    dtype=some.sampled_from([torch.float32, torch.float64]),
)
def test_a_row_has_the_same_bits_in_any_company_and_past_its_own_horizon(case, seed, data, dtype):
    stacked, flat, batch = posed(case, dtype, seed)
    for task in stacked.tasks:
        task.horizons = True  # so that nobody takes the path of those that are scored once
    masks = torch.ones_like(batch.mask)
    for row in range(case.models):
        masks[row, : data.draw(some.integers(0, case.steps - 1))] = 0
    horizons = data.draw(
        some.lists(some.integers(1, 9), min_size=case.models, max_size=case.models)
    )
    masks = torch.stack([first_scored(m, h) for m, h in zip(masks, horizons, strict=True)])
    tier = DenseTier()
    together = tier.gradients(stacked, flat, batch, masks)
    for row in range(case.models):
        other = data.draw(some.integers(0, case.models - 1))
        rows = [row, other]
        end = max(int(masks[r].nonzero()[-1]) for r in rows) + 1
        part = Batch(
            batch.inputs[rows][:, :, :end],
            batch.targets[rows][:, :, :end],
            batch.mask[rows][:, :end],
            min(batch.input_steps, end),
        )
        found = tier.gradients(stacked.take(rows), flat[rows], part, masks[rows][:, :end])
        assert torch.equal(found.gradients[0], together.gradients[row])
        assert torch.equal(found.losses[0], together.losses[row])


def study(networks, **training):
    registry = Registry.installed()
    rows = plan_study(
        {
            "seeds": 2,
            "training": {"steps": 6, "batch": 9, "lr": 1e-2, **training},
            "tasks": [{"use": "hds", "rule": "repeat", "history": 3,
                       "dimension": 2, "horizon": 7}],
            "architectures": networks,
        },
        registry,
    ).rows  # fmt: skip
    return [row.cell for row in rows], registry


@pytest.mark.parametrize(
    "curriculum",
    [
        "none",
        {"kind": "loss_gated", "start": 2, "factor": 1.5, "threshold": 0.8},
        {"kind": "staged", "stages": (2, 7), "metric": "accuracy", "above": 0.5},
    ],
)
def test_training_follows_the_same_path_as_vmap(curriculum):
    rows = []
    for tier, dtype in ((DenseTier, "float64"), (VmapTier, "float32"), (VmapTier, "float64")):
        cells, registry = study([{"use": "elman", "hidden": 20, "bias": True}], dtype=dtype,
                                curriculum=curriculum)  # fmt: skip
        trainer = Trainer(registry, cells, tier())
        trainer.run()
        rows.append(trainer.rows)
    assert {found.tier for found in group(cells, registry)} == {"dense"}
    assert_same_path(*rows)


def test_what_has_neither_form_nor_kernel_is_left_to_vmap():
    cells, registry = study([{"use": "twm_linear"}])
    assert {found.tier for found in group(cells, registry)} == {"vmap"}
    trainer = Trainer(registry, cells, VmapTier())
    reason = DenseTier.refusal(trainer.models[0], trainer.tasks[0], cells[0].training)
    assert "not a simple recurrence" in (reason or "")


@settings(max_examples=25, deadline=None, derandomize=True)
@given(case=cases(), last=some.integers(0, 8), seed=some.integers(0, 2**31))
def test_a_linear_network_scored_once_needs_only_its_impulse_response(case, last, seed):
    form = SimpleRecurrence("linear", case.form.readout)
    case = replace(case, form=form, bias=False, squared=True, batch=case.batch + 2 * case.inputs)
    stacked, flat, batch = posed(case, torch.float64, seed)
    masks = torch.zeros_like(batch.mask)
    masks[:, min(last, case.steps - 1)] = 1.0
    fast = DenseTier().gradients(stacked, flat, batch, masks)
    assert_autograd(fast, stacked, flat, batch, masks)
    rows = [case.models - 1, 0]
    part = Batch(batch.inputs[rows], batch.targets[rows], batch.mask[rows], batch.input_steps)
    found = DenseTier().gradients(stacked.take(rows), flat[rows], part, masks[rows])
    assert torch.equal(found.gradients, fast.gradients[rows])
