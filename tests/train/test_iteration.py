"""An iteration as a program: it looks at no number, and recorded it gives the same bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from emtkit import SimpleRecurrence, Stream
from emtkit.methods.optimisers.base import Optimiser
from emtkit.plugin.registry import Registry
from emtkit.study.cells import cell_key
from emtkit.study.plan import plan_study
from emtkit.study.settings import Training
from emtkit.train import grouping as stacks
from emtkit.train import training_loop as part
from emtkit.train.device import bytes_of_row
from emtkit.train.iteration import WINDOW, Iteration, TrainState
from emtkit.train.optimise import TensorOptimiser
from emtkit.train.passes import bptt as passes
from emtkit.train.passes import criterion as judge
from emtkit.train.passes.cuda_graph import Captured, Graphs, Programs
from emtkit.train.row_state import RowState
from emtkit.train.tiers.base import STACK_ROWS, Span
from emtkit.train.tiers.cuda import CudaTier, Tf32Tier
from emtkit.train.tiers.dense import DenseTier
from emtkit.train.trainer import Trainer
from tests.rounding import assert_rounded_rows
from tests.std.kernels import autograd
from tests.train.fakes import assert_same_path
from tests.train.test_dense import Case, cases, posed

GATED = {"kind": "loss_gated", "start": 2, "factor": 1.5, "threshold": 0.8}
ASKS_FOR_A_NUMBER = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "unique")
RELU = Case(
    models=3, batch=5, steps=6, input_steps=4, hidden=7, inputs=2, outputs=2,
    form=SimpleRecurrence("relu"), bias=True, readout_bias=False, squared=True,
)  # fmt: skip
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


class Tape(TorchDispatchMode):
    """What was computed, to be computed again at the same addresses, as a CUDA graph does."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in ASKS_FOR_A_NUMBER, f"{name} would wait for the device"
        found = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, found))
        return found

    def replay(self):
        for func, args, kwargs, found in self.calls:
            pairs = zip(tree_leaves(found), tree_leaves(func(*args, **kwargs)), strict=True)
            for place, values in pairs:
                if isinstance(place, torch.Tensor) and place.data_ptr() != values.data_ptr():
                    place.copy_(values)


class Taped(Graphs):
    """Graphs without a device."""

    def __init__(self):
        self.recorded = 0

    def warm_up(self, run):
        run()
        run()

    def record(self, run):
        self.recorded += 1
        with Tape() as tape:
            run()
        return tape.replay

    def send(self, values, place):
        place.copy_(values)


class TorchCalls:
    """What the passes ask of numpy as calls of torch, which a tape sees."""

    @staticmethod
    def tanh(values, out):
        torch.tanh(torch.from_numpy(values), out=torch.from_numpy(out))

    @staticmethod
    def copyto(place, values):
        torch.from_numpy(place).copy_(torch.from_numpy(values))


class TapedPrograms(Programs):
    """Every program recorded on a tape."""

    def __init__(self, *args, shows_outputs):
        super().__init__(*args, shows_outputs=shows_outputs)
        self.graphs = Taped()

    def of(self, batch, span):
        shape = (batch.steps, batch.input_steps, span)
        if shape not in self._held:
            self._held[shape] = Captured(self._tier, *self._whole, span, self.graphs)
        return self._held[shape]


@pytest.fixture
def torch_calls(monkeypatch):
    monkeypatch.setattr(passes, "np", TorchCalls)
    monkeypatch.setattr(judge, "np", TorchCalls)


@pytest.fixture
def taped(monkeypatch, torch_calls):
    monkeypatch.setattr(part, "Programs", TapedPrograms)


def cells_of(network="elman", seeds=3, **training):
    registry = Registry.installed()
    rows = plan_study(
        {
            "seeds": seeds,
            "training": {"steps": 9, "batch": 9, "lr": 1e-2, "weight_decay": 0.01, **training},
            "tasks": [{"use": "hds", "rule": "repeat", "history": 3,
                       "dimension": 2, "horizon": 11}],
            "architectures": [{"use": network, "hidden": 20}],
        },
        registry,
    ).rows  # fmt: skip
    return [row.cell for row in rows], registry


def trained(cells, registry, tier):
    trainer = Trainer(registry, cells, tier)
    trainer.run()
    return [row.encode() for row in trainer.rows]


def standing(flat, training):
    """Rows at the beginning of their training."""
    names = training.optimizer.buffers
    rows = [
        RowState(row, {name: torch.zeros_like(row) for name in names}, np.zeros(1), None)
        for row in flat
    ]
    return TrainState.of(rows, flat.device)


