"""The analyses of the binding circuit on networks whose answer is known: exact ones, and none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.linalg import eig
from torch import nn

from emtkit import History, Label, NotApplicable, Points, RecurrentModel, Subject
from emtkit.dynamics.fixed_points import FixedPointSearch
from emtkit.plugin.params import resolve
from emtkit.plugin.stream import Stream
from emtkit_std._theory.emt import angles as angles
from emtkit_std._theory.facts import HistoryLaw, PulseCircuit
from emtkit_std.analyses import emt_spectrum
from emtkit_std.analyses.basis_sensitivity import BasisSensitivity
from emtkit_std.analyses.conjugacy import Conjugacy
from emtkit_std.analyses.emt_basis import EmtBasis
from emtkit_std.analyses.emt_spectrum import EmtSpectrum
from emtkit_std.analyses.fixed_points import FixedPointAnalysis
from emtkit_std.analyses.intervene import Intervene
from emtkit_std.architectures.emt_circuit import EmtCircuit
from emtkit_std.architectures.gru import GatedRecurrentUnit
from emtkit_std.architectures.gsemm import SequentialEpisodicMemory
from emtkit_std.architectures.mechanisms.phase_clock import PhaseClock
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from tests.rounding import STILL, from_fixed_point, rounding
from tests.std.pictures import drawings_of

SMALL = {"history": 4, "dimension": 4}
REPEAT, DIAGONAL = Hds(rule="repeat", **SMALL), Hds(rule="diagonal", **SMALL)


class Plain(RecurrentModel):
    """h = s(W_hh h + W_uh u + b): a stand-in for any Elman network."""

    name = "plain"
    offers = (PulseCircuit,)

    def __init__(self, task, hidden=20, gain=0.5, activation=torch.tanh, bias=0.0):
        super().__init__()
        self.hidden, self.activation = hidden, activation
        channels = task.channels
        self.W_hh = nn.Parameter(gain * torch.randn(hidden, hidden) / hidden**0.5)
        self.W_uh = nn.Parameter(torch.randn(hidden, channels.inputs) / hidden**0.5)
        self.W_r = nn.Parameter(torch.randn(channels.outputs, hidden) / hidden**0.5)
        self.b = nn.Parameter(bias * torch.randn(hidden))

    def step(self, state, inputs):
        return self.activation(state @ self.W_hh.T + inputs @ self.W_uh.T + self.b)

    def read(self, state):
        return state @ self.W_r.T

    def facts(self, kind):
        weights = [w.double().numpy() for w in (self.W_hh, self.W_uh, self.W_r.T, self.b)]
        return PulseCircuit(*weights, np.zeros(4), "tanh", "linear", "activation")


def subject(task, model):
    model.eval().requires_grad_(False)
    history = History(np.zeros(0), 0, "none")
    return Subject(task, model, {}, history, Stream(None, "analysis/test"))


def seeded(build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def exact(task, hidden=32, basis="gaussian", **parameters):
    model = seeded(lambda: EmtCircuit(task, hidden=hidden, basis=basis, **parameters))
    return subject(task, model)


def plain(task, **parameters):
    return subject(task, seeded(lambda: Plain(task, **parameters)))


def limit_of(asked, dtype=np.float64):
    """What rounding leaves of an exact answer: H products, in a basis and its dual."""
    basis = asked.model.loads[:, asked.task.facts(HistoryLaw).mask].numpy()
    return rounding(len(basis), np.linalg.cond(basis) ** 2, dtype)


@pytest.mark.parametrize("task", [REPEAT, DIAGONAL], ids=["repeat", "diagonal"])
def test_spectrum_of_the_exact_circuit_is_theorys(task):
    modes = 16 if task is REPEAT else 10
    found = EmtSpectrum(draws=20).measure(exact(task))
    assert found.scalars["status"] == "comparable"
    assert found.scalars["angle_error"] <= limit_of(exact(task))
    assert found.scalars["modes_found"] == found.scalars["modes_expected"] == modes
    assert found.scalars["best_rule"] == "own"
    assert found.scalars["null_angle_error"] > 0.1
    assert len(found.tables["theory"]) == modes
    assert set(found.tables["confusion"]["rule"]) > {"own", "waves_t3", "waves_t4"}
    drawings_of(EmtSpectrum, found)


def test_the_null_is_shared_by_networks_on_one_rule_and_by_no_others(monkeypatch):
    emt_spectrum._null.cache_clear()
    made = []
    plain_null = angles.null_angle_error
    monkeypatch.setattr(
        angles, "null_angle_error", lambda *given: made.append(1) or plain_null(*given)
    )
    alone = {}
    for task in (REPEAT, DIAGONAL):
        emt_spectrum._null.cache_clear()
        alone[task] = repr(EmtSpectrum(draws=5).measure(exact(task)).scalars)
    emt_spectrum._null.cache_clear()
    made.clear()
    for task in (REPEAT, DIAGONAL, REPEAT, DIAGONAL):
        assert repr(EmtSpectrum(draws=5).measure(exact(task)).scalars) == alone[task]
    assert len(made) == 2
    assert repr(EmtSpectrum(draws=6).measure(exact(REPEAT)).scalars) != alone[REPEAT]
    assert len(made) == 3


def test_spectrum_of_an_untrained_network_is_indeterminate_with_the_reason():
    found = EmtSpectrum(draws=2).measure(plain(REPEAT))
    assert found.scalars["status"] == "indeterminate"
    assert np.isnan(found.scalars["angle_error"])
    assert found.reasons["angle_error"].startswith("0 modes found where 16 are expected; train")
    assert found.scalars["top_angle_error"] > 0
    assert found.scalars["best_rule"] == "none"
    drawings_of(EmtSpectrum, found)


def test_confusion_names_the_rule_that_the_network_runs():
    running_diagonal = exact(DIAGONAL).model
    asked = Subject(REPEAT, running_diagonal, {}, History(np.zeros(0), 0, ""), Stream(None, "a"))
    found = EmtSpectrum(draws=2).measure(asked)
    assert found.scalars["status"] == "indeterminate"
    table = found.tables["confusion"].set_index("rule")
    assert table.loc["diagonal", "angle_error"] <= limit_of(exact(DIAGONAL))


@pytest.mark.parametrize("method", ["dual", "primal"])
@pytest.mark.parametrize("basis", ["orthonormal", "gaussian"])
def test_basis_of_the_exact_circuit(method, basis):
    asked = exact(DIAGONAL, basis=basis)
    found = EmtBasis(method=method, horizon=40).measure(asked)
    recovered = method == "dual" or basis == "orthonormal"
    assert (found.scalars["phi_error"] <= limit_of(asked)) == recovered
    assert found.scalars["null_phi_contrast"] == 1 / 20
    if recovered:
        assert found.scalars["phi_contrast"] == pytest.approx(1, abs=limit_of(asked))
    assert found.scalars["mask_size"] == found.scalars["rank"] == found.scalars["core_size"] == 10
    if recovered:
        assert found.scalars["sign_agreement"] == found.scalars["sign_agreement_at_s"] == 1.0
        assert found.arrays["outside"].shape == (32, 0)
        kept = ~np.isnan(found.arrays["contents"])
        assert np.allclose(found.arrays["coordinates"][kept], found.arrays["contents"][kept])
        assert kept.sum(axis=1).tolist() == [10] * 41
    drawings_of(EmtBasis, found)


def test_basis_reads_a_saturating_memory_and_a_rest_outside_it():
    model = seeded(lambda: SequentialEpisodicMemory(REPEAT, hidden=32, amplitude=0.3))
    asked = subject(REPEAT, model)
    found = EmtBasis(horizon=40).measure(asked)
    assert found.scalars["phi_error"] <= limit_of(asked)
    assert found.scalars["sign_agreement"] == 1.0


def test_blocks_that_vanish_by_construction_are_not_drawn_as_data():
    findings = EmtBasis(horizon=40).measure(exact(DIAGONAL, activation="tanh"))
    assert len(findings.arrays["weights_in_basis"]) > 10
    plots = drawings_of(EmtBasis, findings)["weights"].plots
    (shown,) = (plot for plot in plots if plot.title == "in the basis of memories")
    values = shown.marks[0].values
    assert np.isnan(values[:10, 10:]).all()
    assert np.isnan(values[10:, :10]).all()
    assert np.isfinite(values[:10, :10]).all()
    assert np.isfinite(values[10:, 10:]).all()
    assert next(iter(shown.x_ticks.values())) == "Ψ₁"


def test_every_mode_counts_for_one_direction_of_theory():
    task = Hds(rule="T4")  # 35 roots of 1, and -1
    findings = EmtSpectrum(draws=1).measure(exact(task, hidden=40))
    _, counts = drawings_of(EmtSpectrum, findings)["spectrum"].plots
    found, expected = (mark.y for mark in counts.marks if isinstance(mark, Points))
    assert (found == expected).all()
    assert found.sum() == 36
    assert found.max() == 1
    many = drawings_of(EmtSpectrum, EmtSpectrum(draws=1).measure(exact(REPEAT)))["spectrum"]
    texts = [mark.text for mark in many.plots[0].marks if isinstance(mark, Label)]
    assert texts == ["×4"] * 4


def test_what_memories_do_outside_of_them_comes_from_the_nonlinearity_alone():
    linear = EmtBasis(horizon=40).measure(exact(DIAGONAL)).scalars
    assert linear["acts_outside"] <= limit_of(exact(DIAGONAL))
    # of what a random subspace brings about, the share outside is that of the dimensions
    assert linear["null_acts_outside"] == pytest.approx(1 - 10 / 32, abs=0.1)
    units = exact(DIAGONAL, basis="units", activation="tanh", gain=2.0)
    assert EmtBasis(horizon=40).measure(units).scalars["acts_outside"] <= rounding(32)
    bent = EmtBasis(horizon=40).measure(exact(DIAGONAL, activation="tanh")).scalars
    assert 0.001 < bent["acts_outside"] < bent["null_acts_outside"]
    assert 0 < bent["acts_outside_error"] < bent["acts_outside"]
    full = EmtBasis(horizon=40).measure(exact(REPEAT, hidden=16))
    assert "fill all 16" in full.reasons["acts_outside"]


def test_basis_of_an_untrained_network_is_undefined_with_the_reason():
    found = EmtBasis().measure(plain(REPEAT))
    assert found.scalars["core_size"] == found.scalars["rank"] == 0
    assert np.isnan(found.scalars["phi_error"])
    assert "no core" in found.reasons["phi_error"]


def test_a_gated_network_is_linearised_and_its_readout_too():
    model = seeded(lambda: GatedRecurrentUnit(REPEAT, hidden=12))
    found = EmtSpectrum(draws=2).measure(subject(REPEAT, model))
    assert found.scalars["modes_expected"] == 16
    assert EmtBasis(threshold=0.3).measure(subject(REPEAT, model)).scalars["core_size"] > 0


def test_a_relu_at_its_threshold_has_no_jacobian():
    with pytest.raises(NotApplicable, match="kink"):
        EmtSpectrum(draws=2).measure(plain(REPEAT, activation=torch.relu))


def test_fixed_points_of_a_biased_network_are_verified_and_drawn():
    asked = plain(REPEAT, gain=2.0, bias=0.1)
    found = FixedPointAnalysis(starts=40).measure(asked)
    points = torch.from_numpy(found.arrays["points"])
    twin = asked.model.double()
    moved = twin.step(points, torch.zeros(len(points), 4, dtype=torch.float64))
    assert found.scalars["count"] == len(points) >= 1
    assert (moved - points).norm(dim=1).max() <= STILL
    assert found.scalars["worst_residual"] < FixedPointSearch().tolerance
    counted = found.tables["points"]["hits"].sum() + len(found.tables["unconverged"])
    assert counted == 40
    drawings_of(FixedPointAnalysis, found)


def test_the_origin_is_the_one_fixed_point_of_a_contracting_network():
    asked = plain(REPEAT, gain=0.5)
    found = FixedPointAnalysis(starts=10).measure(asked)
    assert found.scalars["count"] == found.scalars["stable"] == 1
    assert found.scalars["converged"] == 1.0
    slope = asked.model.W_hh.double()  # of tanh at the origin
    assert np.abs(found.arrays["points"]).max() <= from_fixed_point(slope)
    assert np.isnan(found.scalars["slowest_unconverged"])


def test_a_clock_has_no_fixed_point_at_all():
    found = FixedPointAnalysis(starts=10).measure(subject(REPEAT, PhaseClock(REPEAT).double()))
    assert found.scalars["count"] == found.scalars["stable"] == 0
    assert "no start reached" in found.reasons["least_radius"]


def test_an_exact_edit_mends_a_damaged_circuit_and_a_random_one_does_not():
    damaged = exact(DIAGONAL, activation="tanh", amplitude=0.1)
    weights = damaged.model.state_dict()["W_hh"]
    noise = torch.randn(weights.shape, generator=torch.Generator().manual_seed(1)).double()
    weights += 0.2 * noise / torch.linalg.matrix_norm(noise, 2)
    found = Intervene(threshold=0.7).measure(damaged)
    assert found.scalars["accuracy_before"] < 0.9
    assert found.scalars["change"] > 0.1
    assert found.scalars["null_change"] < found.scalars["change"] - 0.1
    assert found.scalars["accuracy_after"] == pytest.approx(
        found.scalars["accuracy_before"] + found.scalars["change"]
    )
    drawings_of(Intervene, found)
    # The sets of two numbers of sequences differ by no more than both errors.
    more = Intervene(threshold=0.7, sequences=256).measure(damaged).scalars
    for name in ("accuracy_before", "accuracy_after", "change"):
        few, many = (each[f"{name}_error"] for each in (found.scalars, more))
        assert abs(found.scalars[name] - more[name]) <= 4 * math.hypot(few, many)
        assert many == pytest.approx(few / 2, rel=0.4)
    assert more["change_error"] > 0
    one = Intervene(threshold=0.7, sequences=1).measure(damaged)
    assert math.isnan(one.scalars["change_error"])
    assert "single sequence" in one.reasons["change_error"]


def test_an_exact_edit_of_an_exact_circuit_changes_nothing_and_a_dropped_memory_does():
    same = Intervene().measure(exact(REPEAT))
    assert same.scalars["accuracy_before"] == same.scalars["accuracy_after"] == 1.0
    assert same.scalars["edit_norm"] <= limit_of(exact(REPEAT))
    lost = Intervene(edit="drop", variable=2).measure(exact(REPEAT))
    # A dropped variable cuts the ring: its content arrives first and is gone with the next turn.
    assert lost.scalars["change"] < -0.2
    with pytest.raises(NotApplicable, match="the rule has 4"):
        Intervene(edit="drop", variable=5).measure(exact(REPEAT))


def test_intervene_says_where_there_is_no_matrix_to_edit():
    gated = seeded(lambda: GatedRecurrentUnit(REPEAT, hidden=12, bias=False))
    with pytest.raises(NotApplicable, match="no square matrix W_hh"):
        Intervene().measure(subject(REPEAT, gated))
    with pytest.raises(NotApplicable, match="Jacobian is not W_hh"):
        Intervene().measure(plain(REPEAT, bias=0.5))


@pytest.mark.slow
def test_sensitivity_meets_the_noise_figures():
    task = Hds(rule="T1")
    asked = exact(task, hidden=128)
    found = BasisSensitivity(noises=(1e-8, 1e-4, 1e-2), draws=2).measure(asked)
    table = found.tables["response"].set_index(["method", "precision", "noise"])
    dual, primal = table.loc[("dual", "double")], table.loc[("primal", "double")]
    assert dual.loc[0.0, "phi_error"] <= limit_of(asked)
    assert dual.loc[1e-4, "angle_error"] == pytest.approx(2.4e-5, rel=0.25)
    assert dual.loc[1e-4, "phi_error"] == pytest.approx(1.8e-4, rel=0.35)
    assert dual.loc[1e-2, "phi_error"] / dual.loc[1e-4, "phi_error"] == pytest.approx(100, rel=0.1)
    assert primal.loc[1e-4, "phi_error"] > 1.5 * dual.loc[1e-4, "phi_error"]
    assert (table.loc["dual", "rank"] == 64).all()
    single = found.scalars["single_phi_error_dual"]
    assert limit_of(asked) < single <= limit_of(asked, np.float32)
    assert found.scalars["noise_kept_dual"] == 1e-2
    assert found.scalars["phi_gain_dual"] < found.scalars["phi_gain_primal"]
    drawings_of(BasisSensitivity, found)


@pytest.mark.parametrize(
    "model",
    [
        lambda: SequentialEpisodicMemory(REPEAT, hidden=32),
        lambda: EmtCircuit(REPEAT, hidden=32, activation="tanh", basis="gaussian", amplitude=0.1),
    ],
)
def test_an_exact_network_is_conjugate_and_moved_by_its_memories_alone(model):
    asked = subject(REPEAT, seeded(model))
    found = Conjugacy().measure(asked)
    assert found.scalars["defect"] <= 100 * limit_of(asked)  # 100 steps of it
    assert found.scalars["spectrum_defect"] <= limit_of(asked)
    assert found.scalars["core_defect"] <= limit_of(asked)


def test_an_untrained_network_is_conjugate_but_has_no_memories_that_move_it():
    asked = plain(REPEAT)
    found = Conjugacy().measure(asked)
    weights = asked.model.W_hh.double().numpy()
    assert found.scalars["defect"] <= rounding(20, np.abs(weights).sum(axis=1).max())
    assert found.scalars["spectrum_defect"] <= rounding(20, np.linalg.cond(eig(weights)[1]))
    assert found.reasons["core_defect"] == "no mode above 0.9"
    biased = Conjugacy().measure(plain(REPEAT, bias=0.1))
    assert "biases" in biased.reasons["defect"]


@pytest.mark.parametrize(
    "analysis", [Conjugacy, EmtSpectrum, EmtBasis, Intervene, BasisSensitivity]
)
def test_defaults_resolve(analysis):
    assert not resolve(analysis, {}).mistakes
