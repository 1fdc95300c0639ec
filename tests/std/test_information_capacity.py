"""Information processing capacity on networks whose capacity is known, and its nulls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emtkit import NotApplicable, RecurrentModel, Task
from emtkit_std.analyses.information_capacity import InformationCapacity, _Reader
from emtkit_std.architectures.attention import Attention
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.gru import GatedRecurrentUnit
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.shift_register import ShiftRegister
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import rounding
from tests.std.known_nets import look
from tests.std.pictures import drawings_of
from tests.std.subjects import build

TASK = KDelay()


class Products(RecurrentModel):
    """Holds u(t) u(t-1), beside the last input centred: one linear, one product."""

    name = "products_fake"

    def __init__(self, task: Task, *, centre: float = 0.5) -> None:
        super().__init__()
        self.hidden, self.centre = 2, centre
        self.register_buffer("unit", torch.ones(()))

    def step(self, state: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        now = inputs[:, :1] - self.centre
        return torch.cat([now, now * state[:, :1]], 1) * self.unit

    def read(self, state: torch.Tensor) -> torch.Tensor:
        return state[..., :1]


def test_a_register_holds_its_length_and_no_product() -> None:
    found = look(InformationCapacity(), TASK, ShiftRegister(TASK).double()).scalars
    assert found["linear"] == pytest.approx(4.0, abs=rounding(4096))
    assert found["nonlinear"] == 0.0
    assert found["directions"] == 4
    assert found["linear_error"] == pytest.approx(0.0, abs=rounding(4096))


def test_one_product_is_found_at_its_lag() -> None:
    findings = look(InformationCapacity(degree=2), TASK, Products(TASK).double())
    assert findings.scalars["linear"] == pytest.approx(1.0, abs=1e-6)
    assert findings.scalars["nonlinear"] == pytest.approx(1.0, abs=1e-6)
    table = findings.tables["capacity"]
    second = table[table["degree"] == 2].set_index("lag")["capacity"]
    assert second[1] == pytest.approx(1.0, abs=1e-6)
    (plot,) = drawings_of(InformationCapacity, findings)["capacity"].plots
    assert [mark.label for mark in plot.marks] == ["degree 1", "degree 2"]
    assert plot.marks[1].height[1] == pytest.approx(1.0, abs=1e-6)


SLOWER = [pytest.param(one, marks=pytest.mark.slow) for one in (GatedRecurrentUnit, LinearRnn)]


@pytest.mark.parametrize("network", [Elman, *SLOWER])
def test_the_total_is_at_most_the_directions(network: type[RecurrentModel]) -> None:
    """Dambre et al.: and near it, where a network forgets and its products are asked for."""
    torch.manual_seed(0)
    found = look(InformationCapacity(), TASK, build(network, TASK, hidden=8).double()).scalars
    assert found["total"] <= found["directions"] + 4 * found["total_error"]
    assert found["total"] > 0.9 * found["directions"]


def test_a_linear_network_holds_no_product() -> None:
    found = look(InformationCapacity(), TASK, build(LinearRnn, TASK, hidden=8).double()).scalars
    assert found["nonlinear"] < 0.1
    assert found["linear"] == pytest.approx(8, abs=4 * found["linear_error"] + 0.05)


@pytest.mark.slow
def test_a_curved_network_trades_linear_capacity_for_products() -> None:
    model = build(Elman, TASK, hidden=8, activation="tanh").double()
    straight = look(InformationCapacity(), TASK, model).scalars
    model.W_uh.mul_(20.0)
    curved = look(InformationCapacity(), TASK, model).scalars
    assert curved["linear"] < straight["linear"] - 1
    assert curved["nonlinear"] > straight["nonlinear"]


def test_a_dead_network_and_noise_hold_nothing() -> None:
    dead = build(Elman, TASK, hidden=8).double()
    dead.W_uh.zero_()
    found = look(InformationCapacity(), TASK, dead).scalars
    assert found["total"] == found["directions"] == 0

    class Noise(Products):
        """States that depend on nothing that was put in."""

        name = "noise_fake"

        def step(self, state: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
            rows = torch.randn(inputs.shape[0], 2, generator=self.generator)
            return rows.double() * self.unit

    model = Noise(TASK).double()
    model.generator = None
    torch.manual_seed(1)
    assert look(InformationCapacity(), TASK, model).scalars["total"] < 0.01


@pytest.mark.slow
def test_the_answer_does_not_depend_on_the_coordinates_of_the_states() -> None:
    model = build(Elman, TASK, hidden=6).double()
    before = look(InformationCapacity(), TASK, model).scalars

    class Turned(RecurrentModel):
        """The same network, of which other coordinates are seen."""

        name = "turned_fake"

        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.inner = model.hidden, model
            self.A = torch.randn(6, 6, generator=torch.Generator().manual_seed(0)).double()

        def step(self, state: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
            return self.inner.step(self.back(state), inputs) @ self.A.T

        def read(self, state: torch.Tensor) -> torch.Tensor:
            return self.inner.read(self.back(state))

        def back(self, state: torch.Tensor) -> torch.Tensor:
            return state @ torch.linalg.inv(self.A).T

    after = look(InformationCapacity(), TASK, Turned()).scalars
    for name in ("linear", "nonlinear", "total"):
        assert after[name] == pytest.approx(before[name], abs=1e-6)


def test_attention_is_read_at_its_own_length_and_other_tasks_are_refused() -> None:
    found = look(InformationCapacity(), TASK, build(Attention, TASK).double()).scalars
    assert 0 < found["linear"] <= found["directions"] + 4 * found["linear_error"]
    task = HistoryDependentSystem(rule="repeat", history=4, dimension=2)
    with pytest.raises(NotApplicable, match="driven at every step"):
        look(InformationCapacity(), task, build(Elman, task, hidden=4))
    with pytest.raises(NotApplicable, match="99 lags"):
        look(InformationCapacity(lags=99), TASK, build(Attention, TASK).double())


@pytest.mark.parametrize("held", [0.0, 0.5, 0.9])
def test_chance_is_removed(held: float) -> None:
    """Ten directions, few states: an item in noise is held to the share, an absent one to 0."""
    rng = np.random.default_rng(0)
    found, raw = [], []
    for _ in range(80):
        inputs = rng.uniform(-1, 1, size=(16, 40, 1))
        states = rng.normal(size=(16, 36, 10))
        item = np.sqrt(3) * inputs[:, 4:, 0]  # of variance 1
        states[..., 0] = np.sqrt(held) * item + np.sqrt(1 - held) * states[..., 0]
        reader = _Reader(states, inputs, 5)
        values = np.stack([reader._values(each) for each in reader.products(1, 1)], axis=-1)
        found.append(reader._explained(values)[0][0])
        chance = 10 / (8 * 36)
        raw.append(found[-1] * (1 + chance) - chance)
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(held, abs=4 * error)
    assert error < 0.01
    if held < 0.9:  # without the correction it would be seen
        assert np.mean(raw) < held - 3 * error
