"""The wave-RNN and its baseline, untrained: checks 1 to 4 of the notes on waves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from emtkit import Batch, Channels, Stream, Task
from emtkit_std._theory.facts import PulseCircuit
from emtkit_std._theory.waves.wavefield import NativeColumns
from emtkit_std.architectures.irnn import IdentityRnn
from emtkit_std.architectures.wave_rnn import WaveRnn
from tests.rounding import assert_rounded, rounding


@dataclass
class Sized(Task):
    """Only its numbers of channels matter here."""

    inputs: int
    outputs: int
    name = "sized"

    @property
    def channels(self) -> Channels:
        return Channels(self.inputs, self.outputs)

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        raise NotImplementedError

    def loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        raise NotImplementedError


def bare(inputs: int, sites: int, **parameters: object) -> WaveRnn:
    """A linear wave-RNN in float64 without its random conv bias: a buffer with nothing trained."""
    model = WaveRnn(Sized(inputs, inputs), sites=sites, activation="linear", **parameters).double()
    with torch.no_grad():
        model.kernel_bias.zero_()
        model.W_r.zero_()
        model.b_r.zero_()
    return model.requires_grad_(False)


def impulse(channels: int, sites: int, site: int) -> torch.Tensor:
    state = torch.zeros(channels, sites, dtype=torch.float64)
    state[:, site] = torch.arange(1.0, channels + 1)
    return state.reshape(1, -1)


def test_check_1_the_shift_kernel_moves_an_impulse_down_the_ring_without_error():
    model, silence = bare(3, 8), torch.zeros(1, 3, dtype=torch.float64)
    state = model.step(impulse(3, 8, 5), silence)
    assert torch.equal(state, impulse(3, 8, 4))
    for _ in range(7):
        state = model.step(state, silence)
    assert torch.equal(state, impulse(3, 8, 5))
    assert torch.equal(model.step(impulse(3, 8, 0), silence), impulse(3, 8, 7))


def test_check_1_its_recurrence_is_a_permutation_of_roots_of_unity():
    W_hh = WaveRnn(Sized(3, 3), sites=8).facts(PulseCircuit).W_hh
    assert ((W_hh == 0) | (W_hh == 1)).all()
    assert (W_hh.sum(0) == 1).all()
    assert (W_hh.sum(1) == 1).all()
    values = np.linalg.eigvals(W_hh)
    assert np.abs(np.abs(values) - 1).max() <= rounding(24)
    roots = np.exp(2j * np.pi * np.arange(8) / 8)
    nearest = np.abs(values[:, None] - roots).argmin(1)
    assert (np.bincount(nearest, minlength=8) == 3).all()


@pytest.mark.parametrize("boundary", ["circular", "open"])
def test_the_dense_form_is_the_convolution(boundary):
    torch.manual_seed(0)
    model = WaveRnn(Sized(2, 3), channels=3, sites=5, kernel="random", boundary=boundary).double()
    dense = model.facts(PulseCircuit)
    state, inputs = torch.randn(4, 15).double(), torch.randn(4, 2).double()
    before = state.numpy() @ dense.W_hh.T + inputs.numpy() @ dense.W_uh.T + dense.b
    stepped = model.step(state, inputs).detach()
    # sums of 15 states, 2 inputs and a bias, by what enters at most
    heard = np.concatenate([state.numpy(), inputs.numpy()], axis=1)
    most = (np.abs(heard) @ np.abs(np.concatenate([dense.W_hh, dense.W_uh], axis=1).T)).max()
    assert_rounded(stepped, np.tanh(before), 18, most)
    read = stepped.numpy() @ dense.W_r.T + dense.b_r
    assert_rounded(model.read(stepped).detach(), read, 16, np.abs(dense.W_r).sum(axis=1).max())
    if boundary == "circular":
        field = torch.nn.functional.pad(state.reshape(4, 3, 5), (1, 1), mode="circular")
    else:
        field = torch.nn.functional.pad(state.reshape(4, 3, 5), (1, 1))
    conv = torch.nn.functional.conv1d(field, model.kernel, model.kernel_bias).reshape(4, 15)
    own = conv + inputs @ model.W_uh.T + model.b
    assert_rounded(stepped, torch.tanh(own).detach(), 18, most)


@pytest.mark.parametrize(
    ("sites", "channels", "inputs", "outputs", "stored"),
    [
        (100, 6, 10, 10, 12724),
        (100, 27, 2, 1, 13015),
        (256, 16, 1, 10, 49946),
        (256, 16, 96, 10, 439066),
        (16, 4, 4, 4, 632),
    ],
)
def test_check_2_parameter_counts(sites, channels, inputs, outputs, stored):
    model = WaveRnn(Sized(inputs, outputs), channels=channels, sites=sites)
    assert sum(parameter.numel() for parameter in model.parameters()) == stored


def test_check_2_the_identity_kernel_does_not_move_and_the_baseline_starts_as_the_identity():
    model = bare(2, 6, kernel="identity")
    state = impulse(2, 6, 3)
    assert torch.equal(model.step(state, torch.zeros(1, 2).double()), state)
    assert torch.equal(IdentityRnn(Sized(2, 2), hidden=7).W_hh, torch.eye(7))
    rolled = IdentityRnn(Sized(2, 2), hidden=7, start="shift").W_hh.detach().numpy()
    ring = WaveRnn(Sized(1, 1), sites=7).facts(PulseCircuit).W_hh
    assert (rolled == ring).all()


def test_inputs_are_written_at_the_source():
    one_each = WaveRnn(Sized(3, 3), sites=4).W_uh.reshape(3, 4, 3)
    assert torch.equal(one_each[:, 0], torch.eye(3))
    assert one_each[:, 1:].abs().max() == 0
    everywhere = WaveRnn(Sized(3, 3), sites=4, input_init="ones").W_uh.reshape(3, 4, 3)
    assert torch.equal(everywhere[:, 0], torch.ones(3, 3))
    last = WaveRnn(Sized(3, 3), sites=4, boundary="open").W_uh.reshape(3, 4, 3)
    assert torch.equal(last[:, 3], torch.eye(3))
    fewer = WaveRnn(Sized(3, 3), channels=2, sites=4).W_uh.reshape(2, 4, 3)
    assert torch.equal(fewer[:, 0], torch.tensor([[1.0, 0, 1], [0, 1, 0]]))
    assert WaveRnn(Sized(3, 3), input_init="normal").W_uh.abs().max() < 0.01


def comb(model: WaveRnn, taps: list[int]) -> None:
    """Read channel j's sites `taps` into output j."""
    readout = model.W_r.reshape(model.channels, model.channels, model.sites)
    for channel in range(model.channels):
        readout[channel, channel, [tap % model.sites for tap in taps]] = 1.0


