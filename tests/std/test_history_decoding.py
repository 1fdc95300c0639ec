"""Analysis history_decoding: known memories, and every architecture of the house."""

from __future__ import annotations

import importlib
import math
import pkgutil

import numpy as np
import pytest
import torch

from emtkit import NotApplicable, SequenceModel, Trace
from emtkit.plugin.params import resolve
from emtkit_std import architectures
from emtkit_std.analyses.history_decoding import (
    HistoryDecoding,
    decode_history,
    overlaps,
    subspace_overlap,
)
from emtkit_std.architectures.irnn import IdentityRnn
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.mechanisms.phase_clock import PhaseClock
from emtkit_std.architectures.shift_register import ShiftRegister
from emtkit_std.architectures.twm_linear import TwmLinear
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import rounding
from tests.std.null_nets import Changed, Permuted, changes, untrained
from tests.std.pictures import drawings_of
from tests.std.subjects import Register, build, subject_of

REPEAT = HistoryDependentSystem(rule="repeat", history=4, dimension=4, horizon=12)
FOUR_LAGS = HistoryDependentSystem(rule="waves_t4", history=4, dimension=4, horizon=12)
MODULES = [entry.name for entry in pkgutil.iter_modules(architectures.__path__) if not entry.ispkg]


def measure(model, task, **parameters):
    return HistoryDecoding(**parameters).measure(subject_of(model, task))


def test_a_wave_and_a_register_hold_every_lag():
    wave = measure(build(TwmLinear, REPEAT, exact=True), REPEAT)
    # States are copies, in any precision.
    assert wave.scalars["capacity"] == pytest.approx(4.0, abs=rounding(4))
    assert wave.scalars["decodable"] == 4
    assert (wave.tables["decoding"]["accuracy"] == 1).all()
    assert wave.scalars["overlap"] <= rounding(16)
    for register in (Register(REPEAT), build(PhaseClock, REPEAT)):
        assert measure(register, REPEAT).scalars["mean_r2"] == pytest.approx(1.0, abs=rounding(1))


def test_a_shift_register_forgets_what_it_has_no_place_for():
    task = KDelay(delay=3, steps=24)
    found = measure(build(ShiftRegister, task, hidden=4), task, lags=6)
    r2 = found.tables["decoding"]["r2"].to_numpy()
    np.testing.assert_allclose(r2[:4], 1.0, rtol=0, atol=rounding(1))
    assert (np.abs(r2[4:]) < 0.05).all()
    assert found.scalars["decodable"] == 4


def test_the_overlap_is_of_the_ages_that_the_task_asks_for():
    """A register drops what is older; an identity lays all ages on one another."""
    task = KDelay(delay=3, features=2, steps=12)
    register = measure(build(ShiftRegister, task, hidden=8), task)
    assert register.scalars["overlap"] == 0
    assert math.isnan(
        measure(build(ShiftRegister, task, hidden=8), task, lags=6).scalars["overlap"]
    )
    same = measure(build(IdentityRnn, task, hidden=8, activation="linear"), task)
    assert same.scalars["overlap"] == pytest.approx(1.0)
    few = measure(build(LinearRnn, task, hidden=4, init="gaussian"), task)
    assert few.scalars["overlap"] >= (4 * 2 / 4 - 1) / (4 - 1) - rounding(4)


def test_projections_are_the_rule():
    """x_n = (x_{n-4}[2], -x_{n-3}[0], x_{n-2}[3], -x_{n-1}[1])."""
    found = measure(build(TwmLinear, FOUR_LAGS, exact=True), FOUR_LAGS)
    table = found.tables["projections"]
    visible = table[table["value"].abs() > 1e-9].sort_values("feature_out")
    assert visible[["feature_out", "lag", "feature_in", "value"]].to_numpy().tolist() == [
        [0, 4, 2, 1],
        [1, 3, 0, -1],
        [2, 2, 3, 1],
        [3, 1, 1, -1],
    ]
    assert table["lag"].max() == 4
    assert set(found.tables["directions"]["lag_a"]) == {1, 2, 3, 4}


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("task", [REPEAT, KDelay()], ids=["hds", "k_delay"])
def test_every_architecture_is_filled(module, task):
    found = importlib.import_module(f"emtkit_std.architectures.{module}")
    (cls,) = found.emtkit_architectures()
    small = {"hidden": 16} if cls.name in {"elman", "gru", "lstm", "irnn"} else {}
    if cls.accepts(task, resolve(cls, small).values) is not None:
        pytest.skip("does not apply")
    findings = measure(build(cls, task, **small), task, sequences=256)
    assert math.isfinite(findings.scalars["capacity"])
    assert findings.tables["projections"]["value"].notna().all()
    assert len(findings.tables["decoding"]) == 4


