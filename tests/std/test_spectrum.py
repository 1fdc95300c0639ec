"""Eigenvalues of known matrices, and of state maps at their fixed points."""

import numpy as np
import pytest
import torch

from emtkit import NotApplicable, RecurrentModel
from emtkit_std.analyses.spectrum import Spectrum
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.relu_rnn import ReluRnn
from emtkit_std.architectures.shift_register import ShiftRegister
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import rounding
from tests.std.known_nets import look, net_a1, set_weights

TASK = KDelay()
RECURRENT, JACOBIAN = Spectrum(of="recurrent"), Spectrum(of="jacobian")


@pytest.mark.parametrize("analysis", [RECURRENT, JACOBIAN])
def test_a_spiral_has_its_radius_and_angle(analysis):
    model = LinearRnn(TASK).double()
    set_weights(model, *net_a1())
    findings = look(analysis, TASK, model)
    assert findings.scalars["radius"] == pytest.approx(0.8)
    assert findings.scalars["angle"] == pytest.approx(50)
    assert findings.tables["eigenvalues"]["modulus"].tolist() == pytest.approx([0.8, 0.8])


def test_a_register_has_radius_zero_and_no_angle():
    findings = look(RECURRENT, TASK, ShiftRegister(TASK))
    assert findings.scalars["radius"] == 0
    assert findings.reasons["angle"] == "every eigenvalue is 0"


def test_a_cyclic_shift_has_roots_of_unity():
    model = Elman(TASK, hidden=5).double()
    set_weights(model, np.roll(np.eye(5), 1, axis=0), np.ones((5, 1)), np.ones((1, 5)))
    rows = look(RECURRENT, TASK, model).tables["eigenvalues"]
    found = np.sort(rows["angle"])
    np.testing.assert_allclose(found, [0, 72, 72, 144, 144], rtol=0, atol=rounding(5, 180))


def test_the_jacobian_of_tanh_at_rest_is_the_recurrent_matrix():
    torch.manual_seed(0)
    model = Elman(TASK, hidden=6, init="orthogonal").double()
    with torch.no_grad():
        model.W_hh.mul_(0.7)
    expected = np.abs(np.linalg.eigvals(model.W_hh.detach().numpy())).max()
    assert expected == pytest.approx(0.7, abs=1e-6)  # orthogonal in single precision
    found = look(JACOBIAN, TASK, model).scalars["radius"]
    assert found == pytest.approx(expected, abs=rounding(6))


def test_the_jacobian_of_a_biased_tanh_is_damped_by_its_slope():
    model = Elman(TASK, hidden=1, bias=True).double()
    set_weights(model, np.array([[0.5]]), np.ones((1, 1)), np.ones((1, 1)))
    with torch.no_grad():
        model.b.fill_(0.8)
    state = 0.0
    for _ in range(200):
        state = np.tanh(0.5 * state + 0.8)
    found = look(JACOBIAN, TASK, model).scalars["radius"]
    assert found == pytest.approx(0.5 * (1 - state**2), abs=rounding(3))


@pytest.mark.parametrize("cls", [ReluRnn, Elman])
def test_a_kink_of_relu_is_refused(cls):
    torch.manual_seed(1)
    model = cls(TASK, hidden=3, activation="relu").double()
    with torch.no_grad():
        model.W_hh.mul_(0.3)
    with pytest.raises(NotApplicable, match="kink"):
        look(JACOBIAN, TASK, model)
    assert look(RECURRENT, TASK, model).scalars["radius"] > 0


def test_a_relu_network_away_from_its_kinks_has_a_jacobian():
    model = Elman(TASK, hidden=2, activation="relu", bias=True).double()
    set_weights(model, np.diag([0.5, -0.25]), np.ones((2, 1)), np.ones((1, 2)))
    with torch.no_grad():
        model.b.fill_(1.0)
    assert look(JACOBIAN, TASK, model).scalars["radius"] == pytest.approx(0.5)


class Growing(RecurrentModel):
    """h -> 3 h + 1 from 0."""

    name = "growing"
    hidden = 1

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("gain", torch.full((1, 1), 1e3, dtype=torch.float64))

    def step(self, state: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        return self.get_buffer("gain") * state + 1.0

    def read(self, state: torch.Tensor) -> torch.Tensor:
        return state


def test_a_state_that_grows_beyond_bounds_reaches_no_attractor_and_has_no_recurrent_matrix():
    with pytest.raises(NotApplicable, match="grows"):
        look(Spectrum(of="jacobian", point="attractor"), TASK, Growing())
    with pytest.raises(NotApplicable, match="of: jacobian"):
        look(RECURRENT, TASK, Growing())
