"""Starts that work at every width: few are silent, none is far off, and wide networks learn."""

import pytest
import torch
from torch import nn

from emtkit import RecurrentModel, Stream
from emtkit_std._theory.networks.recurrence import outer_weights, silent_share
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.relu_rnn import ReluRnn
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay

INITS = ["spiral", "gaussian", "uniform"]
# Of one output, a sign decides; of five or more, all signs would have to be wrong.
WIDTHS = [(1, 2, 0.35), (5, 2, 0.05), (10, 5, 0.0), (75, 100, 0.0)]
STARTS = 40


def started(cls: type, task: KDelay, seed: int, **parameters: object) -> RecurrentModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cls(task, readout="relu", **parameters)


def unscaled(model: RecurrentModel) -> RecurrentModel:
    """The same start with N(0, 1/4) for every width."""
    with torch.no_grad():
        for name in ("W_uh", "W_r"):
            weights = model.get_parameter(name)
            weights.mul_(0.5 / weights.std())
    return model


def mean_loss(model: RecurrentModel, task: KDelay, iteration: int = 0) -> torch.Tensor:
    batch = task.sample(32, Stream(0, "data", iteration))
    outputs = model.trace(batch.inputs, batch.steps).outputs
    return task.loss(outputs, batch)[:, batch.mask > 0].mean()


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("cls", [ReluRnn, LinearRnn])
@pytest.mark.parametrize(("features", "hidden", "most"), WIDTHS)
def test_few_starts_are_silent_and_none_is_far_off(features, hidden, most, cls, init):
    task = KDelay(features=features, delay=2, density=0.2)
    batch = task.sample(32, Stream(0, "data"))
    silent, seeds = 0, STARTS if hidden < 100 else 4
    losses = []
    for seed in range(seeds):
        with torch.no_grad():
            model = started(cls, task, seed, hidden=hidden, init=init)
            silent += not model.trace(batch.inputs, batch.steps).outputs.any()
            losses.append(float(mean_loss(model, task)))
    assert silent <= most * seeds
    # The silent network has 1; a linear recurrence of radius 1 adds up all of its past.
    assert sorted(losses)[seeds // 2] < 4


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("cls", [ReluRnn, LinearRnn])
def test_75_features_in_100_units_are_learned(cls, init):
    task = KDelay(features=75, delay=2, density=0.1, steps=8)
    assert trained_loss(started(cls, task, 0, hidden=100, init=init), task) < 0.9


@pytest.mark.parametrize("cls", [ReluRnn, LinearRnn])
def test_without_the_scale_they_fall_silent(cls):
    task = KDelay(features=75, delay=2, density=0.1, steps=8)
    model = unscaled(started(cls, task, 0, hidden=100))
    assert mean_loss(model, task) > 50
    assert trained_loss(model, task) > 0.95


def trained_loss(model: RecurrentModel, task: KDelay) -> float:
    """The loss after 40 iterations, relative to silence on the same sequences."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for iteration in range(40):
        loss = mean_loss(model, task, iteration)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    batch = task.sample(32, Stream(0, "data", 40))
    zero = task.loss(torch.zeros_like(batch.targets), batch)[:, batch.mask > 0].mean()
    return float(mean_loss(model, task, 40).detach() / zero)


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_at_few_units_and_features_starts_are_as_they_always_were(columns):
    torch.manual_seed(0)
    found = outer_weights("spiral", 3, columns, 2)
    torch.manual_seed(0)
    assert torch.equal(found, 0.5 * torch.randn(3, columns))


def test_a_tied_readout_is_no_larger_for_its_many_units():
    task = KDelay(features=1, delay=2, density=0.2)
    model = started(ReluRnn, task, 0, hidden=100, tied=True)
    assert mean_loss(model, task) < 10


def test_silent_starts_are_warned_of():
    said = ReluRnn.warns(KDelay(), asked(hidden=2))
    assert "% of them start with an output of 0" in said
    shares = [silent_share("spiral", hidden, 1, "relu") for hidden in (2, 16)]
    assert 0.2 < shares[0] < 0.4
    assert shares[1] < shares[0] / 2


@pytest.mark.parametrize(
    ("task", "parameters"),
    [
        (KDelay(features=2), {}),
        (KDelay(amplitude="signed"), {}),
        (KDelay(), {"readout": "linear"}),
        (KDelay(), {"tied": True}),
        (KDelay(), {"hidden": 16}),
        (HistoryDependentSystem(rule="repeat", history=2, dimension=1), {}),
    ],
)
def test_others_are_not(task, parameters):
    assert ReluRnn.warns(task, asked(**parameters)) is None


def asked(**given: object) -> dict[str, object]:
    defaults = {"hidden": 2, "readout": "relu", "activation": "relu", "tied": False}
    return {**defaults, "bias": False, "init": "spiral", **given}
