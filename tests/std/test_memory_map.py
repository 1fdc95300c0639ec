"""Analysis memory_map: networks whose memory is known, and networks that must not pass for one."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emtkit import NotApplicable, SequenceModel, Stream, Task
from emtkit_std._theory.facts import LinearHistoryLaw
from emtkit_std._theory.memory_map.held import held, held_nonlinearly, whitened
from emtkit_std.analyses.memory_map import MemoryMap
from emtkit_std.architectures.attention import Attention
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.emt_circuit import EmtCircuit
from emtkit_std.architectures.mechanisms.dead import Dead
from emtkit_std.architectures.mechanisms.exact_attention import ExactAttention
from emtkit_std.architectures.mechanisms.latch import Latch
from emtkit_std.architectures.mechanisms.phase_clock import PhaseClock
from emtkit_std.architectures.memoryless import Memoryless
from emtkit_std.architectures.optimal_linear import OptimalLinear
from emtkit_std.architectures.shift_register import ShiftRegister
from emtkit_std.architectures.twm_attention import TwmAttention
from emtkit_std.architectures.twm_linear import TwmLinear
from emtkit_std.tasks.flip_flop import FlipFlop
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from emtkit_std.tasks.k_delay import KDelay
from tests.std.null_nets import (
    Changed,
    Magnitudes,
    Permuted,
    oblique,
    untrained,
)
from tests.std.subjects import build, subject_of

COPY = Hds(rule="repeat", history=4, dimension=2, horizon=12)
DIAGONAL = Hds(rule="diagonal", history=4, dimension=4, horizon=12)
DELAY = KDelay(delay=3, amplitude="signed")
BITS = KDelay(delay=3, density=0.5, amplitude="constant")
EXACT = 1e-6


def look(model: SequenceModel, task: Task, sequences: int = 512):
    return MemoryMap(sequences=sequences).measure(subject_of(model.double(), task))


def assert_exact(found, moving: str) -> None:
    scalars = found.scalars
    assert scalars["held"] == pytest.approx(1, abs=EXACT)
    assert scalars["used"] == pytest.approx(1, abs=EXACT)
    assert scalars["interference"] == pytest.approx(0, abs=EXACT)
    assert scalars["overlap"] < 0.01
    assert scalars["moving"] == moving
    for index in ("slot", "wave"):
        assert scalars[index] == pytest.approx(float(index == moving), abs=0.15), index
    assert scalars["held_null"] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("task", "model"),
    [
        (COPY, build(EmtCircuit, COPY, hidden=16)),
        (DIAGONAL, build(EmtCircuit, DIAGONAL, hidden=20)),
        (COPY, build(TwmLinear, COPY, exact=True, basis="random", hidden=12)),
        (DELAY, build(ShiftRegister, DELAY, hidden=8)),
        (DELAY, build(OptimalLinear, DELAY, hidden=4)),
    ],
    ids=["circuit", "circuit of a part", "columns", "register", "optimum"],
)
def test_exact_linear_networks_are_waves_that_are_used(task, model):
    found = look(model, task)
    assert_exact(found, "wave")
    assert found.scalars["held_nonlinear"] == pytest.approx(1, abs=EXACT)
    assert found.scalars["wave"] == pytest.approx(1, abs=0.01)


def test_the_operator_of_an_exact_circuit_turns_by_the_angles_of_the_rule():
    findings = look(build(EmtCircuit, DIAGONAL, hidden=20), DIAGONAL)
    found, needs = findings.scalars, findings.arrays["needs"]
    assert (needs[3] > 0).sum() == DIAGONAL.facts(LinearHistoryLaw).mask.sum()
    assert found["rotation"] == pytest.approx(1, abs=0.01)
    assert found["angle_error"] < 1e-3


@pytest.mark.parametrize("task", [COPY, DELAY])
def test_slots_by_the_time_are_slots_and_turned_ones_a_rotation(task):
    assert_exact(look(build(PhaseClock, task), task), "slot")
    turned = look(build(PhaseClock, task, turn=90), task).scalars
    assert turned["moving"] == "rotation"
    assert turned["used"] == pytest.approx(1, abs=EXACT)
    assert max(turned["slot"], turned["wave"]) < 0.1


@pytest.mark.parametrize(
    "model",
    [build(Memoryless, DELAY), untrained(DELAY, 0.0, hidden=16)],
    ids=["memoryless", "nothing recurs"],
)
def test_where_nothing_recurs_nothing_is_held_beyond_its_own_step(model):
    found = look(model, DELAY)
    by_age = found.tables["held"].groupby("age")["r2"].mean()
    assert by_age[0] > 0.95
    assert (by_age[1:].abs() < 0.03).all()
    assert found.scalars["used"] == pytest.approx(0, abs=0.01)
    assert found.scalars["moving"] == "none"
    assert np.isnan(found.scalars["wave"])


@pytest.mark.parametrize("task", [COPY, DELAY])
@pytest.mark.parametrize("seed", range(3))
def test_untrained_networks_hold_what_they_do_not_use(task, seed):
    found = look(untrained(task, 2.0, hidden=32, seed=seed), task, sequences=256)
    by_age = found.tables["held"].groupby("age")["r2"].mean()
    assert by_age.max() > 0.5
    assert found.scalars["moving"] == "none"
    assert found.scalars["used"] < 0.3


def test_fewer_units_than_items_hold_no_more_than_their_number():
    """Three of four items are needed on average: the first steps need fewer."""
    for hidden in (1, 2, 3):
        found = look(build(OptimalLinear, DELAY, hidden=hidden), DELAY).scalars
        assert 0 < found["held"] < found["held_bound"] + 3 * found["held_error"]
        assert 0 < found["used"] < 1
        assert found["held_curved"] < 0.02
        if hidden > 1:
            assert found["wave"] == pytest.approx(1, abs=0.01)
            assert found["overlap"] > 0.1


def test_magnitudes_in_one_direction_are_read_by_a_curved_map_and_used():
    """The digit of age a has 3/4 4^-a of the variance of a state that is uniform."""
    found = look(Magnitudes(BITS, delay=3), BITS, sequences=2048)
    table = found.tables["held"]
    late = table[table["step"] >= 8].groupby("age")["r2"].mean()
    assert late.to_numpy() == pytest.approx(0.75 * 0.25 ** np.arange(4), abs=0.02)
    assert found.scalars["held_nonlinear"] > 0.75
    assert found.scalars["held_curved"] > 0.4
    assert found.scalars["used"] == pytest.approx(1, abs=EXACT)
    assert found.scalars["overlap"] == pytest.approx(1, abs=0.01)
    assert found.scalars["moving"] == "none"  # one direction has no places


@pytest.mark.parametrize(
    ("task", "model", "within"),
    [
        (COPY, build(EmtCircuit, COPY, hidden=12), 1e-6),
        (DELAY, untrained(DELAY, 1.2, hidden=12), 2e-3),
        (COPY, build(PhaseClock, COPY, turn=90), 1e-6),
    ],
    ids=["circuit", "untrained", "turning"],
)
def test_other_coordinates_of_the_state_change_nothing(task, model, within):
    """The first states of tanh units have directions of about FLOOR: some change sides of it."""
    model = model.double()
    before = look(model, task, 256).scalars
    after = look(Changed(model, oblique(model.hidden, 1e3)), task, 256).scalars
    assert after["moving"] == before["moving"]
    for name, value in before.items():
        if isinstance(value, float):
            assert after[name] == pytest.approx(value, abs=within, nan_ok=True), name


@pytest.mark.parametrize("task", [COPY, DELAY])
def test_states_of_other_sequences_are_chance(task):
    exact = build(EmtCircuit if task is COPY else ShiftRegister, task, hidden=8)
    found = look(Permuted(exact.double()), task).scalars
    assert found["held"] == pytest.approx(0, abs=0.02)
    assert found["held_nonlinear"] == pytest.approx(0, abs=0.02)
    assert found["moving"] == "none"
    assert abs(found["used"]) < 0.1


@pytest.mark.parametrize("task", [COPY, DELAY])
def test_what_attention_finds_in_its_context_is_used(task):
    """Whatever the basis of its stream, which holds what was read and not what comes."""
    found = look(build(ExactAttention, task, condition=1e2, scale=3.0), task).scalars
    assert found["used"] == pytest.approx(1, abs=EXACT)
    assert found["interference"] == pytest.approx(0, abs=EXACT)
    assert found["used_null"] < 0.5
    assert found["held"] < 0.6


def test_a_mean_over_the_context_follows_an_exchange_as_a_mean_does():
    """Step t answers with the mean of t + 1 inputs: of a change by 1, 1 / (t + 1) is to be seen.

    Items are exchanged at steps 4 and 7, and the four that are held then are due from there on.
    """
    task = KDelay(delay=3, amplitude="signed", steps=12)
    found = look(build(ExactAttention, task, position="none"), task).scalars
    due = np.array([4, 5, 6, 7, 7, 8, 9, 10])
    missed = np.mean((1 - 1 / (due + 1)) ** 2)
    assert found["used"] == pytest.approx(1 - missed, abs=0.02)
    assert found["interference"] > 0.5
    assert found["moving"] == "none"


@pytest.mark.parametrize("task", [COPY, DELAY])
@pytest.mark.parametrize("seed", range(3))
def test_untrained_attention_does_not_use_its_context(task, seed):
    torch.manual_seed(seed)
    found = look(Attention(task, hidden=16, heads=2), task).scalars
    assert found["used"] < 0.1
    assert found["moving"] == "none"


class Opaque(SequenceModel):
    """A register that shows neither a state nor a context."""

    name = "opaque"

    def __init__(self, register: ShiftRegister):
        super().__init__()
        self.register = register

    def trace(self, inputs, steps):
        return self.register.trace(inputs, steps)


def test_what_shows_no_state_is_read_and_cannot_be_exchanged():
    found = look(Opaque(build(ShiftRegister, DELAY, hidden=8)), DELAY)
    assert found.scalars["held"] == pytest.approx(1, abs=EXACT)
    assert np.isnan(found.scalars["used"])
    assert "shows no context" in found.reasons["used"]


def test_columns_with_attention_at_their_end_are_a_wave():
    model = build(TwmAttention, COPY, position="onehot", exact_strength=12.0)
    assert look(model, COPY).scalars["moving"] == "wave"


class Silent(KDelay):
    """Its needs are known, and nothing else: what is exchanged has no right answer."""

    offers: ClassVar = KDelay.offers
    facts = KDelay.facts

    def sample(self, batch, stream: Stream, horizon=None):
        return super().sample(batch, stream, horizon)


def test_a_task_without_targets_is_mapped_but_for_use():
    task = Silent(delay=2)
    found = look(build(ShiftRegister, task, hidden=4), task)
    assert found.scalars["held"] == pytest.approx(1, abs=EXACT)
    assert "`targets`" in found.reasons["used"]
    assert found.scalars["moving"] == "wave"


def test_too_many_items_or_directions_are_refused_in_words():
    task = KDelay(delay=40, features=1, steps=60)
    with pytest.raises(NotApplicable, match="raise `sequences`"):
        look(build(Elman, task, hidden=4), task, sequences=64)
    with pytest.raises(NotApplicable, match="raise `sequences`"):
        look(untrained(COPY, 2.0, hidden=40), COPY, sequences=64)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**31))
def test_no_linear_code_holds_more_than_its_units(units, items, seed):
    rng = np.random.default_rng(seed)
    values = rng.choice([-1.0, 1.0], size=(400, items))
    states = values @ rng.normal(size=(items, units)) + 0.1 * rng.normal(size=(400, units))
    found = held(whitened(states), values, np.arange(400) % 4)
    assert found.r2.sum() < min(units, items) + 0.05
    assert (found.r2 > -0.05).all()
    assert (found.r2 <= 1).all()


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
def test_the_share_that_is_held_is_that_of_the_signal(share):
    rng = np.random.default_rng(0)
    values = rng.choice([-1.0, 1.0], size=(4000, 2))
    noise = np.sqrt((1 - share) / share) * rng.normal(size=(4000, 2))
    white = whitened(np.hstack([values + noise, rng.normal(size=(4000, 5))]))
    assert held(white, values, np.arange(4000) % 4).r2 == pytest.approx(share, abs=0.03)


def test_a_product_of_signs_is_read_by_the_curved_map_alone():
    """b in the size of a direction whose sign is a: h = a (1 + b / 2)."""
    rng = np.random.default_rng(0)
    values = rng.choice([-1.0, 1.0], size=(600, 2))
    white = whitened(values[:, :1] * (1 + values[:, 1:] / 2))
    folds = np.arange(600) % 4
    assert held(white, values, folds).r2 == pytest.approx([0.8, 0.0], abs=0.05)
    assert held_nonlinearly(white, values, folds).r2 == pytest.approx([1, 1], abs=0.01)


def test_states_that_do_not_vary_hold_nothing():
    values = np.random.default_rng(0).choice([-1.0, 1.0], size=(100, 3))
    white = whitened(np.ones((100, 5)))
    assert white.shape == (100, 0)
    assert held(white, values, np.arange(100) % 4).r2 == pytest.approx(0, abs=0.1)


def test_a_latch_holds_the_bits_that_its_task_names():
    pulses = FlipFlop(density=0.3, steps=20)
    found = look(build(Latch, pulses), pulses)
    assert found.scalars["variables_held"] == pytest.approx(1, abs=EXACT)
    assert set(found.tables["variables"]["variable"]) == {"bit 1", "bit 2", "bit 3"}
    absent = look(build(Dead, pulses), pulses).scalars["variables_held"]
    assert absent == pytest.approx(0, abs=0.02)
    unnamed = look(build(PhaseClock, COPY), COPY)
    assert unnamed.reasons["variables_held"] == "'hds' names no further variables (`variables`)"
