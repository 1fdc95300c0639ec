"""What the recurrent architectures share: starts, tied readouts, and weights as circuits."""

import numpy as np
import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from emtkit import RecurrentModel, Stream
from emtkit.dynamics.linearise import state_jacobians
from emtkit_std._theory.facts import LinearRecurrence, PulseCircuit
from emtkit_std._theory.networks.recurrence import linear_states, recurrent_weights
from emtkit_std._theory.superposition.projections import pulse_responses
from emtkit_std._theory.superposition.pulses import circuit_response
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.irnn import IdentityRnn
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.relu_rnn import ReluRnn
from emtkit_std.architectures.wave_rnn import WaveRnn
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import assert_rounded

TASK = KDelay(delay=2, features=2, density=0.5)

NETWORKS = [
    (LinearRnn, {}),
    (LinearRnn, {"readout": "relu", "bias": True, "hidden": 3, "init": "gaussian"}),
    (LinearRnn, {"tied": True}),
    (ReluRnn, {}),
    (ReluRnn, {"activation": "tanh", "bias": True, "readout": "linear", "init": "uniform"}),
    (ReluRnn, {"tied": True, "hidden": 4}),
    (Elman, {"hidden": 5}),
    (Elman, {"hidden": 4, "activation": "relu", "bias": True, "init": "orthogonal"}),
    (Elman, {"hidden": 4, "init": "gaussian"}),
]


# Sums of at most 5 states, 2 inputs and a bias, at each of 11 steps and in the readout.
ROUNDED = (11 + 1) * 8


def build(cls: type[RecurrentModel], parameters: dict[str, object]) -> RecurrentModel:
    model = cls(TASK, **parameters)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.1 * torch.randn_like(value))
    return model.double()


@pytest.mark.parametrize(("cls", "parameters"), NETWORKS)
def test_the_circuit_is_the_network(cls, parameters):
    torch.manual_seed(0)
    model = build(cls, parameters)
    inputs = TASK.sample(4, Stream(0, "data", dtype=torch.float64)).inputs
    with torch.no_grad():
        outputs = model.trace(inputs, inputs.shape[1]).outputs
    expected = circuit_response(model.facts(PulseCircuit))(inputs.numpy())
    assert_rounded(outputs, expected, ROUNDED)


@pytest.mark.parametrize(("cls", "parameters"), NETWORKS)
def test_a_stack_equals_its_rows_and_gradients_reach_every_parameter(cls, parameters):
    torch.manual_seed(1)
    models = [build(cls, parameters) for _ in range(2)]
    weights, buffers = stack_module_state(models)
    inputs = TASK.sample(3, Stream(0, "data", dtype=torch.float64)).inputs

    def outputs(one, two):
        return functional_call(models[0], (one, two), (inputs, inputs.shape[1])).outputs

    together = vmap(outputs)(weights, buffers)
    for row, model in enumerate(models):
        alone = model.trace(inputs, inputs.shape[1]).outputs
        assert_rounded(together[row], alone, ROUNDED)
    together.square().sum().backward()
    assert all(bool(value.grad.abs().sum() > 0) for value in weights.values())


@pytest.mark.parametrize(("cls", "parameters"), NETWORKS)
def test_the_jacobian_in_closed_form_is_the_derivative_of_the_step(cls, parameters):
    torch.manual_seed(3)
    model = build(cls, parameters)
    state = torch.randn(4, model.hidden, dtype=torch.float64)
    inputs = torch.randn(4, 2, dtype=torch.float64)
    # An error of what enters a unit, a sum of 8, is relative to what enters at most.
    most = 1 + sum(
        float((values.abs() @ model.get_parameter(name).detach().abs().T).max())
        for name, values in (("W_hh", state), ("W_uh", inputs))
    )
    found, wanted = model.jacobian(state, inputs), state_jacobians(model.step, state, inputs)
    assert_rounded(found, wanted, 8, most)


@pytest.mark.parametrize(
    ("cls", "parameters"),
    [
        (Elman, {"activation": "tanh"}),
        (Elman, {"activation": "relu"}),
        (ReluRnn, {"activation": "relu", "tied": False}),
        (IdentityRnn, {"activation": "tanh"}),
        (WaveRnn, {"activation": "tanh"}),
    ],
)
def test_values_that_may_grow_are_for_linear_networks(cls, parameters):
    growing = HistoryDependentSystem(rule="fibonacci", history=2, dimension=1)
    signs = HistoryDependentSystem(rule="repeat", history=2, dimension=1)
    assert "may grow without bound" in str(cls.accepts(growing, parameters))
    assert cls.accepts(signs, parameters) is None
    assert cls.accepts(TASK, parameters) is None


@pytest.mark.parametrize("cls", [IdentityRnn, WaveRnn])
def test_with_linear_units_they_carry_any_value(cls):
    growing = HistoryDependentSystem(rule="fibonacci", history=2, dimension=1)
    assert cls.accepts(growing, {"activation": "linear"}) is None


def test_a_readout_cannot_be_tied_to_a_sum_of_the_past():
    growing = HistoryDependentSystem(rule="fibonacci", history=2, dimension=1)
    assert "not delayed copies" in str(LinearRnn.accepts(growing, {"tied": True}))
    assert LinearRnn.accepts(growing, {"tied": False}) is None


@pytest.mark.parametrize(("cls", "activation"), [(LinearRnn, "linear"), (ReluRnn, "relu")])
def test_a_tied_readout_is_the_delayed_direction(cls, activation):
    torch.manual_seed(2)
    circuit = cls(TASK, tied=True, hidden=3).facts(PulseCircuit)
    directions = pulse_responses(circuit.W_hh, circuit.W_uh, 3, activation)
    # W_r by the network in single precision, two products of three units
    assert_rounded(circuit.W_r, directions[2].T, 2 * 3, dtype=np.float32)


@pytest.mark.parametrize("hidden", [1, 2, 3, 6])
def test_a_spiral_start_has_radii_between_a_half_and_95_percent(hidden):
    torch.manual_seed(3)
    weights = recurrent_weights("spiral", hidden).double().numpy()
    assert weights.shape == (hidden, hidden)
    radii = np.abs(np.linalg.eigvals(weights))
    assert ((radii > 0.499) & (radii < 0.951)).all()


def test_a_linear_rnn_offers_its_recurrence_and_an_elman_network_does_not():
    assert LinearRecurrence in LinearRnn.offers
    assert LinearRecurrence not in Elman.offers
    recurrence = LinearRnn(TASK).facts(LinearRecurrence)
    assert recurrence.W_r.shape == (2, 2)


@pytest.mark.parametrize("steps", [5, 9])
def test_one_product_gives_the_states_of_the_loop(steps):
    torch.manual_seed(4)
    model = LinearRnn(TASK, hidden=3, init="gaussian").double()
    inputs = torch.randn(4, 5, 2, dtype=torch.float64)
    fast = linear_states(model.W_hh, model.W_uh, inputs, steps)
    torch.testing.assert_close(fast, RecurrentModel.trace(model, inputs, steps).states)
    assert torch.equal(model.trace(inputs, steps).states, fast)