def program_of(stacked, flat, batch, masks, cls=Iteration, tier=None, **training):
    """A program with rows of its own, loaded, and where they stand."""
    trainings = [Training.model_validate({"lr": 1e-2, **training})] * len(flat)
    train_state = standing(flat, trainings[0])
    optimiser = TensorOptimiser(trainings, flat, stacked.slots)
    more = (Taped(),) if cls is Captured else ()
    program = cls(tier or DenseTier(), stacked, optimiser, train_state, Span.of(masks), *more)
    program.load(batch, masks, optimiser.schedule([0] * len(flat)))
    return program, train_state


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    case=cases(),
    seed=some.integers(0, 2**31),
    optimizer=some.sampled_from(sorted(Optimiser.known())),
)
def test_an_iteration_asks_for_no_number(case, seed, optimizer):
    case = replace(case, squared=True)
    stacked, flat, batch = posed(case, torch.float32, seed)
    span = Span.of(batch.mask)
    away = torch.device("meta")  # whoever asks there for a number fails
    training = Training.model_validate({"optimizer": optimizer, "weight_decay": 0.1})
    trainings = [training] * len(flat)
    optimiser = TensorOptimiser(trainings, flat.to(away), stacked.slots)
    moved = stacked.to(away)
    train_state = tree_map(lambda value: value.to(away), vars(standing(flat, training)))
    program = Iteration(DenseTier(), moved, optimiser, TrainState(**train_state), span)
    program.load(batch, batch.mask, optimiser.schedule([3] * len(flat)))
    program.advance()
    assert program.found.gradients.device == away
    assert program.found.gradients.shape == flat.shape


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    case=cases(),
    seed=some.integers(0, 2**31),
    dtype=some.sampled_from([torch.float32, torch.float64]),
)
def test_a_program_finds_what_autograd_finds(case, seed, dtype):
    stacked, flat, batch = posed(case, dtype, seed)
    program, _ = program_of(stacked, flat, batch, batch.mask)
    program.measure()
    single, double = (
        autograd(stacked, flat, batch, batch.mask, d) for d in (torch.float32, torch.float64)
    )
    for name in ("gradients", "losses"):
        values = (getattr(each, name) for each in (program.found, single, double))
        assert_rounded_rows(*values, size=2 * batch.steps)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(case=cases(), seed=some.integers(0, 2**31), rows=some.data())
def test_a_row_has_the_same_bits_in_any_program(case, seed, rows):
    stacked, flat, batch = posed(case, torch.float32, seed)
    masks = torch.ones_like(batch.mask)
    together, whole = program_of(stacked, flat, batch, masks)
    chosen = rows.draw(some.lists(some.integers(0, case.models - 1), min_size=2, max_size=4))
    apart, few = program_of(
        stacked.take(chosen),
        flat[chosen],
        replace(batch, inputs=batch.inputs[chosen], targets=batch.targets[chosen],
                mask=batch.mask[chosen]),
        masks[chosen],
    )  # fmt: skip
    for program in (together, apart):
        program.advance()
        program.advance()
    assert torch.equal(whole.flat[chosen], few.flat)
    assert torch.equal(whole.buffers["second"][chosen], few.buffers["second"])


@pytest.mark.parametrize("cls", [Iteration, Captured])
@pytest.mark.parametrize("optimizer", sorted(Optimiser.known()))
def test_a_diverging_row_keeps_its_weights_and_leaves_the_others_alone(cls, optimizer, torch_calls):
    stacked, flat, batch = posed(RELU, torch.float32, 5)
    masks = torch.ones_like(batch.mask)
    setting = {"optimizer": optimizer, "weight_decay": 0.01}
    calm, untouched = program_of(stacked, flat, batch, masks, cls, **setting)
    wild_inputs = batch.inputs.clone()
    wild_inputs[1] = torch.inf
    wild, hurt = program_of(
        stacked, flat, replace(batch, inputs=wild_inputs), masks, cls, **setting
    )
    for program in (calm, wild):
        for _ in range(4):
            program.advance()
    losses, lived = hurt.read(4)
    assert not lived[1].any()
    assert lived[[0, 2]].all()
    assert np.isfinite(losses[[0, 2]]).all()
    assert hurt.flat.isfinite().all()
    assert torch.equal(hurt.flat[[0, 2]], untouched.flat[[0, 2]])
    assert not torch.equal(untouched.flat[1], flat[1])


