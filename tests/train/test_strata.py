"""Evaluation by kinds of sequences: what is measured is the truth, with the error that is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binom

from emtkit import PluginError, Strata, Stratified, Stream, Task, sparse_uniform_strata
from emtkit.study.cells import EvaluationSpec
from emtkit.train.evaluate import judge
from emtkit.train.grouping import tier_named
from emtkit.train.stack import Stacked, stack
from emtkit_std._theory.facts import DelayLaw
from emtkit_std._theory.superposition import pulses
from emtkit_std._theory.superposition.linear_loss import zero_predictor_loss
from emtkit_std.analyses.superposition import Superposition
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.tasks.k_delay import KDelay
from tests.std.known_nets import look, set_weights, turn
from tests.std.subjects import build

REPEATS = 150


class CloseAnswers(KDelay):
    """A delay whose metric is how many of the answers are right to a tenth."""

    name = "close_answers"
    sample_strata = KDelay.sample_strata
    offers, facts = KDelay.offers, KDelay.facts

    def metrics(self, outputs, batch):
        close = ((outputs - batch.targets).abs() < 0.1).to(outputs.dtype).mean((0, 2))
        return {"close": (close * batch.mask).sum() / batch.mask.sum()}


class AsTheyCome(CloseAnswers):
    """The same without kinds."""

    name = "as_they_come"
    sample_strata = Task.sample_strata


def spiral(task: KDelay, readout: str = "relu"):
    """Turns 90 degrees a step: exact for lone inputs, wrong where two are two steps apart."""
    model = build(LinearRnn, task, hidden=2, readout=readout, bias=False)
    W_hh, W_uh = 0.45 * turn(90), np.array([[1.0], [0.0]])
    third = np.linalg.matrix_power(W_hh, 3) @ W_uh
    set_weights(model, W_hh, W_uh, third.T / (third**2).sum())
    return model


def exact_loss(model, task: KDelay) -> float:
    law = task.facts(DelayLaw)
    scored = task.sample(1, Stream(0, "mask")).mask.numpy() > 0
    circuit = pulses.circuit_of(model)
    seen = pulses.circuit_pulses(circuit, len(scored))
    return pulses.expected_losses([circuit], [seen], law, scored)[0].loss


def of(task: KDelay, readout: str = "relu") -> Stacked:
    return stack([spiral(task, readout)], [task], ["t"])


def over_streams(stacked: Stacked, sequences: int, repeats: int = REPEATS) -> dict[str, np.ndarray]:
    """What evaluations of one network on many streams say."""
    tier, flat = tier_named("vmap"), torch.zeros(1, 0, dtype=torch.float64)
    flat = torch.cat([p.reshape(1, -1) for p in stacked.template.parameters()], 1)
    specs = [EvaluationSpec("k", sequences, None, None, (), f"t{n}") for n in range(repeats)]
    rows = [judge(stacked, flat, tier, [spec])[0] for spec in specs]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("density", [0.02, 0.1])
@pytest.mark.parametrize("readout", ["relu", "linear"])
def test_the_loss_is_the_exact_one_within_its_errors(density, readout):
    stacked = of(KDelay(delay=3, density=density), readout)
    exact = exact_loss(stacked.template, stacked.tasks[0])
    found = over_streams(stacked, 20_000, 1)
    assert abs(found["loss"][0] - exact) < 4 * found["loss_error"][0]
    assert found["loss_error"][0] < 0.1 * exact


@pytest.mark.parametrize(("density", "gain"), [(0.02, 3.5), (0.1, 1.3)])
def test_the_error_is_the_spread_over_evaluations_and_falls(density, gain):
    """Of loss and metric; the mean over evaluations is that of sequences as they come."""
    kinds, simple = (
        over_streams(of(task(delay=3, density=density)), 1024)
        for task in (CloseAnswers, AsTheyCome)
    )
    for name in ("loss", "close"):
        for found in (kinds, simple):
            said = np.sqrt(np.mean(found[f"{name}_error"] ** 2))
            assert found[name].std() == pytest.approx(said, rel=0.25)
        error = np.hypot(kinds[name].std(), simple[name].std()) / REPEATS**0.5
        assert abs(kinds[name].mean() - simple[name].mean()) < 4 * error
    exact = exact_loss(spiral(task := KDelay(delay=3, density=density)), task)
    assert abs(kinds["loss"].mean() - exact) < 4 * kinds["loss"].std() / REPEATS**0.5
    assert simple["loss"].std() > gain * kinds["loss"].std()


@pytest.mark.parametrize(
    ("shape", "density"),
    [((900, 14, 1), 0.02), ((900, 14), 0.1), ((900, 5, 2), 0.45), ((900, 40), 0.1), (900, 0.3)],
)
def test_kinds_are_those_of_the_binomial_law(shape, density):
    """Their chances add up to those of the numbers of active places, within which all are even."""
    drawn = sparse_uniform_strata(Stream(0, "draw"), shape, density)
    places = int(np.prod(shape[1:])) if isinstance(shape, tuple) else 1
    active = (drawn.values.reshape(900, -1) != 0).sum(1).numpy()
    firsts = np.cumsum((0, *drawn.strata.counts))[:-1]
    law, last = binom(places, density), min(active[firsts[-1] :])
    for kind in range(last):
        chances = np.array(drawn.strata.chances)[active[firsts] == kind]
        assert chances.sum() == pytest.approx(law.pmf(kind), rel=1e-9)
        assert np.ptp(chances) == 0
    assert drawn.strata.chances[-1] == pytest.approx(law.sf(last - 1), rel=1e-9)
    assert (np.diff(active[: firsts[-1]]) >= 0).all()
    assert active.max() > last or last == places or density == 0.45


def test_numbers_of_a_kind_are_uniform_in_place_and_size():
    drawn = sparse_uniform_strata(Stream(0, "draw", dtype=torch.float64), (40_000, 10), 0.1)
    last, active = drawn.strata.counts[-1], (drawn.values > 0).sum(1)
    for few in (1, 2, 3, 4):
        own = drawn.values[:-last][active[:-last] == few]
        even = torch.full((10,), few / 10, dtype=torch.float64)
        assert torch.allclose((own > 0).double().mean(0), even, atol=2 / len(own) ** 0.5)
        sizes = own[own > 0]
        assert float(sizes.mean()) == pytest.approx(0.5, abs=4 * 0.29 / len(sizes) ** 0.5)
        assert float(sizes.var()) == pytest.approx(1 / 12, rel=0.05)
    many = active[-last:].double()
    law, least = binom(10, 0.1), int(many.min())
    expected = sum(k * law.pmf(k) for k in range(least, 11)) / law.sf(least - 1)
    assert float(many.mean()) == pytest.approx(expected, abs=4 * float(many.std()) / last**0.5)


@pytest.mark.parametrize(
    ("shape", "density"), [((30, 14), 0.1), ((999, 20, 20), 0.5), ((99, 9), 1)]
)
def test_few_sequences_or_many_kinds_are_drawn_as_they_come(shape, density):
    drawn = sparse_uniform_strata(Stream(0, "draw"), shape, density)
    assert drawn.strata.simple
    assert torch.equal(drawn.values, Stream(0, "draw").sparse_uniform(shape, density))


def test_strata_weigh_their_means_and_square_their_errors():
    strata = Strata((0.25, 0.75), (2, 4))
    values = torch.tensor([1.0, 3.0, 0.0, 4.0, 4.0, 8.0])
    assert strata.mean(values) == pytest.approx(0.25 * 2 + 0.75 * 4)
    wanted = 0.25**2 * 2 / 2 + 0.75**2 * values[2:].var().item() / 4
    assert strata.error(values) == pytest.approx(wanted**0.5)
    assert Strata((1.0,), (6,)).error(values) == pytest.approx(values.std().item() / 6**0.5)


@pytest.mark.parametrize(
    ("chances", "counts"),
    [((0.5, 0.4), (2, 2)), ((1.0, 0.0), (2, 2)), ((0.5, 0.5), (1, 9)), ((1.0,), (0,))],
)
def test_wrong_strata_are_refused(chances, counts):
    with pytest.raises(PluginError, match="sum to 1"):
        Strata(chances, counts)


def test_strata_of_another_batch_are_refused():
    batch = KDelay().sample(5, Stream(0, "draw"))
    with pytest.raises(PluginError, match="strata of 4 sequences came with a batch of 5"):
        Stratified(batch, Strata((1.0,), (4,)))


def test_a_task_without_kinds_is_drawn_as_it_comes():
    """Dense inputs, and whoever writes `sample` or `metrics` anew without saying its kinds."""
    sampled = type("Sampled", (KDelay,), {"sample": KDelay.sample, "name": "sampled"})
    judged = type("Judged", (KDelay,), {"metrics": KDelay.metrics, "name": "judged"})
    for task in (KDelay(density=1.0), sampled(density=0.1), judged(density=0.1)):
        found = task.sample_strata(64, Stream(0, "draw"))
        assert found.strata.simple
        assert torch.equal(found.batch.inputs, task.sample(64, Stream(0, "draw")).inputs)


def test_rows_of_different_densities_have_kinds_of_their_own():
    """And the same numbers as each alone."""
    tasks = [KDelay(delay=3, density=p) for p in (0.02, 1.0, 0.1, 0.02)]
    models = [spiral(task) for task in tasks]
    flat = torch.stack([torch.cat([p.reshape(-1) for p in m.parameters()]) for m in models])
    spec = EvaluationSpec("k", 256, None, None, (), "test")
    keys = [str(task.densities) for task in tasks]
    together = judge(stack(models, tasks, keys), flat, tier_named("vmap"), [spec] * 4)
    for row, task in enumerate(tasks):
        alone = judge(
            stack(models[row:][:1] * 2, [task] * 2, ["t"] * 2),
            flat[[row, row]],
            tier_named("vmap"),
            [spec] * 2,
        )
        assert together[row]["loss"] == pytest.approx(alone[0]["loss"], rel=1e-6)
        assert together[row]["loss_error"] == pytest.approx(alone[0]["loss_error"], rel=1e-6)
    assert together[0] == together[3]


@pytest.mark.parametrize(("density", "gain"), [(0.02, 4.0), (0.1, 1.5)])
def test_the_sampled_loss_of_superposition_is_sharper_and_true(density, gain):
    """Whatever the sizes of its chunks."""
    found = {}
    for task in (CloseAnswers, AsTheyCome):
        one = task(delay=3, density=density)
        scalars = look(Superposition(samples=50_000), one, spiral(one)).scalars
        found[task] = scalars["relative_loss_error"]
        away = scalars["relative_loss"] - scalars["expected_loss"]
        assert abs(away) < 4 * found[task]
    assert found[AsTheyCome] > gain * found[CloseAnswers]


def test_the_exact_loss_of_a_silent_answer():
    law = KDelay(delay=3, density=0.1).facts(DelayLaw)
    assert zero_predictor_loss(law, np.arange(14) >= 3) == pytest.approx(0.1 / 3)
