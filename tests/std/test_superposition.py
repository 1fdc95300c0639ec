"""The superposition analysis on networks whose answers are known, and where it has none."""

import numpy as np
import pytest
import torch

from emtkit import RecurrentModel
from emtkit.store.content import pack
from emtkit_std._theory.facts import PulseCircuit
from emtkit_std._theory.superposition.linear_loss import (
    delay_law,
    enumerated_loss,
    zero_predictor_loss,
)
from emtkit_std._theory.superposition.pulses import (
    circuit_pulses,
    circuit_response,
    expected_losses,
    measured_pulses,
)
from emtkit_std.analyses.superposition import Superposition
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.emt_circuit import EmtCircuit
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.relu_rnn import ReluRnn
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import assert_rounded, rounding
from tests.std.known_nets import look, net_a1, relu_chain, set_weights, subject
from tests.std.pictures import drawings_of

MEASURE = Superposition(samples=40_000)


def spiral(task: KDelay, readout: str = "linear") -> LinearRnn:
    model = LinearRnn(task, readout=readout).double()
    set_weights(model, *net_a1())
    return model


def test_a2_terms_of_the_a1_net_relative_to_the_zero_predictor():
    task = KDelay(delay=3, density=0.2, steps=41, scored="last")
    findings = look(Superposition(samples=4000), task, spiral(task))
    found = findings.scalars
    expected = {"task_benefit": 0, "mean_correction": 0.027294, "projection": 0.287304}
    for name, value in {**expected, "composition": -0.051765, "expected_loss": 0.262833}.items():
        assert found[name] == pytest.approx(value / (0.2 / 3), abs=2e-4)
    assert found["travelled_angle"] == pytest.approx(150, abs=1e-6)
    assert found["feature_angle_mean"] == pytest.approx(50, abs=1e-6)
    assert found["principal_angle_mean"] == pytest.approx(50, abs=1e-6)
    assert found["input_norm"] == pytest.approx(1)
    assert found["represented"] == 1
    rows = findings.tables["projections"]
    assert rows["value"][:2].tolist() == pytest.approx([-1.691456, -0.271325], abs=1e-6)


@pytest.mark.parametrize("readout", ["linear", "relu"])
def test_without_sequences_all_else_is_the_same(readout):
    task = KDelay(delay=3, density=0.2, scored="last")
    model = spiral(task, readout)
    with_some = look(Superposition(samples=4000), task, model)
    without = look(Superposition(samples=0), task, model)
    drawn = {"relative_loss", "relative_loss_error"}
    assert set(without.reasons) - set(with_some.reasons) == drawn
    for name in set(with_some.scalars) - drawn:
        assert without.scalars[name] == with_some.scalars[name] or name in with_some.reasons
    for name, table in with_some.tables.items():
        assert without.tables[name].equals(table)
    set_weights(model, np.eye(2), np.ones((2, 1)), -np.ones((1, 2)))
    assert look(Superposition(samples=0), task, model).scalars["regime"] == (
        "silent" if readout == "relu" else "undefined"
    )


@pytest.mark.parametrize(
    ("cls", "readout"), [(LinearRnn, "linear"), (LinearRnn, "relu"), (ReluRnn, "relu")]
)
def test_networks_together_have_the_findings_of_each_alone(cls, readout):
    torch.manual_seed(3)
    task = KDelay(delay=3, density=0.3, scored="last")
    models = [cls(task, readout=readout) for _ in range(5)]
    analysis = Superposition(samples=600)
    alone = [look(analysis, task, model) for model in models]
    for order in (range(5), [3, 1], [4, 2, 2, 0]):
        found = analysis.measure_many([subject(analysis, task, models[at]) for at in order])
        for one, at in zip(found, order, strict=True):
            assert one.scalars.keys() == alone[at].scalars.keys()
            assert pack(one.tables, one.arrays) == pack(alone[at].tables, alone[at].arrays)
            for name, value in one.scalars.items():
                assert value == alone[at].scalars[name] or name in one.reasons
            assert one.reasons == alone[at].reasons


