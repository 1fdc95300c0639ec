"""The cued delay: what is drawn, what chance and linear networks reach, and an exact circuit."""

import numpy as np
import pytest
import torch

from emtkit import EmtkitError, Stream
from emtkit_std._theory.facts import DelayLaw
from emtkit_std.analyses.superposition import Superposition
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.relu_rnn import ReluRnn
from emtkit_std.tasks.cued_delay import CuedDelay
from tests.std.known_nets import assert_within_standard_errors
from tests.std.subjects import build, subject_of


def stream(seed: int = 0) -> Stream:
    return Stream(seed, "data", dtype=torch.float64)


@pytest.mark.parametrize("items", [1, 3])
def test_items_are_due_at_the_cue_after_the_delay_of_each_sequence(items):
    task = CuedDelay(shortest=2, longest=5, items=items, features=2, density=0.7)
    batch = task.sample(400, stream())
    assert batch.inputs.shape == (400, 5 + items, 3)
    assert batch.input_steps == batch.steps
    assert batch.mask.all()
    inputs, cue = batch.inputs[..., :-1], batch.inputs[..., -1]
    assert not inputs[:, items:].any()
    delays = cue.argmax(1)
    assert (cue.sum(1) == items).all()
    for sequence, delay in enumerate(delays.tolist()):
        due = slice(delay, delay + items)
        assert (cue[sequence, due] == 1).all()
        assert torch.equal(batch.targets[sequence, due], inputs[sequence, :items])
    assert torch.equal(batch.targets * cue[..., None], batch.targets)
    counts = torch.bincount(delays, minlength=6)
    assert not counts[:2].any()
    assert (counts[2:] > 60).all()  # 100 each, 5 standard deviations of 9


def test_one_delay_is_a_delay_line_of_fixed_length():
    batch = CuedDelay(shortest=4, longest=4).sample(20, stream())
    assert torch.equal(batch.targets[:, 4], batch.inputs[:, 0, :1])


@pytest.mark.parametrize("amplitude", ["uniform", "signed", "exponential"])
def test_zero_has_loss_one_and_the_mean_at_the_cue_has_that_of_chance(amplitude):
    task = CuedDelay(features=2, items=2, density=0.6, amplitude=amplitude)
    batch = task.sample(20_000, stream())
    cue = batch.inputs[..., -1:]

    def losses(answer: float) -> np.ndarray:
        return task.loss(answer * cue.expand_as(batch.targets), batch).mean(1).numpy()

    assert_within_standard_errors(losses(0.0), 1.0)
    mean = 0.6 * {"uniform": 0.5, "signed": 0.0, "exponential": 1.0}[amplitude]
    assert_within_standard_errors(losses(mean), task.chance)
    if mean:
        assert task.chance < 0.8
        for other in (0.8 * mean, 1.2 * mean):
            assert losses(other).mean() > losses(mean).mean()


@pytest.mark.parametrize("shortest", [1, 3, 5])
def test_no_linear_network_gates(shortest):
    """Least squares of each step's target on all inputs up to it: 1 - 1 / D of the energy."""
    task = CuedDelay(shortest=shortest, longest=5, amplitude="signed")
    batch = task.sample(20_000, stream())
    missed = 0.0
    for step in range(task.steps):
        known = batch.inputs[:, : step + 1].flatten(1).numpy()
        target = batch.targets[:, step, 0].numpy()
        best = known @ np.linalg.lstsq(known, target, rcond=None)[0]
        missed += float(np.square(target - best).mean())
    relative = missed * 3  # E U² = 1 / 3
    assert relative == pytest.approx(1.0 - 1.0 / (6 - shortest), abs=0.02)


@pytest.mark.parametrize("longest", [3, 12])
@pytest.mark.parametrize("features", [1, 3])
def test_a_unit_for_each_feature_and_one_for_the_cue_are_exact(features, longest):
    task = CuedDelay(longest=longest, features=features, density=0.6)
    model = build(ReluRnn, task, hidden=features + 1, readout="relu", bias=True).double()
    held = torch.eye(features, dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.W_hh[:-1, :-1] = held
        model.W_uh.copy_(torch.eye(features + 1))
        model.W_r[:, :-1], model.W_r[:, -1] = held, 1.0
        model.b_r.fill_(-1.0)
        batch = task.sample(200, stream())
        outputs = model.trace(batch.inputs, batch.steps).outputs
        assert float(task.loss(outputs, batch).mean()) < 1e-28
        found = task.metrics(outputs, batch)
        assert all(float(value) < 1e-28 for value in found.values())
        model.b_r.fill_(-0.5)  # it then answers before it is asked
        spoilt = task.metrics(model.trace(batch.inputs, batch.steps).outputs, batch)
        assert spoilt["uncued_error"] > 0.01


def test_the_metrics_are_the_two_parts_of_the_loss():
    task = CuedDelay(features=2, items=2)
    batch = task.sample(50, stream())
    outputs = torch.randn(batch.targets.shape, dtype=torch.float64)
    found = task.metrics(outputs, batch)
    torch.testing.assert_close(sum(found.values()), task.loss(outputs, batch).mean())
    silent = task.metrics(torch.zeros_like(outputs), batch)
    assert silent["uncued_error"].abs() < 1e-12


def test_no_law_of_delays_is_offered():
    assert DelayLaw not in CuedDelay.offers
    model = build(ReluRnn, CuedDelay())
    found = Superposition(samples=256).measure(subject_of(model, CuedDelay()))
    assert found.scalars["law"] == "none"
    assert "DelayLaw" in found.reasons["expected_loss"]
    asked = {"tied": True, "readout": "linear"}
    assert "has no DelayLaw" in LinearRnn.accepts(CuedDelay(), asked)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"shortest": 4, "longest": 3}, "shortest delay 4 is above the longest, 3"),
        ({"amplitude": "constant"}, "nothing to remember"),
    ],
)
def test_impossible_settings_are_refused(parameters, message):
    with pytest.raises(EmtkitError, match=message):
        CuedDelay(**parameters)


def test_cues_that_are_never_drawn_are_read_in_order() -> None:
    task = CuedDelay(items=2, longest=5)
    inputs = torch.zeros(1, 7, 2)
    inputs[0, :2, 0] = torch.tensor([0.25, 0.5])
    inputs[0, [3, 5, 6], 1] = 1.0
    assert task.targets(inputs)[0, :, 0].tolist() == [0, 0, 0, 0.25, 0, 0.5, 0.5]