@pytest.mark.parametrize(("sites", "expected"), [(16, 1.0), (20, 1.0), (18, 0.722), (15, 0.599)])
def test_check_3_a_comb_readout_repeats_for_ever_iff_rounds_fit_the_ring(sites, expected):
    s, steps = 4, 1000
    start = Stream(None, "signs", dtype=torch.float64).signs((64, s, 4))
    model = bare(4, sites)
    comb(model, [-s - m * s for m in range(sites // s)])
    outputs = model.trace(start, s + steps).outputs[:, s:]
    targets = start.repeat(1, steps // s, 1)
    right = ((outputs >= 0) == (targets >= 0)).double().mean((0, 2))
    assert right[: s * (sites // s)].min() == 1
    assert float(right.mean()) == pytest.approx(expected, abs=0 if expected == 1 else 0.02)


@pytest.mark.parametrize("delay", [0, 1, 7, 15])
def test_check_4_a_tap_is_an_exact_delay_for_one_round_of_the_ring(delay):
    errors = delay_errors(16, delay, 200)
    assert errors[:16].max() == 0
    assert np.flatnonzero(errors > 0)[0] == 16 + delay
    assert np.flatnonzero(errors > 1)[0] >= 2 * 16 + delay
    assert errors.max() > 5


def test_check_4_a_delay_of_the_whole_ring_fails():
    assert delay_errors(16, 16, 40)[:16].max() > 0


def delay_errors(sites: int, delay: int, steps: int) -> np.ndarray:
    inputs = Stream(None, "uniform", dtype=torch.float64).uniform((64, steps, 1))
    model = bare(1, sites)
    comb(model, [-delay])
    outputs = model.trace(inputs, steps).outputs
    targets = torch.cat([torch.zeros(64, delay, 1), inputs[:, : steps - delay]], 1)
    return (outputs - targets).abs().amax((0, 2)).numpy()


@pytest.mark.parametrize("boundary", ["circular", "open"])
def test_its_ring_as_columns_holds_the_newest_input_last(boundary):
    model = bare(2, 5, boundary=boundary)
    native = model.facts(NativeColumns)
    inputs = torch.randn(3, 5, 2).double()
    state = model.trace(inputs, 5).states[:, -1].numpy()
    columns = (state @ native.basis).reshape(3, native.history, native.dimension)
    np.testing.assert_array_equal(columns, inputs.numpy())