def test_without_sequences_nonlinear_networks_have_no_regime():
    task = KDelay(delay=2, density=0.2, scored="last")
    model = ReluRnn(task, hidden=2).double()
    set_weights(model, *relu_chain())
    found = look(Superposition(samples=0), task, model)
    assert found.scalars["regime"] == "undefined"
    assert "no sequences were drawn" in found.reasons["hidden_share"]


@pytest.mark.parametrize("scored", ["recall", "all", "last"])
@pytest.mark.parametrize("features", [1, 2])
def test_b8_closed_form_and_fresh_data_agree_for_linear_readouts(scored, features):
    task = KDelay(delay=2, features=features, density=0.3, importance=0.6, scored=scored)
    torch.manual_seed(0)
    model = LinearRnn(task, bias=True, hidden=3).double()
    with torch.no_grad():
        model.b_r.add_(0.1)
    found = look(MEASURE, task, model).scalars
    assert abs(found["relative_loss"] - found["expected_loss"]) < 4 * found["relative_loss_error"]
    terms = ("task_benefit", "mean_correction", "projection", "composition")
    assert sum(found[name] for name in terms) == pytest.approx(found["expected_loss"])


def test_a7_a_silent_network_has_relative_loss_one_and_no_regime():
    task = KDelay(delay=3, density=0.3)
    model = LinearRnn(task, readout="relu").double()
    set_weights(model, np.zeros((2, 2)), np.zeros((2, 1)), np.zeros((1, 2)))
    findings = look(MEASURE, task, model)
    found = findings.scalars
    assert abs(found["relative_loss"] - 1) < 4 * found["relative_loss_error"]
    assert found["regime"] == "silent"
    assert "every output is zero" in findings.reasons["hidden_share"]
    assert "eigenvalue" in findings.reasons["travelled_angle"]


def test_three_units_have_no_travelled_angle_and_turn_by_principal_angles():
    """A register of three units: every age has an axis of its own, at right angles to the last."""
    task = KDelay(delay=2, density=0.3)
    model = LinearRnn(task, hidden=3).double()
    set_weights(model, np.eye(3, k=-1), np.eye(3)[:, :1], np.eye(3)[2:])
    findings = look(MEASURE, task, model)
    assert np.isnan(findings.scalars["travelled_angle"])
    assert "3 units do not turn in one plane" in findings.reasons["travelled_angle"]
    assert findings.scalars["principal_angle_mean"] == pytest.approx(90)
    assert set(findings.tables["principal_angles"]["lag"]) >= {0, 1}


def test_a_bias_may_silence_a_network_whose_projections_are_right():
    """All its interference would be called visible: .18 of it hidden, and nothing is seen."""
    task = KDelay(delay=3, density=0.3)
    model = LinearRnn(task, readout="relu", bias=True).double()
    set_weights(model, *net_a1())
    model.b_r.data.fill_(-100.0)
    findings = look(MEASURE, task, model)
    assert findings.scalars["regime"] == "silent"
    assert np.isnan(findings.scalars["tail"])


@pytest.mark.parametrize(
    ("amplitude", "readout", "why"),
    [("signed", "relu", "both signs"), ("uniform", "linear", "readout is linear")],
)
def test_mirror_images_have_no_hidden_share_where_nothing_is_hidden(amplitude, readout, why):
    """theta -> 180 - theta, a_s -> (-1)^s a_s: the label changed in 5 of 9 networks."""
    task = KDelay(delay=3, amplitude=amplitude)
    W_hh, W_uh, W_r = net_a1()
    seen = []
    for W in ((W_hh, W_uh, W_r), (-W_hh, W_uh, -W_r)):
        model = LinearRnn(task, readout=readout).double()
        set_weights(model, *W)
        findings = look(MEASURE, task, model)
        assert findings.scalars["regime"] == "undefined"
        assert why in findings.reasons["hidden_share"]
        seen.append([findings.scalars[name] for name in ("visible_interference", "tail")])
    assert_rounded(seen[0], seen[1], 14)  # sums of squares have no sign


