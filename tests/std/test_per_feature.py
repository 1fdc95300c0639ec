"""Delays, densities, amplitudes and importances of each feature alone."""

import numpy as np
import pytest
import torch

from emtkit import EmtkitError, Stream
from emtkit.plugin.params import resolve
from emtkit_std._theory.facts import DelayLaw
from emtkit_std._theory.superposition.linear_loss import (
    delay_law,
    enumerated_loss,
    finite_terms,
    linear_response,
    zero_predictor_loss,
)
from emtkit_std._theory.superposition.rectified_loss import relu_losses
from emtkit_std.analyses.superposition import Superposition
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.relu_rnn import ReluRnn
from emtkit_std.architectures.shift_register import ShiftRegister
from emtkit_std.tasks.k_delay import KDelay
from tests.std.known_nets import assert_within_standard_errors, look, sample_law
from tests.std.subjects import build

LISTS = {
    "features": 3,
    "delay": (0, 2, 3),
    "density": (0.6, 0.3, 0.1),
    "amplitude": ("constant", "uniform", "signed"),
    "importance": (1.0, 3.0, 0.5),
    "steps": 7,
}
BOUNDED = ("constant", "uniform", "signed")
UNBOUNDED = ("exponential", "normal", "lognormal")


def law_of(amplitude: tuple[str, ...] = BOUNDED) -> DelayLaw:
    return delay_law((0, 2, 3), (0.6, 0.3, 0.1), amplitude, features=3, importance=(1.0, 3.0, 0.5))


def stream(seed: int = 0) -> Stream:
    return Stream(seed, "data", dtype=torch.float64)


def test_each_feature_has_its_own_delay():
    batch = KDelay(**LISTS).sample(50, stream())
    for feature, delay in enumerate(LISTS["delay"]):
        late, inputs = batch.targets[:, delay:, feature], batch.inputs[..., feature]
        assert torch.equal(late, inputs[:, : 7 - delay])
        assert not batch.targets[:, :delay, feature].any()
    assert torch.equal(batch.mask, (torch.arange(7) >= 3).to(batch.mask))


@pytest.mark.parametrize("amplitudes", [BOUNDED, UNBOUNDED, ("lognormal", "constant", "uniform")])
def test_each_feature_follows_its_own_law(amplitudes):
    task = KDelay(**{**LISTS, "amplitude": amplitudes})
    inputs = task.sample(20_000, stream()).inputs.flatten(0, 1).numpy()
    for column, density, mean, second in zip(
        inputs.T, LISTS["density"], task.law.mean, task.law.second_moment, strict=True
    ):
        assert_within_standard_errors((column != 0).astype(float), density)
        assert_within_standard_errors(column, density * mean)
        assert_within_standard_errors(column**2, density * second)


@pytest.mark.parametrize("scored", ["recall", "all", "last"])
def test_the_zero_predictor_has_mean_loss_one(scored):
    task = KDelay(**LISTS, scored=scored)
    batch = task.sample(40_000, stream())
    losses = task.loss(torch.zeros_like(batch.targets), batch)[:, batch.mask > 0].mean(1)
    assert_within_standard_errors(losses.numpy(), 1.0)


def test_equal_entries_are_one_value_for_all():
    lists = KDelay(features=2, delay=(2, 2), density=(0.3, 0.3), amplitude=("signed", "signed"))
    plain = KDelay(features=2, delay=2, density=0.3, amplitude="signed")
    assert lists.law == plain.law
    assert lists.squares() == plain.squares()
    ours, theirs = (task.sample_strata(300, stream()) for task in (lists, plain))
    assert torch.equal(ours.batch.inputs, theirs.batch.inputs)
    assert ours.strata == theirs.strata
    assert KDelay(features=2, importance=(1.0, 0.8)).squares() == pytest.approx(
        KDelay(features=2, importance=0.8).squares()
    )


def test_kinds_of_sequences_are_used_where_their_chances_are_known():
    alike = KDelay(features=2, delay=(1, 2), density=0.05, amplitude=("uniform", "signed"), steps=4)
    drawn = alike.sample_strata(400, stream())
    assert not drawn.strata.simple
    assert torch.equal(drawn.batch.targets[:, 1:, 0], drawn.batch.inputs[:, :3, 0])
    assert (
        KDelay(features=2, density=(0.05, 0.06), steps=4).sample_strata(400, stream()).strata.simple
    )


