"""What the analyses claim of networks whose mechanism is known, where they claim something."""

from __future__ import annotations

import numpy as np
import pytest

from emtkit import Findings, Task
from emtkit_std.analyses.attractors import Attractors
from emtkit_std.analyses.emt_spectrum import EmtSpectrum
from emtkit_std.analyses.gradient_lag import GradientLag
from emtkit_std.analyses.history_decoding import HistoryDecoding
from emtkit_std.analyses.memory_capacity import MemoryCapacity
from emtkit_std.analyses.memory_map import MemoryMap
from emtkit_std.analyses.twm_waves import TwmWaves
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import rounding
from tests.std.subjects import subject_of
from tests.std.test_mechanisms import CUED, DIGITS, PULSES, REPEAT, TURNING, network

DELAY = KDelay(delay=3, amplitude="signed", scored="last")
OBLIQUE = {"condition": 1e3, "scale": 5.0}


def measured(analysis: object, name: str, task: Task, **parameters: object) -> Findings:
    return analysis.measure(subject_of(network(name, task, **parameters), task))


@pytest.mark.parametrize(("task", "flag"), [(REPEAT, "wave"), (DELAY, "driven")])
def test_a_register_is_a_wave_in_any_basis(task, flag):
    found = measured(TwmWaves(draws=4), "register", task, **OBLIQUE).scalars
    assert found["flag"] == flag
    assert found["wave_share"] == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "parameters", "task"),
    [
        ("phase_clock", OBLIQUE, REPEAT),
        pytest.param(  # it has no fixed point, and the search for one takes seconds
            *("phase_clock", {**TURNING, "distractors": 3}, REPEAT), marks=pytest.mark.slow
        ),
        ("phase_clock", OBLIQUE, DELAY),
        ("leaky_integrator", OBLIQUE, DELAY),
        ("magnitude_code", OBLIQUE, REPEAT),
        ("magnitude_code", OBLIQUE, DIGITS),
        ("dead", {"distractors": 8}, REPEAT),
        ("random_reservoir", {"gain": 2.0}, REPEAT),
        ("exact_attention", OBLIQUE, REPEAT),  # the state is the residual stream
        ("exact_attention", {"position": "none"}, DELAY),
    ],
)
def test_nothing_else_is_a_wave(name, parameters, task):
    found = measured(TwmWaves(draws=4), name, task, **parameters).scalars
    assert found["flag"] not in ("wave", "driven")
    assert found["wave_share"] < 0.15


def test_a_curved_register_is_decoded_all_the_same():
    parameters = {"condition": 100.0, "curvature": 0.3, "distractors": 4}
    found = measured(HistoryDecoding(), "register", REPEAT, **parameters).scalars
    assert found["mean_r2"] > 0.99


def test_the_spectrum_of_a_register_is_theorys_in_any_basis():
    found = measured(EmtSpectrum(), "register", REPEAT, **OBLIQUE).scalars
    assert found["status"] == "comparable"
    assert found["angle_error"] <= rounding(8, 1e3)


def test_a_magnitude_code_holds_every_history_on_a_cycle_that_attracts_by_its_ratio():
    task = Hds(rule="repeat", history=3, dimension=1, horizon=20)
    short = Attractors(sequences=8, steps=1000, longest=20)
    found = measured(short, "magnitude_code", task, ratio=0.2).scalars
    assert (found["kind"], found["share_stable"], found["share_held"]) == ("cycle", 1, 1)
    assert found["floquet_radius"] == pytest.approx(0.2, abs=1e-9)


def test_a_leak_shows_as_the_decay_of_gradients():
    found = measured(GradientLag(), "leaky_integrator", DELAY, retention=0.7).scalars
    assert found["decay_rate"] == pytest.approx(-np.log(0.7), abs=1e-9)
    assert found["radius"] == pytest.approx(0.7, abs=1e-9)


def test_capacities_of_linear_memories_are_those_of_their_units():
    register = measured(MemoryCapacity(), "register", DELAY).scalars
    assert register["linear"] == pytest.approx(4.0, abs=1e-9)
    assert register["fisher"] == pytest.approx(1 + 1 / 2 + 1 / 3 + 1 / 4)  # noise adds up
    leaky = measured(MemoryCapacity(), "leaky_integrator", DELAY).scalars
    assert (leaky["linear"], leaky["fisher"]) == pytest.approx((1.0, 1.0))


NAMED = [
    ("register", {}, DIGITS, "wave"),
    ("phase_clock", {}, REPEAT, "slot"),
    ("phase_clock", TURNING, DIGITS, "rotation"),
    ("magnitude_code", {}, DIGITS, "shared"),
    ("latch", {}, PULSES, "shared"),
    ("stable_cycle", {}, DIGITS, "wave"),
    ("ring_attractor", {}, CUED, "slot"),
    ("dead", {}, REPEAT, "none"),
    ("random_reservoir", {"hidden": 24}, REPEAT, "none"),
]
HIDDEN = {
    "plain": {},
    "oblique": {"condition": 1e3},
    "curved": {"curvature": 1.0},
    "distractors": {"distractors": 8},
}


@pytest.mark.parametrize("nuisance", HIDDEN)
@pytest.mark.parametrize(("name", "parameters", "task", "moving"), NAMED)
def test_memory_map_names_a_mechanism_whatever_hides_it(name, parameters, task, moving, nuisance):
    found = measured(MemoryMap(), name, task, **parameters, **HIDDEN[nuisance]).scalars
    assert found["moving"] == moving
