"""Traveling-wave memories with linear and attention boundaries: checks 5 to 8 and 13, and peers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from emtkit import Batch, RecurrentModel, Stream
from emtkit_std._theory.facts import HistoryLaw, LinearRecurrence
from emtkit_std._theory.waves.wavefield import NativeColumns
from emtkit_std.architectures.attention import Attention
from emtkit_std.architectures.diagonal_ssm import DiagonalSsm
from emtkit_std.architectures.twm_attention import TwmAttention
from emtkit_std.architectures.twm_linear import TwmLinear
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import assert_rounded, rounding


def draw(task: HistoryDependentSystem, sequences: int, horizon: int) -> Batch:
    return task.sample(sequences, Stream(None, "test", dtype=torch.float64), horizon)


def outputs_of(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        trace = model.double()(batch.inputs[:, : batch.input_steps], batch.steps)
    return trace.outputs[:, batch.input_steps :]


def targets_of(batch: Batch) -> torch.Tensor:
    return batch.targets[:, batch.input_steps :]


def accuracy(outputs: torch.Tensor, targets: torch.Tensor) -> float:
    return float(((outputs >= 0) == (targets >= 0)).double().mean())


def small(rule: str) -> HistoryDependentSystem:
    return HistoryDependentSystem(rule=rule, history=4, dimension=4)


@pytest.mark.parametrize("rule", ["T1", "T2", "T3", "T4"])
def test_check_5_the_exact_linear_boundary_is_the_task_bit_for_bit(rule):
    task = HistoryDependentSystem(rule=rule)
    batch = draw(task, 16, 1000)
    assert torch.equal(outputs_of(TwmLinear(task, exact=True), batch), targets_of(batch))


@pytest.mark.parametrize("rule", ["waves_t3", "waves_t4"])
def test_check_5_at_four_by_four(rule):
    task = small(rule)
    batch = draw(task, 16, 200)
    assert torch.equal(outputs_of(TwmLinear(task, exact=True), batch), targets_of(batch))


def test_the_waves_rules_are_those_of_the_notes():
    """T3: x_n = (x_{n-4}[0], x_{n-2}[1], -x_{n-4}[2], x_{n-2}[3]), T4 below, 0-based."""
    batch = draw(small("waves_t3"), 8, 1)
    u, y = batch.inputs[:, :4], targets_of(batch)[:, 0]
    assert torch.equal(y, torch.stack([u[:, 0, 0], u[:, 2, 1], -u[:, 0, 2], u[:, 2, 3]], 1))
    batch = draw(small("waves_t4"), 8, 1)
    u, y = batch.inputs[:, :4], targets_of(batch)[:, 0]
    assert torch.equal(y, torch.stack([u[:, 0, 2], -u[:, 1, 0], u[:, 2, 3], -u[:, 3, 1]], 1))


@pytest.mark.parametrize(("s", "d", "hidden"), [(4, 4, 16), (4, 4, 64), (8, 8, 128)])
def test_check_6_hidden_in_a_random_basis(s, d, hidden):
    torch.manual_seed(0)
    task = HistoryDependentSystem(rule="repeat", history=s, dimension=d)
    model = TwmLinear(task, exact=True, basis="random", hidden=hidden).double()
    batch = draw(task, 16, 1000)
    psi = model.facts(NativeColumns).basis
    assert np.linalg.cond(psi) < 1e3
    limit = rounding(hidden, np.linalg.cond(psi) ** 2)  # of one step, in a basis and its dual
    assert float((outputs_of(model, batch) - targets_of(batch)).abs().max()) <= 1000 * limit
    W_hh = model.step(torch.eye(hidden).double(), torch.zeros(hidden, d).double())
    values = np.linalg.eigvals(W_hh.detach().numpy())
    values = values[np.argsort(-np.abs(values))][: s * d]
    assert np.abs(np.abs(values) - 1).max() <= limit
    turns = np.angle(values) * s / (2 * np.pi)
    assert np.abs(turns - turns.round()).max() <= limit * s
    assert (np.bincount(turns.round().astype(int) % s) == d).all()


@pytest.mark.parametrize(
    ("rule", "first", "error"),
    [("repeat", 1.0, 0.0), ("waves_t3", 0.870, 0.5), ("waves_t4", 0.876, 0.5)],
)
def test_check_13_adding_inputs_pollutes_rules_that_read_newer_columns(rule, first, error):
    task = small(rule)
    batch = draw(task, 1024, 4)
    targets = targets_of(batch)
    clamped = outputs_of(TwmLinear(task, exact=True), batch)
    added = outputs_of(TwmLinear(task, exact=True, input_mode="add"), batch)
    assert torch.equal(clamped, targets)
    assert accuracy(added[:, 0], targets[:, 0]) == pytest.approx(first, abs=0.02)
    assert float((added[:, 0] - targets[:, 0]).square().mean()) == pytest.approx(error, abs=0.02)


def test_check_7_without_positions_attention_is_blind_to_the_order():
    torch.manual_seed(0)
    task = small("repeat")
    columns = torch.randn(32, 4, 4).double()
    silence = torch.zeros(32, 4).double()
    shuffled = columns[:, [2, 0, 1, 3]].flatten(1)
    for position, blind in (("none", True), ("onehot", False), ("learned", False)):
        model = TwmAttention(task, position=position, heads=2).double()
        written = model.read(model.step(columns.flatten(1), silence))
        again = model.read(model.step(shuffled, silence))
        gap = float((written - again).detach().abs().max())
        if blind:
            keys, query = (columns.abs()[:, None] @ W.abs().mT for W in (model.W_K, model.W_Q))
            score = (keys @ query[:, :, -1, :, None]).max().item()
            # 4 columns of 4; exp magnifies what is added by the score
            assert gap <= rounding(4 + 4, score * float(written.detach().abs().max()))
        else:
            assert gap > 1e-3


def test_check_8_constructed_attention_on_repeat_copy():
    task = small("repeat")
    batch = draw(task, 64, 1000)
    targets = targets_of(batch)
    runs = {
        strength: outputs_of(TwmAttention(task, position="onehot", exact_strength=strength), batch)
        for strength in (4.0, 6.0, 8.0)
    }
    first = float((runs[8.0][:, 0] - targets[:, 0]).square().mean().sqrt())
    assert first == pytest.approx(1.2e-3, rel=0.3)
    at = {n: slice(n - 11, n + 10) for n in (100, 200)} | {1000: slice(979, 1000)}
    assert accuracy(runs[8.0][:, at[1000]], targets[:, at[1000]]) == 1.0
    assert accuracy(runs[6.0][:, at[200]], targets[:, at[200]]) == 1.0
    assert 0.80 <= accuracy(runs[6.0][:, at[1000]], targets[:, at[1000]]) <= 0.95
    assert 0.82 <= accuracy(runs[4.0][:, at[100]], targets[:, at[100]]) <= 0.92


def test_check_8_constructed_attention_on_four_lags():
    task = small("waves_t4")
    batch = draw(task, 64, 1000)
    model = TwmAttention(task, heads=4, position="onehot", exact_strength=12.0)
    outputs, targets = outputs_of(model, batch), targets_of(batch)
    first = float((outputs[:, 0] - targets[:, 0]).square().mean().sqrt())
    assert first == pytest.approx(2.1e-5, rel=0.5)
    assert accuracy(outputs[:, 979:], targets[:, 979:]) == 1.0


def test_attention_maps_are_part_of_the_trace_and_sum_to_one():
    task = small("waves_t4")
    batch = draw(task, 5, 6)
    model = TwmAttention(task, heads=4, position="onehot", exact_strength=8.0)
    maps = model(batch.inputs[:, :4].float(), 10).extras["attention"]
    assert maps.shape == (5, 10, 4, 4)
    assert_rounded(maps.sum(-1), torch.ones(5, 10, 4), 4)
    leak = 3 / (math.exp(8) + 3)
    expected = torch.eye(4) * (1 - leak) + (1 - torch.eye(4)) * leak / 3
    assert_rounded(maps[0, -1], expected, 1, 8)  # exp of a score of 8


@pytest.mark.parametrize("position", ["none", "onehot", "learned"])
@pytest.mark.parametrize("input_mode", ["clamp", "add"])
def test_the_trace_is_repeated_steps_and_eq_8_head_by_head(position, input_mode):
    torch.manual_seed(1)
    task = small("repeat")
    model = TwmAttention(task, heads=3, position=position, input_mode=input_mode).double()
    batch = draw(task, 3, 5)
    trace = model(batch.inputs[:, :4], 9)
    plain = RecurrentModel.trace(model, batch.inputs[:, :4], 9)
    # 6 written columns; a score, a mean and a value are sums of at most 8, 4 and 4
    assert_rounded(trace.states[:, 3:], plain.states[:, 3:], 6 * (8 + 4 + 4))
    H, maps = trace.states[:, 6].unflatten(-1, (4, 4)), trace.extras["attention"][:, 6]
    places = model.places.expand(3, -1, -1)
    keys = torch.cat([H, places[..., 4:]], -1) if position == "onehot" else H + places
    new = torch.zeros(3, 4).double()
    for head in range(3):
        scores = (keys @ model.W_K[head].T) @ (keys[:, -1] @ model.W_Q[head].T)[..., None]
        alpha = torch.softmax(scores[..., 0] * keys.shape[-1] ** -0.5, -1)
        torch.testing.assert_close(alpha, maps[:, head])
        new = new + (alpha[:, None] @ H)[:, 0] @ model.W_V[head].T
    torch.testing.assert_close(trace.outputs[:, 7], new)


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ({}, 48),
        ({"heads": 4}, 192),
        ({"position": "onehot"}, 144),
        ({"position": "onehot", "heads": 4}, 576),
    ],
)
def test_parameter_counts_of_attention_boundaries(parameters, count):
    model = TwmAttention(small("repeat"), **parameters)
    assert sum(p.numel() for p in model.parameters()) == count
    assert sum(p.numel() for p in TwmLinear(small("repeat")).parameters()) == 64


def test_a_bounded_boundary_keeps_outputs_within_one():
    torch.manual_seed(0)
    task = small("repeat")
    batch = draw(task, 4, 50)
    model = TwmAttention(task, boundary_activation="tanh")
    assert float(outputs_of(model, batch).abs().max()) <= 1


def test_pairs_that_do_not_apply_say_why():
    delay, rule = KDelay(), small("waves_t4")
    exact = {"exact": False, "basis": "native", "hidden": None}
    assert "HistoryLaw" in (TwmLinear.accepts(delay, exact) or "")
    assert TwmLinear.accepts(rule, exact) is None
    assert "16" in (TwmLinear.accepts(rule, exact | {"hidden": 20}) or "")
    assert "cannot hold" in (
        TwmLinear.accepts(rule, exact | {"basis": "random", "hidden": 8}) or ""
    )
    heads = {"exact_strength": 8.0, "position": "onehot", "heads": 1}
    assert "4 columns" in (TwmAttention.accepts(rule, heads) or "")
    assert "onehot" in (TwmAttention.accepts(rule, heads | {"position": "none"}) or "")
    assert "HistoryLaw" in (TwmAttention.accepts(delay, heads) or "")
    assert not TwmAttention.trains(heads)
    assert TwmLinear.trains(exact)


def test_attention_answers_without_a_look_ahead_and_goes_on_with_its_own_output():
    torch.manual_seed(0)
    task = small("repeat")
    model = Attention(task, hidden=8, heads=2, reach=5).double()
    inputs = torch.randn(3, 6, 4).double()
    trace = model(inputs, 9)
    assert trace.states.shape == (3, 9, 8)
    assert trace.extras["attention"].shape == (3, 9, 2, 5)
    later = inputs.clone()
    later[:, 4:] += 1
    torch.testing.assert_close(model(later, 6).outputs[:, :4], trace.outputs[:, :4])
    # step t > driven reads tokens 1..t-1, which is what a driven run over those tokens gives
    tokens = torch.cat([inputs, trace.outputs[:, 6:8]], 1)
    again = model(tokens, 8).outputs
    torch.testing.assert_close(again[:, 5:8], trace.outputs[:, 6:9])


def test_attention_with_a_sharp_relative_bias_repeats_its_sequence():
    """A lag of 4 is distance 3 from the newest known token."""
    task = small("repeat")
    model = Attention(task, hidden=4, residual=False).double()
    with torch.no_grad():
        for weight in (model.W_uh, model.W_V, model.W_O, model.W_r):
            weight.copy_(torch.eye(4))
        for weight in (model.W_Q, model.W_K, model.b, model.b_r):
            weight.zero_()
        model.bias[0, 3] = 40.0
    batch = draw(task, 16, 60)
    # 60 outputs written on end, each a mean of at most 64 tokens of 4
    assert_rounded(outputs_of(model, batch), targets_of(batch), 60 * 4)


def test_attention_refuses_what_it_cannot_hear():
    class Uneven(HistoryDependentSystem):
        @property
        def channels(self):
            return type(super().channels)(4, 3)

    sizes = {"hidden": 32, "heads": 1}
    assert Attention.accepts(small("repeat"), sizes) is None
    assert "divide" in (Attention.accepts(small("repeat"), sizes | {"heads": 3}) or "")
    uneven = Uneven(rule="repeat", history=4, dimension=4)
    assert "own outputs" in (Attention.accepts(uneven, sizes) or "")


@pytest.mark.parametrize("kind", ["diagonal", "shift"])
def test_the_state_space_is_its_dense_form(kind):
    torch.manual_seed(0)
    task = KDelay(features=2)
    model = DiagonalSsm(task, hidden=12, kind=kind).double()
    dense = model.facts(LinearRecurrence)
    inputs = torch.randn(3, 7, 2).double()
    trace = model(inputs, 9)
    state = np.zeros((3, 12))
    for step in range(9):
        heard = inputs[:, step].numpy() if step < 7 else np.zeros((3, 2))
        state = state @ dense.W_hh.T + heard @ dense.W_uh.T
        # nothing grows: what is written with unit weights is heard at most 9 times
        assert_rounded(trace.states[:, step].detach(), state, 9 * (12 + 2))
    read = state @ dense.W_r.T + model.b_r.detach().numpy()
    assert_rounded(trace.outputs[:, -1].detach(), read, 10 * (12 + 2))
    radius = np.abs(np.linalg.eigvals(dense.W_hh)).max()
    assert radius == pytest.approx(math.exp(-1 / 12) if kind == "diagonal" else 0.0, abs=1e-6)


def test_a_shift_state_space_holds_a_delay_exactly():
    task = KDelay(delay=3)
    model = DiagonalSsm(task, hidden=5, kind="shift").double()
    with torch.no_grad():
        model.W_r.copy_(torch.eye(5)[3:4])
        model.b_r.zero_()
    batch = task.sample(16, Stream(None, "test", dtype=torch.float64))
    assert torch.equal(model(batch.inputs, batch.steps).outputs, batch.targets)
    odd = {"hidden": 5, "kind": "diagonal"}
    assert "odd" in (DiagonalSsm.accepts(task, odd) or "")


@pytest.mark.parametrize("rule", ["repeat", "waves_t4"])
def test_the_law_is_what_the_boundaries_take(rule):
    law = small(rule).facts(HistoryLaw)
    exact = TwmLinear(small(rule), exact=True).boundary
    np.testing.assert_array_equal(exact.numpy(), law.phi[-4:])