def test_rows_equal_the_tasks_one_by_one():
    shape = {"features": 3, "steps": 7}
    tasks = [
        KDelay(**LISTS),
        KDelay(delay=2, density=0.4, **shape),
        KDelay(delay=(1, 2, 2), density=0.1, scored="last", **shape),
        KDelay(delay=2, amplitude=("uniform", "normal", "signed"), density=0.4, **shape),
    ]
    for chosen in (tasks, tasks[1:]):
        rows = KDelay.sample_rows(chosen, 6, [stream(0) for _ in chosen])
        for row, task in enumerate(chosen):
            alone = task.sample(6, stream(0))
            assert torch.equal(rows.inputs[row], alone.inputs)
            assert torch.equal(rows.targets[row], alone.targets)
            assert torch.equal(rows.mask[row], alone.mask)


def test_a_denser_feature_is_active_wherever_a_sparser_one_is():
    """As rows of one density are: equal streams share their numbers."""
    mixed = KDelay(features=2, density=(0.5, 0.1)).sample(50, stream()).inputs
    dense = KDelay(features=2, density=0.9).sample(50, stream()).inputs
    assert (dense[mixed > 0] > 0).all()
    assert (mixed < 1).all()


def test_the_recipe_draws_what_is_sampled():
    task = KDelay(features=3, delay=(0, 2, 3), density=0.3, importance=(1.0, 2.0, 3.0))
    batch, again = task.sample(6, stream()), task.recipe().batch(6, task.channels, stream())
    assert torch.equal(batch.inputs, again.inputs)
    assert torch.equal(batch.targets, again.targets)
    assert torch.equal(batch.mask, again.mask)
    assert KDelay(**LISTS).recipe() is None


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"density": (0.1, 0.2)}, "density is a list of 2 for 3 features"),
        ({"delay": (1,)}, "delay is a list of 1 for 3"),
        ({"amplitude": ("uniform",) * 4}, "amplitude is a list of 4 for 3"),
        ({"importance": (1.0, 2.0)}, "importance is a list of 2 for 3"),
        ({"delay": ()}, "delay is a list of 0"),
        (
            {"amplitude": ("constant", "uniform", "uniform"), "density": (1.0, 0.5, 0.5)},
            "nothing to remember",
        ),
        ({"delay": (1, 9, 2), "steps": 9}, "steps must be above delay"),
    ],
)
def test_lists_that_do_not_fit_are_refused(parameters, message):
    with pytest.raises(EmtkitError, match=message):
        KDelay(features=3, **parameters)


@pytest.mark.parametrize(
    ("given", "path", "text"),
    [
        ({"density": [0.5, 2]}, ("density", 1), "less than or equal to 1"),
        ({"density": 2}, ("density",), "less than or equal to 1"),
        ({"amplitude": ["loud"]}, ("amplitude", 0), "should be 'uniform'"),
        ({"amplitude": "loud"}, ("amplitude",), "should be 'uniform'"),
        ({"delay": [1, 2.5]}, ("delay", 1), "valid integer"),
        ({"delay": "three"}, ("delay",), "valid integer"),
    ],
)
def test_a_wrong_value_is_one_mistake_in_its_place(given, path, text):
    (mistake,) = resolve(KDelay, given).mistakes
    assert mistake.path == path
    assert text in mistake.text


def test_integers_are_numbers_in_lists_too():
    assert resolve(KDelay, {"density": [1, 0.5]}).values["density"] == [1.0, 0.5]


