"""The native tier against float64 autograd, against torch's Adam, and against itself."""

import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emtkit.study.settings import Training
from emtkit.train.native import NativeStep, Network, unavailable
from emtkit.train.native.adam import CompiledAdam
from tests.rounding import assert_rounded_rows, rounding

pytest.importorskip("numba")
if unavailable() is not None:
    pytest.skip(str(unavailable()), allow_module_level=True)

FEW = [
    Network(3, 2, 1, "tanh"),
    Network(5, 1, 2, "relu", readout="relu", reads="preactivation", bias=True, readout_bias=True),
    Network(2, 3, 1, "linear", readout="relu", bias=True),
    Network(11, 1, 1, "tanh", reads="preactivation", readout_bias=True),
]
MANY = [
    Network(hidden, inputs, outputs, activation, readout, reads, bias, bias)
    for hidden, inputs, outputs in ((1, 1, 1), (7, 3, 5), (16, 4, 2), (23, 2, 3), (64, 8, 8))
    for activation, readout, reads, bias in (
        ("tanh", "linear", "activation", False),
        ("tanh", "relu", "preactivation", True),
        ("relu", "linear", "activation", True),
        ("relu", "relu", "preactivation", False),
        ("linear", "linear", "activation", True),
    )
]
ACTIVATION = {"linear": lambda x: x, "relu": torch.relu, "tanh": torch.tanh}


def drawn(network: Network, models: int, sizes: tuple[int, int, int, int], seed: int):
    """Flat weights, inputs, targets and scales for (batch, steps, driven, scored)."""
    batch, _, input_steps, scored = sizes
    chance = np.random.default_rng(seed)
    weights = chance.normal(0.0, 0.6 / np.sqrt(network.hidden), (models, network.parameters))
    weights = weights.astype(np.float32)
    network.clear_absent(weights)
    inputs = chance.normal(size=(models, batch, input_steps, network.inputs)).astype(np.float32)
    # away from what the network says, so that gradients do not cancel over the batch
    targets = chance.normal(2.0, 1.0, (models, batch, scored, network.outputs)).astype(np.float32)
    scales = chance.random((models, scored, network.outputs)).astype(np.float32)
    return weights, inputs, targets, scales


def reference(network, sizes, named, inputs, targets, scales):
    """The losses (scored) of one model, written from the equations, in the precision of `named`."""
    batch, steps, input_steps, scored = sizes
    dtype = named["W_hh"].dtype
    inputs, targets, scales = (torch.tensor(a).to(dtype) for a in (inputs, targets, scales))
    sigma, rho = ACTIVATION[network.activation], ACTIVATION[network.readout]
    post = torch.zeros(batch, network.hidden, dtype=dtype)
    losses = []
    for t in range(steps):
        pre = post @ named["W_hh"].T
        if t < input_steps:
            pre = pre + inputs[:, t] @ named["W_uh"].T
        if network.bias:
            pre = pre + named["b"]
        post = sigma(pre)
        if t >= steps - scored:
            out = (pre if network.reads == "preactivation" else post) @ named["W_r"].T
            out = rho(out + named["b_r"] if network.readout_bias else out)
            n = t - steps + scored
            losses.append((scales[n] * ((out - targets[:, n]) ** 2).mean(0)).sum())
    return torch.stack(losses)


