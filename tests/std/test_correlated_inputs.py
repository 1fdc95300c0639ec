"""Inputs that depend on one another: each by its own law, correlated as they say, and no theory."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm

from emtkit import EmtkitError, Stream
from emtkit_std._theory.facts import DelayLaw
from emtkit_std._theory.superposition.linear_loss import enumerated_loss, linear_response
from emtkit_std._theory.superposition.rectified_loss import relu_losses
from emtkit_std.analyses.superposition import Superposition
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.optimal_linear import OptimalLinear
from emtkit_std.architectures.optimal_rectified import OptimalRectified
from emtkit_std.tasks.k_delay import KDelay
from tests.std.known_nets import assert_within_standard_errors, look
from tests.std.subjects import build

C, R = 0.6, 0.7
BOTH = {"feature_correlation": C, "time_correlation": R}
WAYS = ["both", "presence", "amplitude"]


def stream(dtype: torch.dtype = torch.float64) -> Stream:
    return Stream(3, "data", dtype=dtype)


def inputs_of(task: KDelay, sequences: int = 20_000) -> np.ndarray:
    return task.sample(sequences, stream()).inputs.numpy()


@pytest.mark.parametrize("correlated", WAYS)
@pytest.mark.parametrize("amplitude", ["uniform", "exponential", "normal"])
def test_each_input_keeps_its_law(correlated, amplitude):
    """Density, moments and quartiles; sequences are the independent samples."""
    task = KDelay(
        features=2,
        delay=1,
        density=(0.3, 0.8),
        amplitude=amplitude,
        steps=5,
        correlated=correlated,
        **BOTH,
    )
    inputs = inputs_of(task)
    for feature, density in enumerate((0.3, 0.8)):
        values = inputs[..., feature]
        assert_within_standard_errors((values != 0).mean(1), density)
        assert_within_standard_errors(values.mean(1), density * task.law.mean[feature])
        second = density * task.law.second_moment[feature]
        assert_within_standard_errors((values**2).mean(1), second)
        quartiles = {
            "uniform": lambda u: u,
            "exponential": lambda u: -np.log1p(-u),
            "normal": norm.ppf,
        }[amplitude](np.array([0.25, 0.5, 0.75]))
        for share, quartile in zip((0.25, 0.5, 0.75), quartiles, strict=True):
            below = ((values != 0) & (values < quartile)).mean(1)
            assert_within_standard_errors(below, density * share)


def test_what_is_behind_the_inputs_is_correlated_as_said():
    task = KDelay(features=3, delay=1, density=1.0, steps=6, **BOTH)
    numbers = norm.ppf(np.clip(inputs_of(task), 1e-12, 1 - 1e-12))
    for lag in (0, 1, 3):
        early, late = numbers[:, : 6 - lag], numbers[:, lag:]
        own = (early * late).mean((1, 2))
        other = (early[..., 0] * late[..., 1]).mean(1)
        if lag:
            assert_within_standard_errors(own, R**lag)
        assert_within_standard_errors(other, C * R**lag)
    # The first step is as the others are.
    assert_within_standard_errors((numbers[:, 0, 0] * numbers[:, 0, 2]), C)


@pytest.mark.parametrize("correlated", WAYS)
def test_how_often_two_features_are_active_together(correlated):
    """The bivariate normal of what is correlated, the product of chances of what is not."""
    p = (0.2, 0.4)
    settings = {"features": 2, "delay": 1, "density": p, "steps": 4}
    active = inputs_of(KDelay(**settings, correlated=correlated, **BOTH)) > 0
    together = (active[..., 0] & active[..., 1]).mean(1)
    joint = multivariate_normal([0, 0], [[1, C], [C, 1]]).cdf(norm.ppf(p))
    free = correlated == "amplitude"
    assert_within_standard_errors(together, p[0] * p[1] if free else joint)
    assert joint > 1.5 * p[0] * p[1]


def test_amplitudes_alone_are_correlated_where_they_are_said_to_be():
    for correlated, expected in (("amplitude", C), ("presence", 0.0)):
        task = KDelay(
            features=2, delay=0, density=0.5, steps=1, correlated=correlated, feature_correlation=C
        )
        inputs = inputs_of(task, 40_000)[:, 0]
        both = inputs[(inputs > 0).all(1)]
        products = norm.ppf(np.clip(both, 1e-12, 1 - 1e-12)).prod(1)
        assert_within_standard_errors(products, expected)


def test_without_correlation_nothing_has_changed():
    plain, named = (
        KDelay(features=2, density=0.1),
        KDelay(features=2, density=0.1, feature_correlation=0.0, correlated="presence"),
    )
    one = KDelay(density=0.1, feature_correlation=0.9)  # of one feature there is no other
    assert torch.equal(plain.sample(6, stream()).inputs, named.sample(6, stream()).inputs)
    assert torch.equal(
        KDelay(density=0.1).sample(6, stream()).inputs, one.sample(6, stream()).inputs
    )
    assert plain.law == named.law
    assert one.law.independent
    assert named.recipe() is not None


@pytest.mark.parametrize("amplitude", ["exponential", "lognormal", "normal"])
@pytest.mark.parametrize("correlated", WAYS)
def test_every_amplitude_is_finite_in_single_precision(amplitude, correlated):
    task = KDelay(features=2, amplitude=amplitude, density=1.0, correlated=correlated, **BOTH)
    inputs = task.sample(20_000, stream(torch.float32)).inputs
    assert inputs.dtype == torch.float32
    assert torch.isfinite(inputs).all()


def test_rows_equal_the_tasks_one_by_one():
    tasks = [
        KDelay(features=2, density=0.3),
        KDelay(features=2, density=0.3, **BOTH),
        KDelay(features=2, density=(0.3, 0.1), correlated="presence", **BOTH),
    ]
    rows = KDelay.sample_rows(tasks, 5, [stream() for _ in tasks])
    for row, task in enumerate(tasks):
        alone = task.sample(5, stream())
        assert torch.equal(rows.inputs[row], alone.inputs)
        assert torch.equal(rows.targets[row], alone.targets)


def test_theory_of_independent_inputs_does_not_apply():
    task = KDelay(delay=1, density=0.3, amplitude="constant", steps=6, time_correlation=R)
    law, scored = task.facts(DelayLaw), np.arange(6) >= 1
    assert task.recipe() is None
    assert task.sample_strata(400, stream()).strata.simple
    defaults = {"hidden": 2, "bias": False, "branch": "best"}
    for cls in (OptimalLinear, OptimalRectified):
        assert "independent inputs" in cls.accepts(task, defaults)
        assert cls.accepts(KDelay(delay=1), defaults) is None
    a = np.ones((1, 1, 6))
    with pytest.raises(EmtkitError, match="independent inputs"):
        relu_losses(a[None], law, scored)
    with pytest.raises(EmtkitError, match="independent inputs"):
        enumerated_loss(linear_response(a, "linear"), law, scored)


@pytest.mark.parametrize("readout", ["linear", "relu"])
def test_the_sampled_loss_is_still_measured(readout):
    task = KDelay(features=2, delay=1, density=0.3, **BOTH)
    model = build(LinearRnn, task, hidden=2, readout=readout, bias=False)
    findings = look(Superposition(samples=20_000), task, model)
    found = findings.scalars
    assert np.isnan(found["expected_loss"])
    assert "independent inputs" in findings.reasons["expected_loss"]
    batch = task.sample(20_000, Stream(9, "else"))
    with torch.no_grad():
        outputs = model.trace(batch.inputs, batch.steps).outputs
    losses = task.loss(outputs, batch)[:, batch.mask > 0].mean(1).double().numpy()
    error = np.hypot(losses.std() / np.sqrt(20_000), found["relative_loss_error"])
    assert abs(losses.mean() - found["relative_loss"]) < 4 * error


def test_a_memory_in_the_inputs_helps_a_linear_network():
    """What is correlated over time can be guessed: theory of independent inputs would be wrong."""
    plain, slow = (
        KDelay(delay=1, amplitude="normal", time_correlation=r, scored="last", steps=9)
        for r in (0.0, 0.9)
    )
    model = build(LinearRnn, plain, hidden=1, readout="linear", bias=False)
    for name, value in (("W_hh", 0.0), ("W_uh", 0.9), ("W_r", 1.0)):
        with torch.no_grad():
            model.get_parameter(name).fill_(value)
    found = [look(Superposition(samples=20_000), task, model).scalars for task in (plain, slow)]
    # E (x_{t-1} - .9 x_t)² = 1 + .81 - 2 * .9 r
    for one, exact in zip(found, (1.81, 0.19), strict=True):
        assert abs(one["relative_loss"] - exact) < 4 * one["relative_loss_error"]
