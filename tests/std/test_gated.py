"""`gru` and `lstm` against torch's own cells."""

import pytest
import torch
from torch import nn

from emtkit.plugin.stream import Stream
from emtkit_std.architectures.gru import GatedRecurrentUnit
from emtkit_std.architectures.lstm import LongShortTermMemory
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds

TASK = Hds(rule="diagonal", history=4, dimension=3)


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
        assert torch.allclose(trace.states, twin(inputs())[0], atol=1e-14)
        assert torch.allclose(trace.outputs, trace.states @ model.W_r.T, atol=1e-15)


@pytest.mark.parametrize("bias", [True, False])
def test_lstm_is_torchs(bias):
    with torch.no_grad():
        model = LongShortTermMemory(TASK, hidden=7, bias=bias).double()
        twin = nn.LSTM(3, 7, bias=bias, batch_first=True).double()
        copy_gates(model, twin)
        trace = model.trace(inputs(), 4)
        assert trace.states.shape == (5, 4, 14)
        assert torch.allclose(trace.states[..., :7], twin(inputs())[0], atol=1e-14)


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