def test_relu_readouts_are_enumerated_for_constant_amplitude():
    task = KDelay(delay=3, density=0.1, amplitude="constant", steps=8, scored="last")
    found = look(MEASURE, task, spiral(task, "relu"))
    assert found.scalars["expected_loss"] == pytest.approx(0.083285 / 0.1, abs=1e-5)
    assert "linear readout" in found.reasons["composition"]
    gap = found.scalars["relative_loss"] - found.scalars["expected_loss"]
    assert abs(gap) < 4 * found.scalars["relative_loss_error"]


@pytest.mark.parametrize("density", [0.03, 0.5])
@pytest.mark.parametrize("bias", [False, True])
def test_relu_readouts_have_the_loss_of_fresh_data_at_every_density(density, bias):
    task = KDelay(delay=3, density=density, steps=8, scored="last")
    model = spiral(task, "relu")
    if bias:
        model = LinearRnn(task, readout="relu", bias=True).double()
        set_weights(model, *net_a1())
        model.b_r.data.fill_(-0.05)
    found = look(MEASURE, task, model).scalars
    assert abs(found["relative_loss"] - found["expected_loss"]) < 4 * found["relative_loss_error"]
    assert 0 <= found["expected_loss_error"] < 1e-7


@pytest.mark.parametrize("readout", ["linear", "relu"])
def test_a_bias_of_the_state_grows_from_step_to_step(readout):
    bias = np.array([0.1, -0.3]), np.array([0.05])
    circuit = PulseCircuit(*net_a1(), *bias, "linear", readout)
    law, scored = delay_law(2, 0.3, "constant"), np.arange(7) >= 2
    exact = enumerated_loss(circuit_response(circuit), law, scored)
    (found,) = expected_losses([circuit], [circuit_pulses(circuit, 7)], law, scored)
    assert found.loss == pytest.approx(exact / zero_predictor_loss(law, scored), abs=1e-12)
    assert (found.terms is not None) == (readout == "linear")


@pytest.mark.parametrize("cls", [ReluRnn, Elman])
def test_nonlinear_recurrences_are_enumerated_step_by_step(cls):
    task = KDelay(delay=2, density=0.3, amplitude="constant", steps=7)
    torch.manual_seed(4)
    model = cls(task, hidden=3).double()
    found = look(MEASURE, task, model).scalars
    assert abs(found["relative_loss"] - found["expected_loss"]) < 4 * found["relative_loss_error"]
    law, scored = delay_law(2, 0.3, "constant"), np.arange(7) >= 2
    exact = enumerated_loss(circuit_response(model.facts(PulseCircuit)), law, scored)
    assert found["expected_loss"] == exact / zero_predictor_loss(law, scored)


def test_the_relu_circuit_is_sparse_and_forgets():
    task = KDelay(delay=2, density=0.05)
    model = ReluRnn(task).double()
    set_weights(model, *relu_chain())
    found = look(MEASURE, task, model).scalars
    assert (found["regime"], found["tail"], found["represented"]) == ("sparse", 0, 1)
    assert found["relative_loss"] < 0.2


def test_the_folded_angle_is_given_only_with_the_mirror_symmetry():
    signed, positive = KDelay(amplitude="signed"), KDelay()
    found = look(MEASURE, signed, spiral(signed)).scalars
    assert found["travelled_angle_folded"] == pytest.approx(150)
    findings = look(MEASURE, positive, spiral(positive))
    assert "mirror" in findings.reasons["travelled_angle_folded"]


