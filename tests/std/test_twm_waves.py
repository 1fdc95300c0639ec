"""Analysis twm_waves on networks whose waves are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from emtkit.errors import NotApplicable
from emtkit_std._theory.waves.wavefield import NativeColumns
from emtkit_std.analyses.twm_waves import TwmWaves
from emtkit_std.architectures.attention import Attention
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.emt_circuit import EmtCircuit
from emtkit_std.architectures.shift_register import ShiftRegister
from emtkit_std.architectures.twm_attention import TwmAttention
from emtkit_std.architectures.twm_linear import TwmLinear
from emtkit_std.architectures.wave_rnn import WaveRnn
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import rounding
from tests.std.subjects import Register, build, subject_of

REPEAT = HistoryDependentSystem(rule="repeat", history=4, dimension=4)
FOUR_LAGS = HistoryDependentSystem(rule="waves_t4", history=4, dimension=4)
RESIDUALS = (
    "shift_residual",
    "boundary_residual",
    "operator_shift_residual",
    "operator_boundary_residual",
)


def scalars(model, task, **parameters):
    return TwmWaves(draws=10, **parameters).measure(subject_of(model, task)).scalars


@pytest.mark.parametrize("task", [REPEAT, FOUR_LAGS])
@pytest.mark.parametrize("basis", ["native", "regression", "emt"])
@pytest.mark.parametrize("hidden", [None, 40])
def test_the_exact_wave_is_found_in_every_basis(task, basis, hidden):
    where = "native" if hidden is None else "random"
    model = build(TwmLinear, task, exact=True, basis=where, hidden=hidden).double()
    found = scalars(model, task, basis=basis)
    # Sums over the H states, in a basis and its dual; 50 steps on end.
    condition = np.linalg.cond(model.facts(NativeColumns).basis) ** 2
    for name in RESIDUALS:
        assert found[name] <= rounding(50 * model.hidden, condition), name
    assert found["history_r2"] == pytest.approx(1.0, abs=rounding(1))
    assert found["speed"] == 1.0
    assert found["flag"] == "wave"
    assert found["coherence"] > 0.99
    assert found["amplitude_ratio"] == pytest.approx(1.0)
    assert found["coherence_z_time"] > 3


def test_the_exact_circuit_shows_its_wave_to_algorithm_1():
    model = build(EmtCircuit, REPEAT).double()
    found = scalars(model, REPEAT, basis="emt")
    assert all(found[name] <= rounding(50 * model.hidden) for name in RESIDUALS)
    assert found["speed"] == 1.0


def test_a_register_is_no_wave_although_it_remembers_all():
    found = scalars(Register(REPEAT), REPEAT, basis="regression")
    assert found["history_r2"] == pytest.approx(1 / 4, abs=0.03)
    assert found["flag"] == "static"
    assert math.isnan(found["speed"])
    assert math.isnan(found["coherence"])


def test_an_untrained_network_is_dying():
    found = scalars(build(Elman, REPEAT, hidden=64), REPEAT, basis="regression")
    assert found["flag"] == "dying"
    assert found["amplitude_ratio"] < 1e-3
    assert found["steps_used"] < 30
    assert found["boundary_residual"] > 1


def test_leak_shows_as_residual_and_loss_of_amplitude():
    model = build(TwmAttention, REPEAT, position="onehot", exact_strength=5.0)
    found = scalars(model, REPEAT)
    assert found["shift_residual"] <= rounding(16)
    # two uncorrelated shares of leak in every written bit: sqrt(leak^2 + leak^2 / 3) of its size
    leak = 3 / (math.exp(5) + 3)
    assert found["boundary_residual"] == pytest.approx(leak * math.sqrt(4 / 3), rel=0.3)
    assert found["amplitude_ratio"] < 0.9
    assert found["flag"] == "wave"


def test_a_ring_has_more_columns_than_the_task_and_no_rule():
    model = build(WaveRnn, REPEAT, sites=12, activation="linear")
    model.kernel_bias.zero_()
    found = TwmWaves(draws=10).measure(subject_of(model, REPEAT))
    assert found.scalars["shift_residual"] <= rounding(12 * 4)
    assert found.scalars["speed"] == 1.0
    assert math.isnan(found.scalars["boundary_residual"])
    assert "no autonomous rule" in found.reasons["boundary_residual"]
    assert found.arrays["field"].shape[1:] == (12, 4)


def test_a_driven_delay_line_is_a_wave_without_a_boundary():
    task = KDelay(delay=3)
    found = TwmWaves(basis="regression", draws=10).measure(
        subject_of(build(ShiftRegister, task), task)
    )
    # Its states are copies, in any precision; the regression is in double precision.
    assert found.scalars["history_r2"] == pytest.approx(1.0, abs=rounding(1))
    assert found.scalars["shift_residual"] <= rounding(TwmWaves().sequences * task.steps)
    assert found.scalars["speed"] == 1.0
    assert math.isnan(found.scalars["boundary_residual"])
    with pytest.raises(NotApplicable, match="law of history"):
        scalars(build(ShiftRegister, task), task, basis="emt")


def test_attention_has_a_wavefield_by_regression_but_no_state_map():
    found = TwmWaves(basis="regression", draws=10).measure(
        subject_of(build(Attention, REPEAT), REPEAT)
    )
    assert 0 <= found.scalars["history_r2"] <= 1
    assert math.isnan(found.scalars["operator_shift_residual"])
    assert "no state map" in found.reasons["operator_shift_residual"]


def test_what_does_not_apply_says_why():
    with pytest.raises(NotApplicable, match="not built of columns"):
        scalars(build(Elman, REPEAT, hidden=8), REPEAT)
    with pytest.raises(NotApplicable, match="no eigenvalue"):
        scalars(build(Elman, REPEAT, hidden=32), REPEAT, basis="emt")
    short = KDelay(delay=3, steps=5)
    with pytest.raises(NotApplicable, match="three are needed"):
        scalars(build(ShiftRegister, short), short, basis="regression")


def test_states_that_overflow_are_cut_and_those_that_do_at_once_refused():
    model = build(TwmLinear, REPEAT).double()
    model.boundary.copy_(1e10 * torch.eye(4, 16).double())
    with pytest.raises(NotApplicable, match="stay below"):
        TwmWaves(steps=64).measure(subject_of(_Overflow(REPEAT), REPEAT))
    assert scalars(model, REPEAT)["steps_used"] < 65


class _Overflow(Register):
    def step(self, state, inputs):
        return state * 1e200


def test_figures_are_drawn_from_findings_alone():
    model = build(TwmLinear, REPEAT, exact=True, basis="random", hidden=20)
    findings = TwmWaves(draws=10).measure(subject_of(model, REPEAT))
    for name, drawing in TwmWaves.drawings.items():
        figure = Figure()
        drawing(findings, figure)
        assert figure.axes, name
