"""The delay task: targets, masks, laws of the inputs, and what it refuses."""

import numpy as np
import pytest
import torch

from emtkit import EmtkitError, PluginError, Recipe, Stream
from emtkit.plugin.params import resolve
from emtkit_std._theory.facts import DelayLaw
from emtkit_std.tasks.k_delay import KDelay


def stream(seed: int = 0, iteration: int = 0) -> Stream:
    return Stream(seed, "data", iteration, dtype=torch.float64)


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_targets_are_the_inputs_some_steps_later(delay):
    task = KDelay(delay=delay, features=2, density=0.5)
    batch = task.sample(7, stream())
    assert batch.inputs.shape == batch.targets.shape == (7, 3 * delay + 5, 2)
    assert batch.input_steps == batch.steps == 3 * delay + 5
    assert (batch.targets[:, :delay] == 0).all()
    assert torch.equal(batch.targets[:, delay:], batch.inputs[:, : batch.steps - delay])


@pytest.mark.parametrize(("scored", "first"), [("recall", 3), ("all", 0), ("last", 13)])
def test_masks(scored, first):
    mask = KDelay(delay=3, scored=scored).sample(1, stream()).mask
    assert torch.equal(mask, (torch.arange(14) >= first).to(mask.dtype))


@pytest.mark.parametrize(
    ("amplitude", "mean", "second"),
    [("uniform", 1 / 2, 1 / 3), ("constant", 1, 1), ("signed", 0, 1 / 3)],
)
def test_inputs_follow_their_law(amplitude, mean, second):
    task = KDelay(delay=1, density=0.3, amplitude=amplitude)
    inputs = task.sample(20_000, stream()).inputs.flatten().numpy()
    error = 4 / np.sqrt(len(inputs))
    assert abs((inputs != 0).mean() - 0.3) < 0.5 * error
    assert abs(inputs.mean() - 0.3 * mean) < error
    assert abs((inputs**2).mean() - 0.3 * second) < error
    law = task.facts(DelayLaw)
    assert (law.mean[0], law.second_moment[0]) == (mean, pytest.approx(second))


@pytest.mark.parametrize("scored", ["recall", "all", "last"])
@pytest.mark.parametrize("amplitude", ["uniform", "constant", "signed"])
def test_a7_the_zero_predictor_has_mean_loss_one(scored, amplitude):
    task = KDelay(
        delay=3, features=2, density=0.4, amplitude=amplitude, importance=0.5, scored=scored
    )
    batch = task.sample(20_000, stream())
    losses = task.loss(torch.zeros_like(batch.targets), batch)[:, batch.mask > 0].mean(1)
    assert abs(float(losses.mean()) - 1) < 4 * float(losses.std()) / np.sqrt(20_000)


def test_importance_weighs_the_features():
    task = KDelay(delay=1, features=3, density=1.0, importance=0.5)
    batch = task.sample(1, stream())
    wrong = batch.targets.clone()
    wrong[..., 1] += 1.0
    loss = task.loss(wrong, batch)
    torch.testing.assert_close(loss, torch.full_like(loss, 0.5 / (1 / 3 * 1.75)))


def test_rows_equal_the_tasks_one_by_one():
    tasks = [
        KDelay(delay=3, density=0.5, steps=14),
        KDelay(delay=3, density=0.1, steps=14, scored="last"),
        KDelay(delay=5, density=0.5, steps=14, amplitude="signed"),
        KDelay(delay=5, density=0.5, steps=14, amplitude="constant", scored="all"),
    ]
    seeds = [0, 0, 1, 1]
    rows = KDelay.sample_rows(tasks, 6, [stream(seed) for seed in seeds])
    for row, (task, seed) in enumerate(zip(tasks, seeds, strict=True)):
        alone = task.sample(6, stream(seed))
        assert torch.equal(rows.inputs[row], alone.inputs)
        assert torch.equal(rows.targets[row], alone.targets)
        assert torch.equal(rows.mask[row], alone.mask)


def test_a_denser_row_is_active_wherever_a_sparser_one_is():
    dense, sparse = (KDelay(density=density).sample(50, stream()).inputs for density in (0.5, 0.1))
    assert (dense[sparse > 0] > 0).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"amplitude": "constant", "density": 1.0}, "nothing to remember"),
        ({"delay": 3, "steps": 3}, "steps must be above delay"),
        ({"delay": -1}, "delay -1"),
        ({"density": 0.0}, "above 0 and at most 1"),
    ],
)
def test_a8_impossible_settings_are_refused(parameters, message):
    with pytest.raises(EmtkitError, match=message):
        KDelay(**parameters)


@pytest.mark.parametrize(
    "given",
    [{"density": 0}, {"density": 1.5}, {"delay": -1}, {"amplitude": "loud"}, {"steps": "14"}],
)
def test_a8_the_schema_refuses_them_before_that(given):
    assert resolve(KDelay, given).mistakes


def test_defaults():
    assert dict(resolve(KDelay, {}).values) == {
        "delay": 3,
        "features": 1,
        "density": 1.0,
        "amplitude": "uniform",
        "importance": 1.0,
        "steps": None,
        "scored": "recall",
        "feature_correlation": 0.0,
        "time_correlation": 0.0,
        "correlated": "both",
    }


@pytest.mark.parametrize("delay", [0, 3])
def test_the_recipe_draws_what_is_sampled(delay):
    task = KDelay(delay=delay, features=2, density=0.3, scored="all")
    batch, again = task.sample(6, stream()), task.recipe().batch(6, task.channels, stream())
    assert torch.equal(batch.inputs, again.inputs)
    assert torch.equal(batch.targets, again.targets)
    assert torch.equal(batch.mask, again.mask)
    assert KDelay(amplitude="signed").recipe() is None
    with pytest.raises(PluginError, match="delay 4 for 3 steps"):
        Recipe.delayed((1.0,) * 3, 0.5, 4, 2)
    with pytest.raises(PluginError, match="3 of 3 steps driven and density 0"):
        Recipe.delayed((1.0,) * 3, 0, 1, 2)
    for sources in ((0, 6), (-2, 0), (0,)):
        wrong = Recipe((1.0,), 1, None, sources, (1,) * len(sources))
        with pytest.raises(PluginError, match="it takes 2, each from 0 to 1"):
            wrong.batch(3, task.channels, stream())
    with pytest.raises(PluginError, match="1 sources and 2 signs"):
        Recipe((1.0,), 1, None, (0,), (1, -1))
