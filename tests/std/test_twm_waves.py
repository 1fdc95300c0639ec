"""Analysis twm_waves on networks whose waves are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from emtkit.errors import NotApplicable
from emtkit_std._theory.facts import HistoryLaw
from emtkit_std._theory.waves.wavefield import NativeColumns
from emtkit_std.analyses.twm_waves import TwmWaves
from emtkit_std.architectures.attention import Attention
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.emt_circuit import EmtCircuit
from emtkit_std.architectures.mechanisms.phase_clock import PhaseClock
from emtkit_std.architectures.shift_register import ShiftRegister
from emtkit_std.architectures.twm_attention import TwmAttention
from emtkit_std.architectures.twm_linear import TwmLinear
from emtkit_std.architectures.wave_rnn import WaveRnn
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import rounding
from tests.std.null_nets import Changed, Permuted, changes, untrained
from tests.std.pictures import drawings_of
from tests.std.subjects import Register, build, subject_of

REPEAT = HistoryDependentSystem(rule="repeat", history=4, dimension=4, horizon=32)
FOUR_LAGS = HistoryDependentSystem(rule="waves_t4", history=4, dimension=4, horizon=32)
T1 = HistoryDependentSystem(rule="repeat", history=8, dimension=2, horizon=20)
DELAY = KDelay(delay=3, features=4)
EXACT = ({"exact": True}, {"hidden": 16})
RESIDUALS = (
    "shift_residual",
    "boundary_residual",
    "operator_shift_residual",
    "operator_boundary_residual",
)


def scalars(model, task, **parameters):
    return TwmWaves(**parameters).measure(subject_of(model, task)).scalars


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
    assert found["wave_share"] == pytest.approx(1.0, abs=rounding(1))
    assert found["null_share"] < 0.05
    assert found["speed"] == 1.0
    assert found["flag"] == "wave"
    assert found["coherence"] > 0.98
    assert found["amplitude_ratio"] == pytest.approx(1.0)


def test_the_exact_circuit_shows_its_wave_to_algorithm_1():
    model = build(EmtCircuit, REPEAT).double()
    found = scalars(model, REPEAT, basis="emt")
    assert all(found[name] <= rounding(50 * model.hidden) for name in RESIDUALS)
    assert found["speed"] == 1.0


@pytest.mark.parametrize("task", [REPEAT, DELAY, T1], ids=["repeat", "delay", "T1"])
def test_what_is_no_wave_is_refused(task):
    """Every one of these was called a wave, or had a history R² near one, by regression alone."""
    silent = build(Elman, task, hidden=64).double()
    silent.W_uh.zero_()
    exact = build(ShiftRegister if task is DELAY else TwmLinear, task, **EXACT[task is DELAY])
    refused = {
        "gain 2": untrained(task, 2.0),
        "nothing recurs": untrained(task, 0.0),
        "phase clock": build(PhaseClock, task),
        "permuted": Permuted(exact.double()),
        "silent": silent,
    }
    for name, model in refused.items():
        found = scalars(model, task)
        assert found["flag"] not in ("wave", "driven"), name
        assert found["wave_share"] < 0.15, name
        assert math.isnan(found["speed"]), name
        assert math.isnan(found["shift_residual"]), name


def test_untrained_networks_of_many_units_do_not_pass_by_their_room():
    """A map fitted to all times reads them: 64 units give each of 20 steps its own subspace."""
    short = HistoryDependentSystem(rule="repeat", history=4, dimension=4, horizon=20)
    for seed in range(3):
        found = scalars(untrained(short, 1.0, seed=seed), short)
        assert found["flag"] != "wave"
        assert found["wave_share"] < 0.15


def test_the_phase_clock_is_found_to_be_a_register():
    found = scalars(build(PhaseClock, REPEAT), REPEAT)
    assert found["register_r2"] == pytest.approx(1.0, abs=rounding(1))
    assert found["history_r2"] == pytest.approx(1 / 4, abs=0.03)
    assert found["flag"] == "static"


def test_what_is_driven_alone_is_subtracted():
    """W_hh = 0 on a delay task: the states are functions of the newest item, R² was .998."""
    found = scalars(untrained(DELAY, 0.0), DELAY)
    assert found["memoryless_r2"] == pytest.approx(1 / 4, abs=0.02)
    assert -0.15 < found["wave_share"] < 0.05


@pytest.mark.parametrize("task", [REPEAT, FOUR_LAGS, DELAY], ids=["repeat", "four", "delay"])
def test_the_answer_is_the_same_in_every_coordinate_system(task):
    """Under h -> A h of condition 1e3 the R² of the states went from .996 to .027."""
    inner = noisy_wave(task)
    before = scalars(inner, task)
    assert before["wave_share"] > 0.6
    for name, matrix in changes(inner.hidden).items():
        after = scalars(Changed(inner, matrix), task)
        for scalar, value in before.items():
            if scalar.startswith("point_"):
                continue  # the norm of the fixed point is of the coordinates
            if isinstance(value, float):
                assert after[scalar] == pytest.approx(value, abs=1e-6, nan_ok=True), (name, scalar)
            else:
                assert after[scalar] == value, (name, scalar)


def noisy_wave(task):
    """A leaky wave hidden in tanh units, with units beside it that hold something else."""
    model = untrained(task, 0.8, hidden=32)
    size, width = 4 * task.channels.inputs, task.channels.inputs
    shift = torch.eye(size, dtype=torch.float64).roll(width, 1)
    if task is DELAY:
        shift[-width:] = 0
    elif task is FOUR_LAGS:
        shift[-width:] = torch.from_numpy(task.facts(HistoryLaw).operator)
    else:
        shift[-width:, :width] = torch.eye(width)
    model.W_hh[:size] = 0
    model.W_hh[:size, :size] = 1.02 * shift
    model.W_uh[:size] = 0
    model.W_uh[size - width : size] = 0.3 * torch.eye(width, dtype=torch.float64)
    return model


@pytest.mark.parametrize("horizon", [1, 3, 5])
def test_the_exact_wave_passes_within_a_short_horizon(horizon):
    short = HistoryDependentSystem(rule="repeat", history=4, dimension=2, horizon=horizon)
    found = scalars(build(EmtCircuit, short), short)
    assert found["flag"] == "wave"
    assert found["steps_used"] == max(horizon, 3) + 1


def test_an_untrained_network_is_dying():
    found = scalars(build(Elman, REPEAT, hidden=64), REPEAT)
    assert found["flag"] == "dying"
    assert found["amplitude_ratio"] < 1e-3
    assert found["steps_used"] < 30
    assert math.isnan(found["boundary_residual"])


def test_leak_shows_as_residual_and_loss_of_amplitude():
    model = build(TwmAttention, REPEAT, position="onehot", exact_strength=5.0)
    found = scalars(model, REPEAT, basis="native", steps=64)
    assert found["shift_residual"] <= rounding(16)
    # two uncorrelated shares of leak in every written bit: sqrt(leak^2 + leak^2 / 3) of its size
    leak = 3 / (math.exp(5) + 3)
    assert found["boundary_residual"] == pytest.approx(leak * math.sqrt(4 / 3), rel=0.3)
    assert found["amplitude_ratio"] < 0.9
    assert found["flag"] == "wave"


def test_a_ring_has_more_columns_than_the_task_and_no_rule():
    model = build(WaveRnn, REPEAT, sites=12, activation="linear")
    model.kernel_bias.zero_()
    found = TwmWaves(basis="native").measure(subject_of(model, REPEAT))
    assert found.scalars["flag"] == "wave"
    assert found.scalars["shift_residual"] <= rounding(12 * 4)
    assert found.scalars["speed"] == 1.0
    assert math.isnan(found.scalars["boundary_residual"])
    assert "no autonomous rule" in found.reasons["boundary_residual"]
    assert found.arrays["field"].shape[1:] == (12, 4)


def test_a_driven_delay_line_is_a_wave_without_a_boundary():
    task = KDelay(delay=3)
    found = TwmWaves().measure(subject_of(build(ShiftRegister, task), task))
    # Its states are copies, in any precision; the regression is in double precision.
    assert found.scalars["history_r2"] == pytest.approx(1.0, abs=rounding(1))
    assert found.scalars["shift_residual"] <= rounding(TwmWaves().sequences * task.steps)
    assert found.scalars["speed"] == 1.0
    assert found.scalars["flag"] == "driven"
    assert math.isnan(found.scalars["boundary_residual"])
    with pytest.raises(NotApplicable, match="law of history"):
        scalars(build(ShiftRegister, task), task, basis="emt")


@pytest.mark.parametrize("seed", range(3))
def test_an_untrained_linear_network_is_a_driven_delay_line_in_other_coordinates(seed):
    """Its Krylov matrix has full rank, so one map reads the last inputs exactly."""
    task = KDelay(delay=3)
    model = untrained(task, 0.9, hidden=16, seed=seed)
    W_hh, W_uh = model.W_hh.numpy(), 1e-6 * model.W_uh.numpy()
    model.W_uh.copy_(torch.from_numpy(W_uh))  # tanh is linear there
    powers = [np.linalg.matrix_power(W_hh, k) @ W_uh for k in range(task.steps)]
    assert np.linalg.matrix_rank(np.hstack(powers)) == task.steps
    found = scalars(model, task)
    assert found["flag"] == "driven"
    assert found["history_r2"] == pytest.approx(1.0, abs=1e-9)


def test_untrained_attention_is_no_wave():
    found = TwmWaves().measure(subject_of(build(Attention, REPEAT), REPEAT))
    assert 0 <= found.scalars["history_r2"] <= 1
    assert found.scalars["flag"] != "wave"
    assert found.scalars["point_kind"] == "none"
    assert "find unit speed in anything" in found.reasons["speed"]


def test_what_does_not_apply_says_why():
    with pytest.raises(NotApplicable, match="not built of columns"):
        scalars(build(Elman, REPEAT, hidden=8), REPEAT, basis="native")
    with pytest.raises(NotApplicable, match="no eigenvalue"):
        scalars(build(Elman, REPEAT, hidden=32), REPEAT, basis="emt")
    short = KDelay(delay=3, steps=5)
    with pytest.raises(NotApplicable, match="at least 3 must"):
        scalars(build(ShiftRegister, short), short)
    with pytest.raises(NotApplicable, match="raise `sequences`"):
        scalars(build(Elman, REPEAT, hidden=64), REPEAT, sequences=16)


def test_states_that_overflow_are_cut_and_those_that_do_at_once_refused():
    model = build(TwmLinear, REPEAT).double()
    model.boundary.copy_(1e10 * torch.eye(4, 16).double())
    with pytest.raises(NotApplicable, match="stay below"):
        TwmWaves(steps=64).measure(subject_of(_Overflow(REPEAT), REPEAT))
    assert scalars(model, REPEAT, basis="native")["steps_used"] < 65


class _Overflow(Register):
    def step(self, state, inputs):
        return state * 1e200


def test_figures_are_drawn_from_findings_alone():
    model = build(TwmLinear, REPEAT, exact=True, basis="random", hidden=20)
    findings = TwmWaves().measure(subject_of(model, REPEAT))
    assert drawings_of(TwmWaves, findings).keys() == TwmWaves.drawings.keys()
