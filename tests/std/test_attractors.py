"""`attractors` on maps whose long run is known on paper, and on networks that hold nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from emtkit import RecurrentModel
from emtkit_std._theory.networks.forms import ElmanNetwork
from emtkit_std.analyses.attractors import Attractors
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.emt_circuit import EmtCircuit
from emtkit_std.architectures.mechanisms.phase_clock import PhaseClock
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from emtkit_std.tasks.k_delay import KDelay
from tests.std.null_nets import untrained
from tests.std.pictures import drawings_of
from tests.std.subjects import build, subject_of

COPY = Hds(rule="repeat", history=4, dimension=2, horizon=12)
GAIN = 2.0
SHORT = {"sequences": 8, "steps": 1200, "longest": 200}


class Map(RecurrentModel):
    """A state that the input sets and a function moves; the first number is read out."""

    name = "map_fake"

    def __init__(self, function, first, outputs=2):
        super().__init__()
        self.function, self.hidden, self.outputs = function, len(first), outputs
        self.register_buffer("first", torch.tensor(first, dtype=torch.float64))

    def step(self, state, inputs):
        return self.function(state)

    def read(self, state):
        return state[..., :1].expand(*state.shape[:-1], self.outputs)

    def encode(self, inputs):
        """Another point near `first` for each sequence."""
        shift = inputs.flatten(1)[:, :1] + 0.1 * inputs.flatten(1)[:, 1:2]
        return self.first * (1 + 1e-3 * shift)


class Swift(EmtCircuit):
    """The circuit with the Jacobian of its form, which is fast."""

    jacobian = ElmanNetwork.jacobian


def look(model, task=COPY, **parameters):
    return Attractors(**{**SHORT, **parameters}).measure(subject_of(model.double(), task))


def henon(state):
    first, second = state.unbind(-1)
    return torch.stack([1 - 1.4 * first.square() + second, 0.3 * first], -1)


def turned(angle, radius=1.0):
    matrix = (
        radius
        * torch.tensor(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        ).double()
    )
    return lambda state: state @ matrix.T


def fixed_amplitude(gain):
    """a = tanh(gain a), by the iteration that contracts to it."""
    amplitude = 1.0
    for _ in range(200):
        amplitude = math.tanh(gain * amplitude)
    return amplitude


@pytest.mark.parametrize(("rule", "period"), [("T1", 8), ("T3", 48), ("T4", 70)])
def test_a_saturating_register_stands_on_cycles_of_the_rules_period(rule, period):
    task = Hds(rule=rule)
    register = build(EmtCircuit, task, hidden=64, basis="units", activation="tanh", gain=GAIN)
    found = look(register, task, sequences=4)
    said = found.scalars
    assert (said["kind"], said["kind_share"], said["share_held"]) == ("cycle", 1.0, 1.0)
    assert said["period"] == period
    # closed form: every unit of the core has slope g (1 - a^2) at each of its p places
    slope = GAIN * (1 - fixed_amplitude(GAIN) ** 2)
    assert said["floquet_radius"] == pytest.approx(slope, rel=1e-6)
    modulus = np.hypot(found.tables["multipliers"]["real"], found.tables["multipliers"]["imag"])
    assert (np.isclose(modulus, slope, rtol=1e-6) | (modulus < 1e-6)).all()
    # a neighbour approaches at that very rate: the exponent is measured, not derived
    exponents = found.tables["histories"]["exponent"]
    assert exponents.to_numpy() == pytest.approx(math.log(slope), rel=1e-3)
    assert said["lifetime"] == SHORT["steps"]
    assert said["censored"] == said["accuracy_1000"] == 1.0


def test_the_period_of_compose_copy_is_found_whole():
    """840 = lcm(8, 7, ..., 1); its product of Jacobians would be 1e-654."""
    task = Hds(rule="T2")
    register = build(Swift, task, hidden=36, basis="units", activation="tanh", gain=GAIN)
    said = look(register, task, sequences=2, longest=1000).scalars
    assert said["period"] == 840
    assert said["floquet_radius"] == pytest.approx(GAIN * (1 - fixed_amplitude(GAIN) ** 2))


@pytest.mark.parametrize("basis", ["orthonormal", "gaussian"])
def test_a_linear_circuit_remembers_all_and_is_never_stable(basis):
    said = look(build(EmtCircuit, COPY, hidden=16, basis=basis)).scalars
    assert said["floquet_radius"] == pytest.approx(1, abs=1e-9)
    assert said["share_stable"] == said["share_held"] == 0
    assert said["accuracy_1000"] == said["censored"] == 1
    assert said["period"] == 4


def test_a_clock_that_holds_its_items_is_neutral_too():
    said = look(build(PhaseClock, COPY)).scalars
    assert (said["kind"], said["share_stable"], said["censored"]) == ("cycle", 0, 1)


def test_a_leaky_network_dies_and_a_slow_leak_drifts():
    dead = look(build(EmtCircuit, COPY, hidden=16, gain=0.9)).scalars
    assert (dead["kind"], dead["share_dead"], dead["share_stable"]) == ("dead", 1, 0)
    assert math.isnan(dead["floquet_radius"])
    slow = look(build(EmtCircuit, COPY, hidden=16, gain=0.9999)).scalars
    assert (slow["kind"], slow["share_held"]) == ("drifting", 0)
    assert slow["censored"] == 1  # it still answers right, and nothing holds it
    saturating = look(build(EmtCircuit, COPY, hidden=16, activation="tanh", amplitude=0.1))
    assert saturating.scalars["kind"] == "drifting"


def test_untrained_networks_hold_nothing():
    plain = look(build(Elman, COPY, hidden=16))
    assert plain.scalars["kind"] == "dead"
    assert plain.scalars["share_held"] == 0
    assert plain.scalars["accuracy_1000"] == pytest.approx(0.5, abs=0.1)
    wild = look(untrained(COPY, 2.0, hidden=32))
    assert (wild.scalars["kind"], wild.scalars["share_held"]) == ("chaotic", 0)


def test_chaos_is_no_cycle_although_cycles_lie_near_every_state():
    """Exponents: ln 2 of the logistic map at 4, .419 of Henon's (Strogatz, sections 10.5, 12.2)."""
    found = look(Map(lambda h: 4 * h * (1 - h), [0.3]), longest=1000)
    assert set(found.tables["histories"]["kind"]) == {"chaotic"}
    assert found.tables["histories"]["exponent"].mean() == pytest.approx(math.log(2), abs=0.02)
    assert found.scalars["share_stable"] == 0
    found = look(Map(henon, [0.1, 0.1]), longest=1000)
    assert set(found.tables["histories"]["kind"]) == {"chaotic"}
    assert found.tables["histories"]["exponent"].mean() == pytest.approx(0.419, abs=0.03)


