"""What is certain of networks: of constructed ones by their facts, of linear ones by a theorem."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from emtkit import Batch, NotApplicable, RecurrentModel, Stream
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std.analyses.known_mechanism import KnownMechanism
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.tasks.flip_flop import FlipFlop
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from emtkit_std.tasks.k_delay import KDelay
from tests.std.known_nets import set_weights
from tests.std.subjects import build, subject_of
from tests.std.test_mechanisms import CUED, DIGITS, KNOWN, REPEAT

DELAY = KDelay(delay=2, amplitude="signed")


def known(model, task):
    return KnownMechanism().measure(subject_of(model.double(), task))


@pytest.mark.parametrize(
    ("name", "parameters", "task", "moving", "true"),
    [
        ("register", {}, REPEAT, "wave", {"wave", "used"}),
        ("phase_clock", {}, REPEAT, "slot", {"slot", "used"}),
        ("phase_clock", {"turn": 50.0}, REPEAT, "rotation", {"rotation", "used"}),
        (
            *("magnitude_code", {}, DIGITS, "shared"),
            {"shared", "used", "magnitude", "superposed", "corrects"},
        ),
        ("latch", {}, FlipFlop(), "shared", {"shared", "used", "corrects"}),
        ("stable_cycle", {}, REPEAT, "wave", {"wave", "used", "corrects"}),
        ("ring_attractor", {}, CUED, "slot", {"slot", "used"}),
        ("dead", {}, REPEAT, "none", set()),
    ],
)
def test_a_constructed_network_says_what_is_true_of_it(name, parameters, task, moving, true):
    scalars = known(build(KNOWN[name], task, **parameters), task).scalars
    assert scalars["moving"] == moving
    assert {key for key, value in scalars.items() if value is True} == true


def test_of_attention_nothing_is_said_to_move():
    found = known(build(KNOWN["exact_attention"], DELAY), DELAY)
    assert found.scalars["used"] is True
    assert math.isnan(found.scalars["moving"])
    assert found.reasons["wave"] == "the items of attention do not move"


def test_a_linear_network_that_answers_is_a_wave_and_one_that_does_not_is_not_certain():
    line, one, exact = np.eye(3, k=-1), np.eye(3), build(LinearRnn, DELAY, hidden=3)
    set_weights(exact, W_hh=line, W_uh=one[:, :1], W_r=one[2:])
    assert known(exact, DELAY).scalars["moving"] == "wave"
    with pytest.raises(NotApplicable, match="of the variance of the targets"):
        known(build(LinearRnn, DELAY, hidden=3), DELAY)


class Silent(KDelay):
    """A delay whose answers are all 0."""

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        drawn = super().sample(batch, stream, horizon)
        return replace(drawn, targets=torch.zeros_like(drawn.targets))


def test_targets_that_never_vary_make_nothing_certain():
    with pytest.raises(NotApplicable, match="of the variance of the targets"):
        known(build(LinearRnn, DELAY, hidden=3), Silent(delay=2, amplitude="signed"))


def test_a_network_that_is_not_linear_is_not_certain():
    with pytest.raises(NotApplicable, match="no theorem speaks of networks that are not linear"):
        known(build(Elman, DELAY, hidden=3), DELAY)


def test_every_kind_but_attention_has_a_name_for_where_its_codes_go():
    kinds = Mechanism.__dataclass_fields__["kind"].type.__args__
    assert {kind for kind in kinds if Mechanism(kind).moving is None} == {"attention"}


def test_errors_of_latch_and_cycle_die_out_by_the_strength_of_the_correction():
    for strength in (0.3, 0.8, 1.0):
        latch = build(KNOWN["latch"], FlipFlop(bits=1), correction=strength).double()
        for digit in (-1.0, 0.0, 1.0):
            state = torch.full((1, 1), digit).double()
            assert torch.allclose(latch.step(state, torch.zeros(1, 1).double()), state)
            assert slope(latch, state).item() == pytest.approx(1 - strength)
        task = Hds(rule="repeat", history=3, dimension=1)
        cycle = build(KNOWN["stable_cycle"], task, correction=strength).double()
        around, state = torch.eye(3).double(), torch.tensor([[1.0, -1.0, 1.0]]).double()
        for _ in range(3):
            around = slope(cycle, state) @ around
            state = cycle.step(state, torch.zeros(1, 1).double())
        assert torch.allclose(around, (1 - strength) ** 3 * torch.eye(3).double())


def slope(model: RecurrentModel, state: torch.Tensor) -> torch.Tensor:
    silence = torch.zeros(1, 1).double()
    found = torch.autograd.functional.jacobian(lambda h: model.step(h, silence), state)
    return found[0, :, 0]