def tensors(network: Network, row: np.ndarray, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The named weights of one flat row, as leaves."""
    views = network.views(row[None])
    return {name: torch.tensor(v[0]).to(dtype).requires_grad_() for name, v in views.items()}


def flat(network: Network, named: dict[str, torch.Tensor]) -> np.ndarray:
    """Named weights as one flat row (1 P)."""
    row = np.concatenate([value.numpy().ravel() for value in named.values()])
    return network.flat(row[None], network.order(list(named)))


def by_autograd(network, sizes, row, data, dtype):
    """Losses (1 scored) and flat gradient (1 P) of one model."""
    named = tensors(network, row, dtype)
    losses = reference(network, sizes, named, *data)
    losses.sum().backward()
    return losses.detach()[None], flat(network, {k: v.grad for k, v in named.items()})


def assert_gradients(network: Network, sizes: tuple[int, int, int, int], seed: int) -> None:
    batch, steps, input_steps, scored = sizes
    weights, *data = drawn(network, 2, sizes, seed)
    step = NativeStep(network, batch=batch, steps=steps, input_steps=input_steps, scored=scored)
    losses, gradient = step.gradients(weights, *data)
    for m in range(2):
        own = [array[m] for array in data]
        single, double = (
            by_autograd(network, sizes, weights[m], own, d) for d in (torch.float32, torch.float64)
        )
        assert_rounded_rows(losses[m][None], single[0], double[0], 2 * steps, np.float32)
        assert_rounded_rows(gradient[m][None], single[1], double[1], 2 * steps)


def lengths(steps: int):
    return st.tuples(st.just(steps), st.integers(1, steps), st.integers(1, steps))


@pytest.mark.parametrize("network", FEW[:2], ids=str)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    batch=st.integers(33, 150), times=st.integers(1, 9).flatmap(lengths), seed=st.integers(0, 99)
)
def test_gradients_equal_float64_autograd(network, batch, times, seed):
    assert_gradients(network, (batch, *times), seed)


@pytest.mark.slow
@pytest.mark.parametrize("network", MANY, ids=str)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    batch=st.sampled_from([1, 16, 17, 40, 64, 100]),
    times=st.integers(1, 24).flatmap(lengths),
    seed=st.integers(0, 99),
)
def test_gradients_of_every_cell_equal_float64_autograd(network, batch, times, seed):
    assert_gradients(network, (batch, *times), seed)


@dataclass(frozen=True)
class Rows:
    """Flat weights (M P) and what the optimiser keeps of them."""

    weights: np.ndarray
    buffers: dict[str, torch.Tensor]


def trained(network, rows, weights, data, trainings, steps=20) -> Rows:
    """The chosen rows after some steps, trained as one stack."""
    batch, length = data[0].shape[1:3]
    step = NativeStep(network, batch=batch, steps=length, scored=data[1].shape[2])
    chosen = [np.ascontiguousarray(array[rows]) for array in data]
    adam, state = CompiledAdam([trainings[row] for row in rows]), torch.from_numpy(weights[rows])
    buffers = {name: torch.zeros_like(state) for name in ("first", "second")}
    alive = torch.ones(len(rows), 1, dtype=torch.bool)
    for taken in range(steps):
        _, gradient = step.gradients(state.numpy(), *chosen)
        schedule = adam.schedule([taken] * len(rows))
        adam.step(state, torch.from_numpy(gradient), buffers, schedule, alive)
    return Rows(state.numpy(), buffers)


def differing(models: int, optimizer: str = "adam") -> list[Training]:
    chance = np.random.default_rng(1)
    return [
        Training(
            optimizer=optimizer,
            lr=float(chance.uniform(1e-3, 3e-2)),
            weight_decay=float(chance.uniform(0.0, 1e-2)),
            clip=0.5 if row % 3 else None,
        )
        for row in range(models)
    ]


@pytest.mark.parametrize("network", FEW, ids=str)
def test_a_row_has_the_same_bits_in_every_stack(network):
    weights, *data = drawn(network, 7, (70, 6, 6, 4), 3)
    trainings = differing(7)
    together = trained(network, np.arange(7), weights, data, trainings)
    for rows in ([0], [6], [3, 1], [5, 4, 2, 0, 6]):
        apart = trained(network, np.array(rows), weights, data, trainings)
        assert np.array_equal(apart.weights, together.weights[rows])
        assert torch.equal(apart.buffers["second"], together.buffers["second"][rows])
    again = trained(network, np.arange(7), weights, data, trainings)
    assert np.array_equal(again.weights, together.weights)
    assert not np.array_equal(together.weights, weights)


def by_torch(network, sizes, row, data, training, dtype):
    """The flat weights (1 P) after 20 steps of torch's own optimiser."""
    named = tensors(network, row, dtype)
    kind = torch.optim.AdamW if training.optimizer.kind == "adamw" else torch.optim.Adam
    optimiser = kind(list(named.values()), lr=training.lr, weight_decay=training.weight_decay)
    for _ in range(20):
        optimiser.zero_grad()
        reference(network, sizes, named, *data).sum().backward()
        torch.nn.utils.clip_grad_norm_(list(named.values()), training.clip or np.inf)
        optimiser.step()
    return flat(network, {k: v.detach() for k, v in named.items()})


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_clip_and_adam_equal_torch_in_float64(optimizer):
    network, sizes = FEW[0], (70, 6, 6, 4)
    weights, *data = drawn(network, 7, sizes, 3)
    trainings = differing(7, optimizer)
    found = trained(network, np.arange(7), weights, data, trainings)
    for m, training in enumerate(trainings):
        own = [array[m] for array in data]
        single, double = (
            by_torch(network, sizes, weights[m], own, training, d)
            for d in (torch.float32, torch.float64)
        )
        assert_rounded_rows(found.weights[m][None], single, double, 2 * 20)


def test_tanh_is_accurate_bounded_and_keeps_nan():
    """With loss = (1 tanh(w) - 0)^2 the square root of the loss shows the network's tanh."""
    network = Network(1, 1, 1, "tanh")
    arguments = np.concatenate([np.logspace(-15, 1.2, 20_001), np.linspace(0.01, 12.0, 20_001)])
    weights = np.zeros((len(arguments), network.parameters), dtype=np.float32)
    views = network.views(weights)
    views["W_uh"][:, 0, 0] = arguments
    views["W_r"][:] = 1.0
    one = np.ones((len(weights), 1, 1, 1), dtype=np.float32)
    scales = np.ones((len(weights), 1, 1), dtype=np.float32)
    losses, _ = NativeStep(network, batch=1, steps=1).gradients(weights, one, 0 * one, scales)
    found, expected = np.sqrt(losses[:, 0]), np.tanh(views["W_uh"][:, 0, 0].astype(np.float64))
    # The fit is right to 2e-8; its polynomials begin with 1, so that the last roundings count.
    assert np.abs(found / expected - 1.0).max() <= 2e-8 + rounding(1, dtype=np.float32)
    assert losses.max() <= 1.0
    weights[:, 0] = np.nan
    losses, gradient = NativeStep(network, batch=1, steps=1).gradients(
        weights, one, 0 * one, scales
    )
    assert np.isnan(losses).all()
    assert np.isnan(gradient[:, -1]).all()


def test_a_diverging_row_harms_no_other():
    network = FEW[2]
    weights, *data = drawn(network, 3, (70, 6, 6, 4), 5)
    ruined = weights.copy()
    ruined[1] = np.inf
    step = NativeStep(network, batch=70, steps=6, scored=4)
    losses, gradient = step.gradients(weights, *data)
    hurt, slopes = step.gradients(ruined, *data)
    assert not np.isfinite(hurt[1].sum())
    assert np.array_equal(hurt[[0, 2]], losses[[0, 2]])
    assert np.array_equal(slopes[[0, 2]], gradient[[0, 2]])
    after, _ = step.gradients(weights, *data)  # the scratch memory forgets the infinities
    assert np.array_equal(after, losses)


@pytest.mark.parametrize("network", FEW, ids=str)
def test_a_row_scored_on_fewer_steps_has_the_bits_of_the_shorter_stack(network):
    weights, inputs, targets, scales = drawn(network, 2, (70, 9, 9, 9), 4)
    scales[:, 5:] = 0.0
    losses, gradient = NativeStep(network, batch=70, steps=9).gradients(
        weights, inputs, targets, scales
    )
    short = [np.ascontiguousarray(array[:, :, :5]) for array in (inputs, targets)]
    step = NativeStep(network, batch=70, steps=5)
    expected, slopes = step.gradients(weights, *short, np.ascontiguousarray(scales[:, :5]))
    assert np.array_equal(losses[:, :5], expected)
    assert not losses[:, 5:].any()
    assert np.array_equal(gradient, slopes)


def test_rows_may_stand_still():
    network, sizes = FEW[0], (70, 6, 6, 4)
    weights, *data = drawn(network, 3, sizes, 8)
    _, gradient = NativeStep(network, batch=70, steps=6, scored=4).gradients(weights, *data)
    adam, state = CompiledAdam([Training(lr=0.1)] * 3), torch.from_numpy(weights.copy())
    buffers = {name: torch.zeros_like(state) for name in ("first", "second")}
    alive = torch.tensor([[True], [False], [True]])
    adam.step(state, torch.from_numpy(gradient), buffers, adam.schedule([0] * 3), alive)
    assert np.array_equal((state.numpy() != weights).any(1), alive[:, 0].numpy())
    assert torch.equal(buffers["first"].any(1), alive[:, 0])


def test_named_weights_are_views_of_the_flat_row():
    network = FEW[1]
    weights, *_ = drawn(network, 2, (1, 1, 1, 1), 0)
    named = network.views(weights)
    assert {name: view.shape for name, view in named.items()} == {
        "W_uh": (2, 5, 1),
        "W_hh": (2, 5, 5),
        "W_r": (2, 2, 5),
        "b": (2, 5),
        "b_r": (2, 2),
    }
    rows = np.concatenate([view.reshape(len(weights), -1) for view in named.values()], axis=1)
    assert np.array_equal(network.flat(rows, network.order(list(named))), weights)
    for view in named.values():
        view[:] = 0.0
    assert not weights.any()


WIDE = """
import hashlib
import numpy as np
import torch
from emtkit import Stream
from emtkit.plugin.task import Recipe
from emtkit.study.settings import Training
from emtkit.train.native import Network, NativeStep, machine
from emtkit.train.native.adam import CompiledAdam
from emtkit.train.native.fused import FusedTraining
chance = np.random.default_rng(0)
network = Network(11, 2, 1, "tanh")
state = torch.from_numpy(chance.normal(0.0, 0.3, (2, network.parameters)).astype(np.float32))
buffers = {name: torch.zeros_like(state) for name in ("first", "second")}
inputs = chance.normal(size=(2, 70, 8, 2)).astype(np.float32)
targets = chance.normal(size=(2, 70, 8, 1)).astype(np.float32)
step = NativeStep(network, batch=70, steps=8)
scales = np.ones((2, 8, 1), dtype=np.float32)
adam, alive = CompiledAdam([Training(lr=1e-2, clip=1.0)] * 2), torch.ones(2, 1, dtype=torch.bool)
for taken in range(20):
    _, gradient = step.gradients(state.numpy(), inputs, targets, scales)
    adam.step(state, torch.from_numpy(gradient), buffers, adam.schedule([taken] * 2), alive)
network, settings = Network(3, 3, 3, "tanh"), Training(batch=70, lr=1e-2, clip=1.0)
flat = torch.from_numpy(chance.normal(0.0, 0.3, (3, network.parameters)).astype(np.float32))
whole = FusedTraining(
    NativeStep(network, batch=70, steps=7),
    ["W_uh", "W_hh", "W_r"],
    [Recipe.delayed((1.0,) * 7, density, 2, 3) for density in (0.3, 0.9, 0.9)],
    np.ones((3, 7, 3), dtype=np.float32),
    [settings] * 3,
    [Stream(seed, "train") for seed in (0, 0, 1)],
    flat,
    {name: torch.zeros_like(flat) for name in ("first", "second")},
)
whole.run(20)
rows = state.numpy().tobytes() + whole.state()[0].numpy().tobytes()
print(machine.tiles().square, hashlib.sha256(rows).hexdigest())
"""


def python(code: str, **environment: str) -> str:
    """What a fresh interpreter prints; warnings are errors there."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        check=True,
        timeout=300,
        capture_output=True,
        text=True,
    ).stdout


@pytest.mark.slow
def test_eight_lanes_and_sixteen_give_the_same_bits():
    from emtkit.train.native import machine

    if "avx512f" not in machine.features():
        pytest.skip("this machine has vectors of 8 lanes only")
    narrow = {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx2,+fma,+avx,+sse4.2,+bmi,+bmi2,+f16c,+lzcnt,+popcnt,+movbe",
    }
    wide, split = python(WIDE).split(), python(WIDE, **narrow).split()
    assert (wide[0], split[0]) == ("4", "2")
    assert wide[1] == split[1]


def test_a_processor_without_fma_is_refused():
    code = "from emtkit.train.native import unavailable; print(unavailable())"
    said = python(code, NUMBA_CPU_NAME="x86-64-v2", NUMBA_CPU_FEATURES="+avx2,+sse4.2")
    assert "needs avx2 and fma; this processor lacks ['fma']" in said


def test_importing_the_tier_imports_no_compiler():
    python("import sys, emtkit.train.native\nassert not {'numba', 'llvmlite'} & set(sys.modules)\n")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Network(65, 1, 1), "65 hidden units; this tier takes 1 to 64"),
        (lambda: Network(0, 1, 1), "0 hidden units"),
        (lambda: Network(2, 0, 1), "0 inputs and 1 outputs"),
        (lambda: Network(2, 1, 1, "gelu"), "activation 'gelu'; allowed: linear, relu, tanh"),
        (lambda: Network(2, 1, 1, readout="tanh"), "readout 'tanh'"),
        (lambda: Network(2, 1, 1, reads="cell"), "reads 'cell'"),
        (lambda: NativeStep(FEW[0], batch=0, steps=3), "batch 0"),
        (lambda: NativeStep(FEW[0], batch=4, steps=3, input_steps=4), "4 of them with input"),
        (lambda: NativeStep(FEW[0], batch=4, steps=3, scored=0), "0 scored"),
    ],
)
def test_mistakes_are_told(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        wrong()


def test_wrong_arrays_never_reach_the_compiled_code():
    weights, inputs, targets, scales = drawn(FEW[0], 2, (70, 6, 6, 4), 0)
    step = NativeStep(FEW[0], batch=70, steps=6, scored=4)
    good = {"weights": weights, "inputs": inputs, "targets": targets, "scales": scales}
    for name, bad in (
        ("weights", weights[:, 1:]),
        ("inputs", inputs[:, :, 1:]),
        ("inputs", inputs.astype(np.float64)),
        ("targets", targets[:1]),
        ("targets", np.swapaxes(np.swapaxes(targets, 1, 2).copy(), 1, 2)),
        ("scales", scales[:1]),
    ):
        with pytest.raises(ValueError, match=f"{name} came as"):
            step.gradients(**{**good, name: bad})
