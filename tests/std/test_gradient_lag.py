"""Analysis gradient_lag on networks whose gradients are known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from emtkit import Findings
from emtkit_std.analyses.gradient_lag import GradientLag, decay
from emtkit_std.architectures.attention import Attention
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.shift_register import ShiftRegister
from emtkit_std.architectures.twm_linear import TwmLinear
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import assert_rounded, rounding
from tests.std.pictures import drawings_of
from tests.std.subjects import build, subject_of

REPEAT = HistoryDependentSystem(rule="repeat", history=8, dimension=4)


def scaled_orthogonal(rho):
    model = build(LinearRnn, REPEAT, hidden=48).double()
    generator = torch.Generator().manual_seed(0)
    q = torch.linalg.qr(torch.randn(48, 48, generator=generator, dtype=torch.float64))[0]
    model.W_hh.copy_(rho * q)
    return model


@pytest.mark.parametrize("rho", [0.5, 0.8, 0.95, 1.0, 1.05])
@pytest.mark.parametrize("first_lag", [0, 1])
def test_check_12_a_scaled_orthogonal_recurrence(rho, first_lag):
    found = GradientLag(first_lag=first_lag).measure(subject_of(scaled_orthogonal(rho), REPEAT))
    assert found.scalars["decay_rate"] == pytest.approx(-math.log(rho), abs=1e-6)
    assert_rounded(found.scalars["first_over_last"], rho ** (7 - first_lag), 8 * 48)
    assert_rounded(found.scalars["radius"], rho, 48)
    assert list(found.tables["profile"].columns) == ["lag", "gradient", "normalised"]


def test_an_exact_wave_passes_every_input_alike():
    model = build(TwmLinear, REPEAT, exact=True).double()
    found = GradientLag().measure(subject_of(model, REPEAT))
    assert found.scalars["decay_rate"] == pytest.approx(0.0, abs=rounding(32))
    np.testing.assert_allclose(found.tables["profile"]["gradient"], 1.0)
    assert found.scalars["radius"] == pytest.approx(1.0, abs=rounding(32))
    solved = GradientLag(of="loss").measure(subject_of(model, REPEAT))
    assert math.isnan(solved.scalars["decay_rate"])
    assert "zero" in solved.reasons["decay_rate"]


def test_the_default_initialisation_vanishes_at_half_log_three():
    found = GradientLag().measure(subject_of(build(Elman, REPEAT, hidden=128), REPEAT))
    assert found.scalars["decay_rate"] == pytest.approx(0.577, abs=0.05)
    assert found.scalars["radius"] == pytest.approx(0.607, abs=0.05)


def test_the_loss_of_a_linear_network_in_closed_form():
    """C = sum over the first s outputs of |y - x|^2 / d, so dC/du follows from powers of W."""
    model, subject = scaled_orthogonal(0.9), None
    subject = subject_of(model, REPEAT)
    found = GradientLag(of="loss", sequences=4).measure(subject)
    batch = REPEAT.sample(4, subject.stream.fork("sequences"), 8)
    inputs, targets = batch.inputs.double().numpy(), batch.targets.double().numpy()
    W, V, R = (weight.double().numpy() for weight in (model.W_hh, model.W_uh, model.W_r))
    kernels = [R @ np.linalg.matrix_power(W, k) @ V for k in range(16)]
    slopes = np.zeros((8, 4, 4))
    for t in range(8, 16):
        y = sum(inputs[:, k] @ kernels[t - k].T for k in range(8))
        for k in range(8):
            slopes[k] += 2 / 4 * (y - targets[:, t]) @ kernels[t - k]
    expected = np.linalg.norm(slopes, axis=-1).mean(1)[::-1]
    np.testing.assert_allclose(found.tables["profile"]["gradient"], expected, rtol=1e-5)


def test_attention_has_gradients_but_no_radius():
    found = GradientLag().measure(subject_of(build(Attention, REPEAT), REPEAT))
    assert math.isfinite(found.scalars["first_over_last"])
    assert math.isnan(found.scalars["radius"])
    assert "no state map" in found.reasons["radius"]


def test_there_is_no_slope_through_a_spike():
    """One head that looks 7 tokens back lets lags 0 and 7 through: their slope said no decay."""
    model = build(Attention, REPEAT).double()
    model.bias.zero_()
    model.bias[0, 7] = 20.0
    found = GradientLag().measure(subject_of(model, REPEAT))
    profile = found.tables["profile"]["gradient"]
    assert profile[[0, 7]].min() > 10 * profile[1:7].max()
    assert math.isnan(found.scalars["decay_rate"])
    assert "not a decay" in found.reasons["decay_rate"]


@pytest.mark.parametrize("rate", [-0.3, 0.0, 0.7])
def test_a_decay_may_be_rough_by_less_than_a_factor_of_two(rate):
    rough = np.exp(-rate * np.arange(8)) * np.where(np.arange(8) % 2, 1.0, 1.6)
    assert decay(rough).rate == pytest.approx(rate, abs=0.05)
    rough[3] *= 4
    assert math.isnan(decay(rough).rate)
    assert "lag 3" in decay(rough).reason


@pytest.mark.parametrize("lags", [3, 4, 8])
@pytest.mark.parametrize("spiked", [0, -1])
def test_few_lags_do_not_hide_a_spike(lags, spiked):
    """Three lags, the last of them 8 times the others: a line misses them by a factor of 2 only."""
    profile = np.ones(lags)
    profile[spiked] = 8.0
    assert math.isnan(decay(profile).rate)
    assert math.isfinite(decay(profile).first_over_last)
    profile[spiked] = 1.9
    assert math.isfinite(decay(profile).rate)


def test_on_a_driven_task_the_lags_reach_to_the_delay():
    task = KDelay(delay=3)
    found = GradientLag().measure(subject_of(build(ShiftRegister, task), task))
    assert len(found.tables["profile"]) == 4
    assert found.scalars["decay_rate"] == pytest.approx(0.0, abs=rounding(4))


def test_figures_at_the_end_and_over_training():
    end = GradientLag().measure(subject_of(scaled_orthogonal(0.8), REPEAT))
    over = pd.DataFrame(
        {
            "step": [0, 0, 10, 10],
            "scalar": ["decay_rate", "radius"] * 2,
            "value": [0.5, 0.6, 0.0, 1.1],
        }
    )
    profile = pd.concat([end.tables["profile"].assign(step=step) for step in (0, 10)])
    followed = Findings({}, {"over_training": over, "profile": profile})
    for findings in (end, followed):
        assert drawings_of(GradientLag, findings).keys() == GradientLag.drawings.keys()