@pytest.mark.parametrize(
    "network",
    ["elman", *(pytest.param(name, marks=pytest.mark.slow) for name in ("relu_rnn", "linear_rnn"))],
)
@pytest.mark.parametrize("curriculum", ["none", GATED])
@pytest.mark.parametrize("optimizer", sorted(Optimiser.known()))
def test_a_recorded_program_trains_to_the_same_bits(network, curriculum, optimizer, taped):
    how = {"curriculum": curriculum, "optimizer": optimizer, "snapshots": [4],
           "solved": {"metric": "loss", "below": 0.9}, "check": 3}  # fmt: skip
    cells, registry = cells_of(network, **how)
    recorded = trained(cells, registry, DenseTier())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part, "Programs", Programs)
        assert trained(cells, registry, DenseTier()) == recorded


def test_a_program_is_recorded_once_for_all_iterations(torch_calls):
    stacked, flat, batch = posed(RELU, torch.float32, 1)
    program, train_state = program_of(stacked, flat, batch, torch.ones_like(batch.mask), Captured)
    for _ in range(5):
        program.advance()
    assert program.graphs.recorded == 1
    assert train_state.noted.item() == 5


class Coarse(DenseTier):
    """Horizons rounded up, as on CUDA."""

    horizon_step = 8


def test_a_rounded_horizon_changes_no_bit():
    cells, registry = cells_of(curriculum=GATED, steps=15)
    assert trained(cells, registry, Coarse()) == trained(cells, registry, DenseTier())


def test_divergence_is_dated_and_found_at_the_end_of_a_window():
    cells, registry = cells_of("relu_rnn", lr=1e9, clip=None, steps=3 * WINDOW, seeds=2)
    cells[1] = replace(cells[1], training=cells[1].training.model_copy(update={"lr": 1e-6}))
    trainer = Trainer(registry, cells, DenseTier())
    trainer.run()
    wild, calm = trainer.rows
    assert wild.end == "diverged"
    assert 0 < wild.iteration < WINDOW
    assert not np.isfinite(wild.losses[wild.iteration - 1])
    assert not wild.losses[wild.iteration :].any()
    alone = Trainer(registry, cells[1:], DenseTier())
    alone.run()
    assert calm.encode() == alone.rows[0].encode()


def test_a_device_that_is_asked_for_and_not_there_is_named(monkeypatch):
    monkeypatch.setattr("emtkit.train.tiers.cuda.has_cuda", lambda: False)
    stacks.available.cache_clear()
    cells, registry = cells_of(device="cuda")
    (stack,) = stacks.group(cells, registry)
    assert stack.tier == "cuda"
    with pytest.raises(stacks.EmtkitError, match="no CUDA device"):
        stacks.tier_named(stack.tier)
    gated, _ = cells_of("gru", device="cuda")
    assert {found.tier for found in stacks.group(gated, registry)} == {"dense"}


def test_tf32_is_a_tier_of_its_own_and_part_of_the_key(monkeypatch):
    monkeypatch.setattr("emtkit.train.tiers.cuda.has_cuda", lambda: False)
    stacks.available.cache_clear()
    cells, registry = cells_of(device="cuda", tf32=True)
    (stack,) = stacks.group(cells, registry)
    assert stack.tier == "cuda_tf32"
    assert len(stacks.split(stack, 4)) == 1
    with pytest.raises(stacks.EmtkitError, match="no CUDA device"):
        stacks.tier_named(stack.tier)
    plain, _ = cells_of(device="cuda")
    assert {cell.key for cell in cells}.isdisjoint(cell.key for cell in plain)


@pytest.mark.parametrize("setting", [{"device": "auto"}, {"device": "cuda", "dtype": "float64"}])
def test_tf32_is_refused_where_nothing_computes_in_it(setting):
    with pytest.raises(stacks.EmtkitError, match=r"`tf32` with `device: (.|\n)*TF32 is"):
        cells_of(tf32=True, **setting)


def test_tf32_is_allowed_in_its_own_iterations_alone(monkeypatch):
    seen = []
    measured = DenseTier.gradients

    def gradients(*arguments):
        seen.append(torch.backends.cuda.matmul.allow_tf32)
        return measured(*arguments)

    monkeypatch.setattr(DenseTier, "gradients", gradients)
    stacked, flat, batch = posed(RELU, torch.float32, 5)
    Tf32Tier().gradients(stacked, flat, batch, batch.mask)
    CudaTier().gradients(stacked, flat, batch, batch.mask)
    assert seen == [True, False]
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(("device", "tier"), [("auto", "cuda"), ("cuda", "cuda"), ("cpu", "x")])
def test_cuda_is_taken_where_there_is_one_and_the_study_allows_it(device, tier, monkeypatch):
    monkeypatch.setattr("emtkit.train.tiers.cuda.has_cuda", lambda: True)
    monkeypatch.setattr("emtkit.train.tiers.cuda.rows_of_cuda", lambda *_: 480)
    cells, registry = cells_of(device=device, seeds=200)
    (found,) = stacks.group(cells, registry)
    assert (found.tier == "cuda") == (tier == "cuda")
    parts = stacks.split(found, 4)
    assert len(parts) == (1 if tier == "cuda" else 4)