def test_decoding_is_judged_on_unseen_sequences():
    rng = np.random.default_rng(0)
    states, windows = rng.normal(size=(200, 3, 50)), rng.choice([-1.0, 1.0], size=(200, 3, 4, 2))
    found = decode_history(states, windows)
    assert (found.r2 < 0.1).all()
    assert found.accuracy == pytest.approx(0.5, abs=0.15)
    with pytest.raises(NotApplicable, match="raise `sequences`"):
        decode_history(states[:40], windows[:40])


def test_the_error_is_the_spread_over_sequences():
    """Of one map on many sets of unseen sequences: items in noise, R² = 1 / (1 + noise²)."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        windows = rng.choice([-1.0, 1.0], size=(400, 2, 3, 1))
        noise = np.array([0.3, 0.6, 1.0])
        states = windows[..., 0] + noise * rng.normal(size=(400, 2, 3))
        found.append(decode_history(states, windows))
    values = np.array([one.r2 for one in found])
    errors = np.array([one.apart.std(0, ddof=1) for one in found]) / np.sqrt(200)
    assert values.mean(0) == pytest.approx(1 / (1 + noise[::-1] ** 2), abs=0.02)
    assert np.abs([one.apart.mean(0) for one in found]).max() < 1e-12
    assert np.sqrt(np.square(errors).mean(0)) == pytest.approx(values.std(0), rel=0.25)


def test_the_default_reads_the_steps_that_are_trained():
    """A network that is right for its horizon of 4 and wrong after it: R² .094 over 32 steps."""
    short = HistoryDependentSystem(rule="repeat", history=4, dimension=4, horizon=4)
    model = Forgets(build(TwmLinear, short, exact=True), 8)
    assert measure(model, short).scalars["mean_r2"] == pytest.approx(1.0, abs=rounding(1))
    assert measure(model, short, steps=32).scalars["mean_r2"] < 0.6


class Forgets(SequenceModel):
    """Holds all until `last` steps are over, and nothing after."""

    name = "forgets_fake"

    def __init__(self, inner, last):
        super().__init__()
        self.inner, self.last = inner, last

    def trace(self, inputs, steps):
        found = self.inner.trace(inputs, steps)
        awake = (torch.arange(steps) < self.last)[:, None]
        return Trace(found.states * awake, found.outputs * awake)


@pytest.mark.parametrize("task", [REPEAT, KDelay(features=4)], ids=["hds", "k_delay"])
def test_controls_without_memory_hold_nothing_beyond_their_input(task):
    exact = (
        build(TwmLinear, task, exact=True)
        if task is REPEAT
        else build(ShiftRegister, task, hidden=16)
    )
    permuted = measure(Permuted(exact), task).scalars["capacity"]
    assert permuted < 0.05
    driven = measure(untrained(task, 0.0), task).tables["decoding"]["r2"].to_numpy()
    assert (driven[1:] < 0.05).all()
    assert driven[0] == pytest.approx(0.0 if task is REPEAT else 1.0, abs=0.3)


def test_decoding_is_the_same_in_every_coordinate_system():
    inner = untrained(REPEAT, 1.0, hidden=32)
    before = measure(inner, REPEAT).scalars
    for name, matrix in changes(32).items():
        after = measure(Changed(inner, matrix), REPEAT).scalars
        for scalar in ("capacity", "mean_r2", "oldest_r2"):
            assert after[scalar] == pytest.approx(before[scalar], abs=1e-6), (name, scalar)


def test_a_network_that_says_nothing_is_silent():
    task = KDelay(delay=3, density=0.3)
    model = build(LinearRnn, task, readout="relu", bias=True).double()
    model.b_r.data.fill_(-100.0)
    found = measure(model, task)
    assert found.scalars["regime"] == "silent"
    assert "every output is zero" in found.reasons["hidden_share"]


def test_overlap_of_subspaces():
    eye = np.eye(6)
    assert subspace_overlap(eye[:, :2], eye[:, 2:4]) == 0
    assert subspace_overlap(eye[:, :2], 3 * eye[:, 1::-1]) == pytest.approx(1.0)
    assert subspace_overlap(eye[:, :2], eye[:, 1:3]) == pytest.approx(0.5)
    assert math.isnan(subspace_overlap(eye[:, :2], 0 * eye[:, :2]))
    assert overlaps(np.stack([eye[:, :2], eye[:, 2:4]])).shape == (2, 2)


def test_figures_are_drawn_from_findings_alone():
    findings = measure(build(TwmLinear, REPEAT, exact=True), REPEAT)
    assert drawings_of(HistoryDecoding, findings).keys() == HistoryDecoding.drawings.keys()