def test_a_turn_by_the_golden_angle_never_closes():
    said = look(Map(turned(math.pi * (3 - math.sqrt(5))), [0.3, 0.1])).scalars
    assert (said["kind"], said["share_stable"]) == ("quasi-periodic", 0)
    assert math.isnan(said["period"])


def test_a_turn_that_almost_closes_drifts():
    said = look(Map(turned(2 * math.pi / 8 + 1e-6), [0.3, 0.1])).scalars
    assert said["kind"] == "drifting"


def test_a_circle_that_attracts_is_no_cycle():
    """h <- turned h (1 + (1 - |h|^2) / 4): the circle |h| = 1 attracts, and turns."""
    turn = turned(math.pi * (3 - math.sqrt(5)))

    def step(state):
        return turn(state) * (1 + (1 - state.square().sum(-1, keepdim=True)) / 4)

    said = look(Map(step, [0.3, 0.1])).scalars
    assert (said["kind"], said["share_stable"]) == ("quasi-periodic", 0)


def test_a_cycle_that_is_approached_slowly_is_found_by_newtons_method():
    """|h| -> 1 by (1 + (1 - |h|) / 400) per step, a quarter turn each: exp(-3) after 1,200."""
    turn = turned(math.pi / 2)

    def step(state):
        angle = torch.atan2(state[..., 1:], state[..., :1])
        size = state.norm(dim=-1, keepdim=True)
        pull = torch.sin(4 * angle) / 400  # four places of the circle attract
        whole = size + (1 - size) / 400
        moved = angle - pull
        return turn(whole * torch.cat([torch.cos(moved), torch.sin(moved)], -1))

    found = look(Map(step, [0.9, 0.1]))
    said = found.scalars
    assert (said["kind"], said["period"], said["share_stable"]) == ("cycle", 4, 1)
    assert said["floquet_radius"] == pytest.approx(1 - 1 / 400, abs=1e-6)
    assert 1e-4 < said["moved"] < 0.05
    assert (found.tables["histories"]["before"] > 1e-5).all()
    assert said["residual"] < 1e-9


def test_a_cycle_beyond_the_longest_is_unresolved():
    """Ninety places of a circle, visited in turn; a neighbour's distance shrinks by .3."""

    def step(state):
        angle = torch.atan2(state[..., 1:], state[..., :1])
        turns = angle * 90 / (2 * math.pi)
        nearest = turns.round()
        angle = (nearest + 1 + 0.3 * (turns - nearest)) * 2 * math.pi / 90
        return torch.cat([torch.cos(angle), torch.sin(angle)], -1)

    assert look(Map(step, [0.9, 0.1]), longest=60).scalars["kind"] == "unresolved"


def test_a_state_that_grows_without_bound_is_told():
    said = look(build(EmtCircuit, COPY, hidden=16, gain=1.5)).scalars
    assert (said["kind"], said["share_stable"]) == ("diverging", 0)


def test_lifetimes_count_the_outputs_before_the_first_wrong_sign():
    """Sign flips of an output after 37 steps: x counts, y = sign of 37 - x."""

    class Timed(Map):
        def read(self, state):
            right = torch.where(state[..., 2:] < 37.5, 1.0, -1.0) * state[..., :2]
            return right

        def encode(self, inputs):
            return torch.cat([inputs[:, 0], torch.zeros_like(inputs[:, 0, :1])], -1)

    def step(state):
        return state + torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)

    task = Hds(rule="repeat", history=1, dimension=2, horizon=12)
    found = look(Timed(step, [0.0, 0.0, 0.0]), task)
    assert set(found.tables["histories"]["lifetime"]) == {37}
    assert (found.scalars["lifetime"], found.scalars["censored"]) == (37, 0)
    assert found.scalars["accuracy_1000"] == 0


def test_a_task_without_signs_to_continue_has_ends_but_no_answers():
    found = look(build(Elman, KDelay(), hidden=8), KDelay())
    assert found.scalars["kind"] == "dead"
    assert math.isnan(found.scalars["lifetime"])
    assert "no signs" in found.reasons["lifetime"]
    short = look(build(Elman, COPY, hidden=8))
    assert "only 1,200 outputs" in short.reasons["accuracy_10000"]


def test_the_figure_draws_with_and_without_answers():
    for model, task in (
        (build(Elman, KDelay(), hidden=8), KDelay()),
        (build(EmtCircuit, COPY, hidden=16), COPY),
    ):
        assert len(drawings_of(Attractors, look(model, task))["survival"].plots) == 2