def test_a_stack_is_cut_where_the_device_is_full(monkeypatch):
    monkeypatch.setattr("emtkit.train.tiers.cuda.has_cuda", lambda: True)
    monkeypatch.setattr("emtkit.train.tiers.cuda.rows_of_cuda", lambda *_: 30)
    cells, registry = cells_of(seeds=100)
    (found,) = stacks.group(cells, registry)
    assert [len(piece.cells) for piece in stacks.split(found, 8)] == [25, 25, 25, 25]
    (named,) = stacks.group(cells, registry, tier="dense")
    assert max(len(piece.cells) for piece in stacks.split(named, 1)) <= STACK_ROWS


def test_memory_is_counted_by_row():
    cells, registry = cells_of()
    trainer = Trainer(registry, cells, DenseTier())
    batch = trainer.tasks[0].sample(1, Stream(None, "shapes"), 11)
    small = bytes_of_row(trainer.models[0], batch, 8)
    assert small < bytes_of_row(trainer.models[0], batch, 64) < 8 * small


def test_the_device_is_no_part_of_a_key():
    cells, _ = cells_of()
    elsewhere, _ = cells_of(device="cuda")
    assert [cell.key for cell in cells] == [cell.key for cell in elsewhere]
    one = cells[0]
    assert one.key == cell_key(one.task, one.architecture, one.training, one.seed, True)


@pytest.mark.parametrize(
    ("name", "values"), [("device", ["cpu", "cuda"]), ("snapshots", [[1], [1, 2]])]
)
def test_what_is_outside_of_keys_is_no_axis(name, values):
    with pytest.raises(stacks.EmtkitError, match=f"`{name}` is not an axis"):
        cells_of(grid={name: values})


@needs_cuda
@settings(max_examples=15, deadline=None, derandomize=True)
@given(case=cases(), seed=some.integers(0, 2**31))
def test_cuda_finds_what_the_processor_finds(case, seed):
    stacked, flat, batch = posed(case, torch.float64, seed)
    tier = CudaTier()
    there = tier.gradients(
        stacked.to(tier.device),
        flat.to(tier.device),
        batch.to(tier.device),
        batch.mask.to(tier.device),
        Span.of(batch.mask),
    )
    single, double = (
        autograd(stacked, flat, batch, batch.mask, d) for d in (torch.float32, torch.float64)
    )
    found = there.gradients.cpu()
    assert_rounded_rows(found, single.gradients, double.gradients, 2 * batch.steps)


@needs_cuda
@pytest.mark.parametrize("network", ["elman", "relu_rnn", "linear_rnn"])
@pytest.mark.parametrize("curriculum", ["none", GATED])
def test_cuda_trains_as_the_processor_does(network, curriculum):
    rows = []
    for tier, dtype in ((CudaTier, "float64"), (DenseTier, "float32"), (DenseTier, "float64")):
        cells, registry = cells_of(network, curriculum=curriculum, dtype=dtype, steps=60)
        trainer = Trainer(registry, cells, tier())
        trainer.run()
        rows.append(trainer.rows)
    assert_same_path(*rows)


@needs_cuda
def test_batches_made_on_cuda_are_those_of_the_processor():
    cells, registry = cells_of()
    stacked = Trainer(registry, cells, DenseTier()).stacked
    there, here = (
        stacked.draw(9, [Stream(cell.seed, "train", 4, device=device) for cell in cells], 7)
        for device in (CudaTier.device, DenseTier.device)
    )
    assert there.inputs.is_cuda
    assert torch.equal(there.inputs.cpu(), here.inputs)
    assert torch.equal(there.targets.cpu(), here.targets)
    assert torch.equal(there.mask.cpu(), here.mask)


@needs_cuda
def test_cuda_gives_a_stack_the_same_bits_twice():
    cells, registry = cells_of(curriculum=GATED, steps=60)
    assert trained(cells, registry, CudaTier()) == trained(cells, registry, CudaTier())
