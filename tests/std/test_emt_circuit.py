"""The exact circuit run through the task: golden facts 1 and 3, and the start from rest."""

import numpy as np
import pytest
import torch

from emtkit.plugin.stream import Stream
from emtkit_std._theory.emt import angles as angles
from emtkit_std._theory.facts import HistoryLaw
from emtkit_std.architectures.emt_circuit import EmtCircuit
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from tests.rounding import rounding

RULES = ("T1", "T2", "T3", "T4")


def run(rule, horizon=1000, **parameters):
    """Task, model, batch and outputs over `horizon` scored steps of 64 sequences, in float64."""
    task = Hds(rule=rule)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = EmtCircuit(task, **parameters)
        batch = task.sample(64, Stream(None, "test", dtype=torch.float64), horizon)
        outputs = model.trace(batch.inputs[:, :8], batch.steps).outputs
    return task, model, batch, outputs


def accuracy(rule, horizon=1000, **parameters):
    task, _, batch, outputs = run(rule, horizon, **parameters)
    return float(task.metrics(outputs, batch)["accuracy"])


def squared_condition(task, model):
    """That of the basis, which enters with its dual."""
    return np.linalg.cond(model.loads[:, task.facts(HistoryLaw).mask].numpy()) ** 2


@pytest.mark.parametrize(
    ("rule", "hidden"),  # T1 has a square basis at 64; that of a Gaussian is ill-conditioned
    [
        *((rule, 64) for rule in RULES[1:]),
        ("T1", 128),
        *(pytest.param(rule, 128, marks=pytest.mark.slow) for rule in RULES[1:]),
    ],
)
def test_golden_1_the_linear_circuit_is_exact_for_a_thousand_steps(rule, hidden):
    task, model, batch, outputs = run(rule, basis="gaussian", hidden=hidden)
    assert float(task.metrics(outputs, batch)["accuracy"]) == 1.0
    condition = squared_condition(task, model)
    assert (outputs - batch.targets)[:, 8:].abs().max() <= rounding(1000 * hidden, condition)
    spectrum = np.linalg.eigvals(model.W_hh.numpy())
    theory = task.facts(HistoryLaw).spectrum
    found = angles.compare_spectra(spectrum, theory)
    assert found.error <= rounding(hidden, condition)
    moduli = np.sort(abs(spectrum))[::-1][: len(theory)]
    assert abs(moduli - 1).max() <= rounding(hidden, condition)


def test_golden_1_repeat_copy_is_exact_from_rest():
    for basis in ("gaussian", "orthonormal"):
        assert accuracy("T1", basis=basis, start="input") == 1.0
    assert accuracy("T1", hidden=64, start="input") == 1.0


@pytest.mark.parametrize(("rule", "share"), [("T2", 0.820), ("T3", 0.836), ("T4", 0.836)])
def test_other_rules_are_out_of_reach_of_a_linear_network_from_rest(rule, share):
    assert accuracy(rule, basis="gaussian", start="input") == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("basis", [pytest.param("orthonormal", marks=pytest.mark.slow), "gaussian"])
def test_golden_3_tanh_is_exact_at_a_small_amplitude(rule, basis):
    parameters = {"basis": basis, "activation": "tanh", "amplitude": 0.1}
    assert accuracy(rule, **parameters) >= 0.999


def test_golden_3_tanh_at_full_amplitude_decays():
    orthonormal = accuracy("T1", 200, basis="orthonormal", activation="tanh")
    assert orthonormal == pytest.approx(0.997, abs=0.005)
    gaussian = accuracy("T1", 200, basis="gaussian", activation="tanh")
    assert gaussian == pytest.approx(0.97, abs=0.015)


def test_too_few_units_and_missing_rules_are_refused_with_the_reason():
    t2 = Hds(rule="T2")
    assert EmtCircuit.accepts(t2, {"hidden": 36}) is None
    assert "needs 36 hidden units" in str(EmtCircuit.accepts(t2, {"hidden": 35}))
    assert not EmtCircuit.trains({})


def test_fibonacci_runs_in_a_linear_circuit():
    task = Hds(rule="fibonacci", history=3, dimension=2, horizon=30)
    with torch.no_grad():
        model = EmtCircuit(task, hidden=9, basis="gaussian")
        batch = task.sample(16, Stream(None, "test", dtype=torch.float64))
        outputs = model.trace(batch.inputs[:, :3], batch.steps).outputs
    limit = rounding(30 * 9, squared_condition(task, model))  # 30 steps of 9 products
    assert float(task.metrics(outputs, batch)["relative_error"]) <= limit


@pytest.mark.parametrize("basis", ["orthonormal", "gaussian"])
def test_weights_lie_in_one_piece_as_a_store_needs_them(basis):
    model = EmtCircuit(Hds(rule="T2"), hidden=40, basis=basis)
    assert all(buffer.is_contiguous() for buffer in model.buffers())


@pytest.mark.parametrize("rule", RULES)
def test_a_saturating_circuit_of_units_corrects_its_signs(rule):
    """Units near +-a = tanh(2 a) stay there: exact for good, and the outputs are +-a."""
    parameters = {"basis": "units", "activation": "tanh", "gain": 2.0}
    task, _, batch, outputs = run(rule, hidden=64, **parameters)
    assert float(task.metrics(outputs, batch)["accuracy"]) == 1.0
    amplitude = outputs[:, -1].abs()
    assert (amplitude - torch.tanh(2 * amplitude)).abs().max() <= rounding(64)


def test_a_gain_scales_the_recurrent_weights_alone():
    plain, leaky = (run("T2", hidden=40, gain=gain)[1] for gain in (1.0, 0.9))
    assert np.allclose(leaky.W_hh, 0.9 * plain.W_hh, rtol=1e-15)
    assert torch.equal(leaky.W_r, plain.W_r)