@pytest.mark.parametrize(("cls", "hidden"), [(LinearRnn, 2), (Elman, 6), (Elman, 3)])
def test_pulses_from_the_weights_equal_pulses_that_are_asked(cls, hidden):
    torch.manual_seed(5)
    task = KDelay(delay=2, features=2)
    model = cls(task, hidden=hidden).double()
    told = circuit_pulses(model.facts(PulseCircuit), 6)
    asked = measured_pulses(model, 2, 6, 6)
    assert_rounded(asked.projections, told.projections, 6 * (hidden + 2))  # 6 steps


class Opaque(RecurrentModel):
    """A leaky unit per input that offers no circuit."""

    name = "opaque"

    def __init__(self, task: KDelay) -> None:
        super().__init__()
        self.hidden = task.features
        self.register_buffer("leak", torch.tensor(0.5, dtype=torch.float64))

    def step(self, state: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        return self.get_buffer("leak") * state + inputs

    def read(self, state: torch.Tensor) -> torch.Tensor:
        return state + 3.0


def test_networks_of_another_form_are_asked_for_their_pulses():
    task = KDelay(delay=1, features=2)
    findings = look(MEASURE, task, Opaque(task))
    rows = findings.tables["projections"]
    own = rows[(rows["feature_in"] == 0) & (rows["feature_out"] == 0)]["value"]
    np.testing.assert_allclose(own, 0.5 ** np.arange(8))
    assert "PulseCircuit" in findings.reasons["expected_loss"]
    assert "PulseCircuit" in findings.reasons["travelled_angle"]


def test_fresh_data_do_not_depend_on_the_network():
    task = KDelay(delay=3, density=0.2)
    small, large = (LinearRnn(task, hidden=hidden).double() for hidden in (2, 16))
    silent = [
        set_weights(m, np.zeros((h, h)), np.zeros((h, 1)), np.zeros((1, h))) or m
        for m, h in ((small, 2), (large, 16))
    ]
    losses = [look(MEASURE, task, model).scalars["relative_loss"] for model in silent]
    assert losses[0] == losses[1]


def test_an_item_that_is_answered_again_is_no_interference():
    task = HistoryDependentSystem(rule="repeat", history=4, dimension=3, horizon=20)
    exact = EmtCircuit(task, start="input").double()
    found = look(Superposition(samples=64), task, exact)
    limit = rounding(20 * exact.hidden)  # 20 steps of an orthogonal circuit
    assert found.scalars["relative_loss"] <= limit
    assert found.scalars["visible_interference"] <= limit
    assert found.scalars["tail"] <= limit
    assert found.scalars["represented"] == 3
    # the same pulses are there again 4, 8, ... steps later, and the table shows them
    rows = found.tables["projections"]
    own = rows[(rows["feature_in"] == 0) & (rows["feature_out"] == 0)]["value"].to_numpy()
    np.testing.assert_allclose(own[[4, 8, 12]], 1.0, rtol=0, atol=limit)
    assert "input at every step" in found.reasons["expected_loss"]
    leaky = EmtCircuit(task, start="input").double()
    leaky.W_hh.add_(torch.full_like(leaky.W_hh, 0.02))
    worse = look(Superposition(samples=64), task, leaky).scalars
    assert worse["visible_interference"] > 1e-4


@pytest.mark.parametrize("hidden", [1, 2, 5])
def test_drawings_need_findings_alone(hidden):
    task = KDelay(delay=2, features=2, density=0.5)
    torch.manual_seed(6)
    findings = look(Superposition(samples=10), task, LinearRnn(task, hidden=hidden))
    drawn = drawings_of(Superposition, findings)
    assert list(drawn) == ["projections", "directions"][: min(hidden, 2)]  # one unit has no plane
    assert len(drawn["projections"].plots) == 2


def test_a_network_no_better_than_silence_has_no_regime():
    task = KDelay(delay=3, density=0.3)
    W_hh, W_uh, W_r = net_a1()
    model = LinearRnn(task, readout="relu").double()
    set_weights(model, W_hh, W_uh, 3 * W_r)
    findings = look(MEASURE, task, model)
    assert findings.scalars["regime"] == "undefined"
    assert "no better than silence" in findings.reasons["hidden_share"]
