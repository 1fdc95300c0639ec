"""Constructed registers are exact, and say where they end."""

import numpy as np
import pytest
import torch

from emtkit import NotApplicable, Stream
from emtkit_std._theory.facts import LinearRecurrence, PulseCircuit
from emtkit_std.analyses.superposition import Superposition
from emtkit_std.architectures.shift_register import ShiftRegister
from emtkit_std.tasks.k_delay import KDelay
from tests.std.known_nets import chain, look, relu_chain


def test_a4_the_linear_register_is_exact_and_has_no_regime():
    task = KDelay(delay=3, density=0.5)
    model = ShiftRegister(task, hidden=4)
    circuit = model.facts(PulseCircuit)
    for found, expected in zip((circuit.W_hh, circuit.W_uh, circuit.W_r), chain(4), strict=True):
        np.testing.assert_array_equal(found, expected)
    findings = look(Superposition(samples=500), task, model)
    assert findings.scalars["relative_loss"] == findings.scalars["expected_loss"] == 0
    assert findings.scalars["regime"] == "undefined"
    assert np.isnan(findings.scalars["hidden_share"])
    assert "readout is linear" in findings.reasons["hidden_share"]


def test_a5_the_relu_register_of_two_units_at_delay_two():
    task = KDelay(delay=2, density=0.1)
    model = ShiftRegister(task, hidden=2, activation="relu")
    circuit = model.facts(PulseCircuit)
    for found, expected in zip(
        (circuit.W_hh, circuit.W_uh, circuit.W_r), relu_chain(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    found = look(Superposition(samples=500), task, model).scalars
    assert (found["hidden_share"], found["tail"], found["visible_interference"]) == (1, 0, 0)
    assert found["regime"] == "sparse"
    with pytest.raises(NotApplicable, match="not a linear recurrence"):
        model.facts(LinearRecurrence)


@pytest.mark.parametrize(
    ("delay", "features", "hidden", "activation"),
    [(3, 2, 9, "linear"), (2, 2, 6, "relu"), (0, 1, 1, "relu"), (1, 1, 1, "relu")],
)
def test_registers_answer_a_lone_pulse_exactly(delay, features, hidden, activation):
    task = KDelay(delay=delay, features=features, density=0.5)
    model = ShiftRegister(task, hidden=hidden, activation=activation).double()
    pulse = torch.zeros(features, task.steps, features, dtype=torch.float64)
    for feature in range(features):
        pulse[feature, 0, feature] = 0.7
    outputs = model.trace(pulse, task.steps).outputs
    expected = torch.zeros_like(outputs)
    for feature in range(features):
        expected[feature, delay, feature] = 0.7
    torch.testing.assert_close(outputs, expected)


def test_a_linear_register_is_exact_for_dense_signed_inputs():
    task = KDelay(delay=3, features=2, amplitude="signed")
    batch = task.sample(20, Stream(0, "data"))
    outputs = ShiftRegister(task, hidden=8).trace(batch.inputs, batch.steps).outputs
    assert torch.equal(outputs, batch.targets)


@pytest.mark.parametrize(
    ("task", "parameters", "reason"),
    [
        ({"delay": 4}, {"hidden": 4, "activation": "linear"}, "needs 5 each"),
        ({"delay": 3}, {"hidden": 2, "activation": "relu"}, "needs 3 each"),
        ({"amplitude": "signed"}, {"hidden": 4, "activation": "relu"}, "not known to be"),
        ({"amplitude": "normal"}, {"hidden": 4, "activation": "relu"}, "not known to be"),
    ],
)
def test_where_a_register_does_not_apply(task, parameters, reason):
    assert reason in ShiftRegister.accepts(KDelay(**task), parameters)
    assert not ShiftRegister.trains(parameters)
