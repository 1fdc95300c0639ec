import pytest
import torch

from emtkit.dynamics.linearise import StateMap, row_jacobians, state_jacobians
from tests.rounding import assert_rounded


def weights(rows, columns):
    generator = torch.Generator().manual_seed(columns)
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64)


RECUR, WRITE = weights(5, 5), weights(5, 3)


def step(states, inputs):
    return torch.tanh(states @ RECUR.T + inputs @ WRITE.T)


def drive(states, inputs):
    """What enters a unit at most, as a sum of moduli: an error of the sum is relative to it."""
    return float((states.abs() @ RECUR.abs().T + inputs.abs() @ WRITE.abs().T).max())


def sample(rows):
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(rows, 5, generator=generator, dtype=torch.float64)
    return states, torch.randn(rows, 3, generator=generator, dtype=torch.float64)


def test_state_jacobians_of_a_tanh_network():
    states, inputs = sample(4)
    slope = (1 - step(states, inputs).square()).unsqueeze(-1)
    most = drive(states, inputs)
    assert_rounded(state_jacobians(step, states, inputs), slope * RECUR, 8, most)


def test_a_state_map_holds_its_inputs_and_prefers_the_analytic_jacobian():
    states, inputs = sample(4)
    plain = StateMap(step, inputs[0])
    assert torch.equal(plain(states), step(states, inputs[:1].expand(4, 3)))

    def analytic(states, inputs):
        return (1 - step(states, inputs).square()).unsqueeze(-1) * RECUR

    exact = StateMap(step, inputs[0], analytic)
    assert_rounded(exact.jacobians(states), plain.jacobians(states), 8, drive(states, inputs))
    marked = StateMap(step, inputs[0], lambda states, inputs: states.new_zeros(len(states), 5, 5))
    assert not marked.jacobians(states).any()


def test_single_precision_is_refused():
    states, inputs = sample(2)
    with pytest.raises(ValueError, match="float64"):
        state_jacobians(step, states.float(), inputs)


def test_a_function_of_rows_may_have_any_number_of_outputs_or_ignore_its_argument():
    readout, (states, _) = weights(2, 5), sample(3)
    found = row_jacobians(lambda rows: rows @ readout.T, states)
    assert torch.equal(found, readout.expand(3, 2, 5))
    assert not row_jacobians(lambda rows: torch.ones(len(rows), 2).double(), states).any()
