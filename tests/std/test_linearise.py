"""One linearisation for all analyses: every kind of point, on maps with answers on paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.optimize import brentq
from torch import nn

from emtkit import NotApplicable, RecurrentModel
from emtkit.dynamics.fixed_points import FixedPointSearch
from emtkit.study.plan import plan_study
from emtkit_std._theory.linearise import attempt, linearise
from emtkit_std._theory.superposition.projections import spectral_radius
from emtkit_std.analyses.basis_sensitivity import BasisSensitivity
from emtkit_std.analyses.conjugacy import Conjugacy
from emtkit_std.analyses.emt_basis import EmtBasis
from emtkit_std.analyses.emt_spectrum import EmtSpectrum
from emtkit_std.analyses.fixed_points import FixedPointAnalysis
from emtkit_std.analyses.gradient_lag import GradientLag
from emtkit_std.analyses.intervene import Intervene
from emtkit_std.analyses.spectrum import Spectrum
from emtkit_std.analyses.twm_waves import TwmWaves
from emtkit_std.architectures.attention import Attention
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.emt_circuit import EmtCircuit
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from tests.rounding import from_fixed_point
from tests.std.subjects import build, subject_of

REPEAT = Hds(rule="repeat", history=4, dimension=2, horizon=12)
POINTS = ("point_norm", "point_residual", "point_kind")


def elman(weights, bias, activation="tanh"):
    """An Elman network of the given recurrent weights and biases, whose inputs are its units."""
    model = Elman(REPEAT, hidden=len(weights), activation=activation, bias=True).double()
    size = len(weights)
    with torch.no_grad():
        model.W_hh.copy_(torch.as_tensor(np.asarray(weights, dtype=float)))
        model.W_uh.copy_(torch.eye(size, 2))
        model.b.copy_(torch.as_tensor(np.asarray(bias, dtype=float)))
    return subject_of(model.eval().requires_grad_(False), REPEAT)


def two_units():
    """h = tanh(2 h + .05) in each unit: a repeller near the origin, an attractor on either side."""
    return elman(2 * np.eye(2), [0.05, 0.05])


def root(low, high):
    return brentq(lambda h: np.tanh(2 * h + 0.05) - h, low, high, xtol=1e-15)


REPELLER, ATTRACTOR = root(-0.2, 0.2), root(0.5, 1.0)


def slope(h):
    return 2 * (1 - h * h)


@pytest.mark.parametrize(
    ("point", "where", "kind"),
    [
        ("auto", REPELLER, "nearest fixed point"),
        ("nearest", REPELLER, "nearest fixed point"),
        ("attractor", ATTRACTOR, "attractor reached"),
    ],
)
def test_two_biased_units_have_a_known_point_of_every_kind(point, where, kind):
    found = linearise(two_units(), point)
    apart = from_fixed_point(slope(where) * np.eye(2))
    assert np.linalg.norm(found.point - where) <= apart
    # the slope 2 (1 - h^2) changes by at most 4 per unit of h
    assert np.abs(found.jacobian - slope(where) * np.eye(2)).max() <= 4 * apart
    assert found.kind == kind
    assert found.scalars["point_norm"] == pytest.approx(np.sqrt(2) * abs(where))
    assert found.scalars["point_residual"] < FixedPointSearch().tolerance


def test_the_origin_of_a_biased_network_is_no_fixed_point():
    with pytest.raises(NotApplicable, match=r"moves by 0\.05"):
        linearise(two_units(), "origin")


@pytest.mark.parametrize(
    ("point", "radius"), [("auto", slope(REPELLER)), ("attractor", slope(ATTRACTOR))]
)
def test_all_analyses_speak_of_one_point(point, radius):
    spectrum = Spectrum(of="jacobian", point=point).measure(two_units())
    circuit = EmtSpectrum(draws=2, point=point).measure(two_units())
    lags = GradientLag(point=point).measure(two_units())
    assert radius == pytest.approx(1.995 if point == "auto" else 0.148, abs=1e-3)
    assert spectrum.scalars["radius"] == pytest.approx(radius, abs=1e-8)
    assert circuit.tables["eigenvalues"]["modulus"].max() == pytest.approx(radius, abs=1e-8)
    assert lags.scalars["radius"] == pytest.approx(radius, abs=1e-8)
    for name in POINTS:
        assert spectrum.scalars[name] == circuit.scalars[name] == lags.scalars[name]


def several(gain=2.0):
    """h = tanh(2 h) in each of two units: nine fixed points, the origin among them."""
    return elman(gain * np.eye(2), [0.0, 0.0])


def test_of_several_fixed_points_each_rule_takes_its_own():
    away = brentq(lambda h: np.tanh(2 * h) - h, 0.5, 1.0)
    for point in ("auto", "origin"):
        assert linearise(several(), point).kind == "origin"
        assert not linearise(several(), point).point.any()
    with pytest.raises(NotApplicable, match="repels"):
        linearise(several(), "attractor")
    found = FixedPointAnalysis(starts=200).measure(several())
    assert found.scalars["count"] == 9
    assert found.scalars["stable"] == 4
    assert found.scalars["least_radius"] == pytest.approx(slope(away), abs=1e-8)
    assert found.scalars["point_norm"] == pytest.approx(np.sqrt(2) * away)


class Held(RecurrentModel):
    """h = tanh(2 h) after a start at `start`, so that the states live about one attractor."""

    name = "held_fake"
    hidden = 2

    def __init__(self, start):
        super().__init__()
        self.start = nn.Parameter(torch.full((2,), start, dtype=torch.float64))

    def initial(self, batch):
        return self.start.expand(batch, -1)

    def step(self, state, inputs):
        return torch.tanh(2 * state + 0.1 * inputs)

    def read(self, state):
        return state


@pytest.mark.parametrize("start", [0.5, -0.5])
def test_nearest_and_attractor_follow_the_states_where_auto_keeps_to_the_origin(start):
    subject = subject_of(Held(start).requires_grad_(False), REPEAT)
    away = np.sign(start) * brentq(lambda h: np.tanh(2 * h) - h, 0.5, 1.0)
    for point in ("nearest", "attractor"):
        found = linearise(subject, point).point
        assert np.linalg.norm(found - away) <= from_fixed_point(slope(away) * np.eye(2))
    assert linearise(subject).kind == "origin"


def test_a_state_that_keeps_moving_reaches_no_attractor():
    turning = elman(3.0 * np.array([[0.0, -1.0], [1.0, 0.0]]), [0.2, 0.0])
    with pytest.raises(NotApplicable, match="settles at no fixed point"):
        linearise(turning, "attractor")
    assert linearise(turning).kind == "nearest fixed point"


def test_a_map_without_fixed_points_is_not_linearised_and_says_so():
    drift = elman(np.eye(2), [0.1, 0.1], activation="relu")
    with pytest.raises(NotApplicable, match="no fixed point was found"):
        linearise(drift)
    tried = attempt(drift)
    assert tried.local is None
    assert tried.scalars["point_kind"] == "none"
    assert np.isnan(tried.scalars["point_norm"])
    assert "no fixed point" in tried.reasons["point_residual"]


@pytest.mark.parametrize(("bias", "units"), [([0.0, 0.0], "0, 1"), ([0.3, 0.0], "1")])
def test_a_relu_at_its_threshold_is_refused_by_the_unit(bias, units):
    with pytest.raises(NotApplicable, match=rf"kink.*units \[{units}\]"):
        linearise(elman(0.5 * np.eye(2), bias, activation="relu"))


def test_one_kink_among_many_units_is_seen():
    bias = np.full(64, 0.3)
    bias[17] = 0.0
    with pytest.raises(NotApplicable, match=r"units \[17\]"):
        linearise(elman(0.5 * np.eye(64), bias, activation="relu"))


@pytest.mark.parametrize("bias", [0.3, -0.3, 1e-4, -1e-4])
def test_a_relu_beside_its_threshold_has_a_jacobian(bias):
    found = linearise(elman(0.5 * np.eye(2), [bias, 0.3], activation="relu"))
    np.testing.assert_allclose(np.diag(found.jacobian), [0.5 * (bias > 0), 0.5])


@settings(deadline=None, max_examples=50)
@given(gain=some.floats(1e-3, 3.0), bias=some.floats(-4.0, 4.0), size=some.integers(1, 12))
def test_a_smooth_map_has_no_kink_and_its_exact_jacobian(gain, bias, size):
    """Saturated units and steep ones alike: curvature and rounding are no kinks."""
    generator = np.random.Generator(np.random.PCG64(size))
    weights = gain * generator.standard_normal((size, size)) / np.sqrt(size)
    tried = attempt(elman(weights, bias * generator.standard_normal(size)))
    if tried.local is None:
        assert "no fixed point" in tried.reason
        return
    point = tried.local.point
    exact = (1 - point**2)[:, None] * weights
    np.testing.assert_allclose(tried.local.jacobian, exact, atol=1e-7 * max(1.0, gain))


ANALYSES = [
    Spectrum(of="jacobian"),
    EmtSpectrum(draws=2),
    EmtBasis(),
    EmtBasis(threshold=2.0),
    Intervene(draws=1),
    BasisSensitivity(noises=(1e-4,), draws=1),
    Conjugacy(),
    FixedPointAnalysis(starts=8),
    TwmWaves(basis="emt", draws=2),
    TwmWaves(basis="regression", draws=2),
    GradientLag(),
]


@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda one: one.name)
def test_every_finding_that_linearises_says_where(analysis):
    circuit = build(EmtCircuit, REPEAT, hidden=16)
    found = analysis.measure(subject_of(circuit, REPEAT)).scalars
    assert found["point_residual"] < FixedPointSearch().tolerance
    if isinstance(analysis, FixedPointAnalysis):  # the circuit keeps a whole line of states
        assert found["point_kind"] == "fixed point of least radius"
        assert found["point_norm"] >= 0
    else:
        assert found["point_kind"] == "origin"
        assert found["point_norm"] == 0
        assert analysis.conditions["point_kind"]


@pytest.mark.parametrize("analysis", [TwmWaves(basis="regression", draws=2), GradientLag()])
def test_a_network_without_a_state_map_has_no_point(analysis):
    model = build(Attention, REPEAT, hidden=8)
    found = analysis.measure(subject_of(model, REPEAT))
    assert found.scalars["point_kind"] == "none"
    assert "no state map" in found.reasons["point_norm"]


def test_the_radius_of_the_gradient_is_that_of_the_jacobian():
    damped = elman(0.5 * np.eye(2), [0.8, 0.8])
    radius = GradientLag().measure(damped).scalars["radius"]
    assert radius == pytest.approx(spectral_radius(linearise(damped).jacobian))
    assert radius < 0.3  # the weights alone would say 0.5


def test_a_fixed_point_on_a_kink_has_no_radius():
    found = FixedPointAnalysis(starts=8).measure(elman(0.5 * np.eye(2), [0.3, 0.0], "relu"))
    assert found.scalars["count"] == 1
    assert found.scalars["stable"] == 0
    assert np.isnan(found.scalars["least_radius"])
    assert "kink" in found.reasons["least_radius"]
    smooth = FixedPointAnalysis(starts=8).measure(elman(0.5 * np.eye(2), [0.3, 0.3], "relu"))
    assert smooth.scalars["stable"] == 1
    assert smooth.scalars["least_radius"] == pytest.approx(0.5)


def test_a_study_knows_under_which_conditions_its_columns_were_measured():
    plan = plan_study(
        {
            "tasks": [{"use": "hds", "rule": "repeat", "history": 4, "dimension": 2}],
            "architectures": [{"use": "elman", "hidden": 4}],
            "analyses": [{"use": "spectrum", "of": "jacobian", "label": "modes"}, "emt_spectrum"],
        }
    )
    assert plan.conditions["modes.radius"] == ("modes.point_kind",)
    assert plan.conditions["emt_spectrum.angle_error"] == ("emt_spectrum.point_kind",)
    assert "emt_spectrum.modes_expected" not in plan.conditions
