"""`gru` and `lstm` against torch's own cells."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import nn

from emtkit.plugin.stream import Stream
from emtkit.train.stack import flatten, stack
from emtkit.train.tiers.dense import DenseTier
from emtkit_std.architectures.gru import GatedRecurrentUnit
from emtkit_std.architectures.lstm import LongShortTermMemory
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from tests.rounding import assert_rounded
from tests.std.kernels import assert_autograd, assert_bits_are_its_own

TASK = Hds(rule="diagonal", history=4, dimension=3)
# Sums of 7 states, 3 inputs and 2 biases at each of 4 steps, by what enters a gate at most: weights
# are below 7^-1/2, states and inputs at most 1.
ROUNDED = {"size": 4 * 12, "condition": 12 / 7**0.5}


def inputs():
    batch = TASK.sample(5, Stream(0, "train", dtype=torch.float64), 6)
    return batch.inputs[:, :4]


def copy_gates(model, twin):
    twin.weight_hh_l0.copy_(model.W_hh)
    twin.weight_ih_l0.copy_(model.W_uh)
    if model.bias:
        twin.bias_ih_l0.copy_(model.b)
        twin.bias_hh_l0.zero_()


@pytest.mark.parametrize("bias", [True, False])
def test_gru_is_torchs(bias):
    with torch.no_grad():
        model = GatedRecurrentUnit(TASK, hidden=7, bias=bias).double()
        twin = nn.GRU(3, 7, bias=bias, batch_first=True).double()
        copy_gates(model, twin)
        if bias:
            twin.bias_hh_l0[14:] = model.b_n
        trace = model.trace(inputs(), 4)
        assert_rounded(trace.states, twin(inputs())[0], **ROUNDED)
        assert_rounded(trace.outputs, trace.states @ model.W_r.T, 7)


@pytest.mark.parametrize("bias", [True, False])
def test_lstm_is_torchs(bias):
    with torch.no_grad():
        model = LongShortTermMemory(TASK, hidden=7, bias=bias).double()
        twin = nn.LSTM(3, 7, bias=bias, batch_first=True).double()
        copy_gates(model, twin)
        trace = model.trace(inputs(), 4)
        assert trace.states.shape == (5, 4, 14)
        assert_rounded(trace.states[..., :7], twin(inputs())[0], **ROUNDED)


@pytest.mark.parametrize("cell", [GatedRecurrentUnit, LongShortTermMemory])
def test_without_bias_the_origin_is_fixed(cell):
    model = cell(TASK, hidden=4, bias=False)
    rest = model.initial(2)
    assert torch.equal(model.step(rest, torch.zeros(2, 3)), rest)


@pytest.mark.parametrize("cell", [GatedRecurrentUnit, LongShortTermMemory])
def test_values_that_may_grow_are_refused(cell):
    growing = Hds(rule="fibonacci", history=2, dimension=1)
    assert "saturates" in str(cell.accepts(growing, {"hidden": 4, "bias": True}))
    assert cell.accepts(TASK, {"hidden": 4, "bias": True}) is None


CELLS = some.sampled_from([GatedRecurrentUnit, LongShortTermMemory])


@some.composite
def stacks(draw, dtype):
    """Networks of any size on two tasks, and a batch for them."""
    cell, bias, shift = draw(CELLS), draw(some.booleans()), draw(some.booleans())
    hidden, history = draw(some.integers(1, 24)), draw(some.integers(1, 4))
    models, batch, horizon = (draw(some.integers(low, 7)) for low in (2, 1, 1))
    torch.manual_seed(draw(some.integers(0, 2**31)))
    tasks = [Hds(rule="repeat", history=history, dimension=2, horizon=horizon)] * models
    nets = [cell(task, hidden=hidden, bias=bias, readout_bias=shift).to(dtype) for task in tasks]
    stacked = stack(nets, tasks, [""] * models)
    streams = [Stream(seed, "train", dtype=dtype) for seed in range(models)]
    flat = torch.stack([flatten(net) for net in nets])
    return stacked, flat, stacked.draw(batch, streams, horizon), horizon


@settings(max_examples=25, deadline=None, derandomize=True)
@given(some.data(), some.sampled_from([torch.float64, torch.float32]))
def test_the_kernel_gives_what_autograd_gives(data, dtype):
    stacked, flat, batch, _ = data.draw(stacks(dtype))
    assert_autograd(DenseTier().gradients(stacked, flat, batch, batch.mask), stacked, flat, batch)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(some.data(), some.sampled_from([torch.float64, torch.float32]))
def test_a_row_has_the_same_bits_in_any_company_and_past_its_own_horizon(data, dtype):
    stacked, flat, batch, longest = data.draw(stacks(dtype))
    models = stacked.models
    horizons = data.draw(some.lists(some.integers(1, longest), min_size=models, max_size=models))
    assert_bits_are_its_own(stacked, flat, batch, horizons)