@pytest.mark.parametrize("amplitudes", [BOUNDED, UNBOUNDED])
@pytest.mark.parametrize("readout", ["linear", "relu"])
@pytest.mark.parametrize("bias", [0.0, -0.3])
def test_the_exact_loss_against_monte_carlo(amplitudes, readout, bias):
    rng, law = np.random.default_rng(5), law_of(amplitudes)
    a, scored = rng.normal(size=(3, 3, 6)), np.arange(6) >= 2
    inputs = sample_law(law, (100_000, 6, 3), rng)
    targets = np.zeros_like(inputs)
    for feature, delay in enumerate(law.delay):
        targets[:, delay:, feature] = inputs[:, : 6 - delay, feature]
    outputs = linear_response(a, readout, np.full(3, bias))(inputs)
    errors = (np.square(outputs - targets) @ law.importance)[:, scored].mean(1)
    if readout == "linear":
        exact = finite_terms(a, law, scored, np.full(3, bias)).total
        other = finite_terms(a, law_of(amplitudes[::-1]), scored, np.full(3, bias)).total
        assert abs(errors.mean() - other) > 8 * errors.std() / np.sqrt(len(errors))
    else:
        found = relu_losses(a[None], law, scored, np.full((1, 6, 3), bias))
        exact = float(found.loss[0])
        assert found.error[0] < 1e-5 * zero_predictor_loss(law, scored)
    assert_within_standard_errors(errors, exact)


def test_the_exact_loss_against_enumeration():
    law = law_of(("constant",) * 3)
    a, scored = np.random.default_rng(6).normal(size=(3, 3, 6)), np.arange(6) >= 2
    for readout in ("linear", "relu"):
        exact = enumerated_loss(linear_response(a, readout), law, scored)
        if readout == "linear":
            assert finite_terms(a, law, scored).total == pytest.approx(exact, rel=1e-12)
        else:
            found = relu_losses(a[None], law, scored)
            assert abs(found.loss[0] - exact) <= found.error[0] < 1e-10


def test_mixed_laws_that_never_clip_leave_the_linear_loss():
    law, a = law_of(), np.random.default_rng(7).normal(size=(3, 3, 6))
    scored, bias = np.arange(6) >= 3, float(np.abs(a).sum()) + 0.1
    linear = finite_terms(a, law, scored, np.full(3, bias)).total
    found = relu_losses(a[None], law, scored, np.full((1, 6, 3), bias))
    assert abs(found.loss[0] - linear) <= found.error[0] < 1e-8


def test_laws_with_and_without_bound_have_no_common_form():
    law = law_of(("uniform", "normal", "signed"))
    with pytest.raises(EmtkitError, match="normal have no bound and the amplitudes signed, unif"):
        relu_losses(np.zeros((1, 3, 3, 6)), law, np.arange(6) >= 3)
    task = KDelay(**{**LISTS, "amplitude": law.amplitudes})
    model = build(LinearRnn, task, hidden=3, readout="relu")
    findings = look(Superposition(samples=2000), task, model)
    assert np.isnan(findings.scalars["expected_loss"])
    assert "no closed form" in findings.reasons["expected_loss"]
    assert findings.scalars["relative_loss"] > 0


@pytest.mark.parametrize("readout", ["linear", "relu"])
@pytest.mark.parametrize("scored", ["recall", "all"])
def test_superposition_measures_what_it_expects(readout, scored):
    task = KDelay(**LISTS, scored=scored)
    torch.manual_seed(1)
    model = LinearRnn(task, hidden=3, readout=readout).double()
    found = look(Superposition(samples=40_000), task, model).scalars
    assert abs(found["relative_loss"] - found["expected_loss"]) < 4 * found["relative_loss_error"]


def test_a_register_holds_every_feature_for_its_own_time():
    task = KDelay(**{**LISTS, "amplitude": "signed"})
    findings = look(Superposition(samples=400), task, build(ShiftRegister, task, hidden=12))
    assert findings.scalars["relative_loss"] < 1e-12
    assert findings.scalars["expected_loss"] < 1e-12
    assert findings.scalars["represented"] == 3
    assert np.isnan(findings.scalars["travelled_angle"])
    assert findings.reasons["travelled_angle"] == "the outputs have different delays"


def test_a_tied_readout_repeats_each_feature_after_its_own_delay():
    task = KDelay(**LISTS)
    model = build(ReluRnn, task, tied=True, hidden=3)
    findings = look(Superposition(samples=400), task, model)
    a = findings.arrays["projections"]
    directions = findings.arrays["directions"]
    for feature, delay in enumerate(LISTS["delay"]):
        own = directions[delay, :, feature]
        assert a[feature, feature, delay] == pytest.approx(own @ own, rel=1e-5)
