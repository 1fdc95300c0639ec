import numpy as np
import pytest
import torch

from emtkit.errors import EmtkitError, NotApplicable
from emtkit.plugin.params import resolve
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Batch
from emtkit_std._theory.emt import binding as binding
from emtkit_std._theory.facts import DelayLaw, HistoryLaw
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from tests.rounding import rounding
from tests.std.references import continue_history

SMALL = {"history": 4, "dimension": 4}


@pytest.mark.parametrize(
    "task",
    [
        Hds(rule="T1"),
        Hds(rule="T4"),
        Hds(rule="waves_t4", **SMALL),
        Hds(rule="signed", history=5, dimension=3, rule_seed=7),
        Hds(rule="fibonacci", history=3, dimension=2, horizon=20),
        Hds(rule="diagonal", values="real", **SMALL),
    ],
    ids=lambda task: task.rule,
)
def test_targets_continue_the_history_by_the_rule(task):
    batch = task.sample(6, Stream(0, "train", dtype=torch.float64), 20)
    s, d = task.history, task.dimension
    assert batch.inputs.shape == batch.targets.shape == (6, s + 20, d)
    assert batch.input_steps == s
    assert batch.mask.tolist() == [0.0] * s + [1.0] * 20
    start = batch.inputs[:, :s].numpy()
    expected = continue_history(task.operator, start, 20)
    # Selections move values and are exact. Sums are off by the length of their chain times what
    # the same rule makes of the moduli.
    moduli = continue_history(np.abs(task.operator), np.abs(start), 20)
    limit = rounding(20 * s) * moduli if task.rule == "fibonacci" else 0
    assert (np.abs(batch.targets[:, s:].numpy() - expected) <= limit).all()
    assert not batch.inputs[:, s:].any()
    assert not batch.targets[:, :s].any()


def test_a_shorter_horizon_is_the_beginning_of_a_longer_one():
    task = Hds(rule="T3")
    short = task.sample(4, Stream(3, "train"), 10)
    long = task.sample(4, Stream(3, "train"), 100)
    for name in ("inputs", "targets", "mask"):
        shorter, longer = getattr(short, name), getattr(long, name)
        axis = shorter.ndim - (1 if name == "mask" else 2)
        assert torch.equal(shorter, longer.narrow(axis, 0, shorter.shape[axis]))


def test_rows_are_the_single_batches_bit_for_bit():
    tasks = [Hds(rule="repeat", **SMALL), Hds(rule="diagonal", **SMALL)]
    tasks += [Hds(rule="waves_t3", **SMALL), Hds(rule="signed", rule_seed=2, **SMALL)]
    for extra in ([], [Hds(rule="fibonacci", **SMALL)]):
        rows = tasks + extra
        streams = [Stream(seed, "train", 5) for seed in range(len(rows))]
        stacked = Hds.sample_rows(rows, 3, streams, 9)
        for row, task in enumerate(rows):
            alone = task.sample(3, Stream(row, "train", 5), 9)
            assert torch.equal(stacked.inputs[row], alone.inputs)
            assert torch.equal(stacked.targets[row], alone.targets)
            assert torch.equal(stacked.mask[row], alone.mask)


def test_accuracy_counts_bits_and_the_first_step_apart():
    task = Hds(rule="repeat", **SMALL)
    batch = task.sample(8, Stream(0, "test"), 5)
    outputs = batch.targets.clone()
    assert {name: float(v) for name, v in task.metrics(outputs, batch).items()} == {
        "accuracy": 1.0,
        "first_accuracy": 1.0,
    }
    outputs[:, 4, :2] *= -1  # the first scored step, half of its bits
    found = task.metrics(outputs, batch)
    assert float(found["first_accuracy"]) == 0.5
    assert float(found["accuracy"]) == pytest.approx(1 - 0.5 / 5)
    late = Batch(batch.inputs, batch.targets, batch.mask * (batch.mask.cumsum(0) > 1), 4)
    assert float(task.metrics(outputs, late)["accuracy"]) == 1.0


def test_an_output_of_zero_counts_as_plus_one_and_an_infinite_one_as_wrong():
    task = Hds(rule="repeat", **SMALL)
    batch = task.sample(64, Stream(0, "test"), 5)
    zeros = task.metrics(torch.zeros_like(batch.targets), batch)["accuracy"]
    assert float(zeros) == pytest.approx(float((batch.targets[:, 4:] > 0).float().mean()))
    assert float(task.metrics(torch.full_like(batch.targets, torch.nan), batch)["accuracy"]) == 0


def test_loss_is_the_mean_square_over_dimensions():
    task = Hds(rule="repeat", **SMALL)
    batch = task.sample(2, Stream(0, "test"), 3)
    loss = task.loss(torch.zeros_like(batch.targets), batch)
    assert loss.shape == (2, 7)
    assert torch.equal(loss[:, 4:], torch.ones(2, 3))


def test_real_values_are_judged_by_relative_error():
    task = Hds(rule="fibonacci", history=2, dimension=1, horizon=30)
    batch = task.sample(5, Stream(0, "test", dtype=torch.float64))
    assert task.evaluation_horizon == 30
    found = task.metrics(1.01 * batch.targets, batch)
    assert list(found) == ["relative_error"]
    assert float(found["relative_error"]) == pytest.approx(0.01)


def test_the_law_of_a_published_rule_and_of_an_incomplete_one():
    law = Hds(rule="T2").facts(HistoryLaw)
    assert (law.history, law.dimension, law.core_rank, law.period) == (8, 8, 36, 840)
    assert law.mask.sum() == len(law.spectrum) == 36
    assert not law.real_values
    assert np.array_equal(law.operator, Hds(rule="T2").operator)
    real = Hds(
        rule="custom",
        history=2,
        dimension=2,
        values="real",
        operator=((0.0, 0.0, 1.0, 0.0), (1.0, 0.0, 0.0, 0.0)),
    ).facts(HistoryLaw)
    assert real.core_rank == 1
    assert real.mask.all()
    assert real.real_values


def test_outputs_of_a_selection_are_delayed_copies():
    delays = Hds(rule="waves_t4", **SMALL).facts(DelayLaw)
    assert delays.delay == (4, 3, 2, 1)
    assert delays.source == (2, 0, 3, 1)
    assert delays.sign == (1.0, -1.0, 1.0, -1.0)
    with pytest.raises(NotApplicable, match="not delayed copies"):
        Hds(rule="fibonacci", **SMALL).facts(DelayLaw)


def test_a_table_id_is_the_rule_it_encodes():
    given = Hds(rule="custom", table_id=(2565, 4, 4), **SMALL)
    assert np.array_equal(given.operator, Hds(rule="waves_t3", **SMALL).operator)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"rule": "T2", "history": 4}, "published only for history 8 and dimension 8"),
        ({"rule": "waves_t4"}, "published only for history 4 and dimension 4"),
        ({"rule": "diagonal", "history": 3, "dimension": 4}, "must not exceed history"),
        ({"rule": "T1", "table_id": (255, 0, 0)}, "no other rule takes either"),
        ({"rule": "custom"}, "exactly one of `table_id` and `operator`"),
        ({"rule": "custom", "table_id": (3, 0, 0)}, "must set exactly 8"),
        ({"rule": "custom", "operator": ((1.0,),)}, "8 rows of 64 numbers"),
        (
            {"rule": "custom", "history": 1, "dimension": 1, "operator": ((0.5,),)},
            r"leaves \{-1, 1\}: output 1",
        ),
        (
            {"rule": "custom", "history": 1, "dimension": 1, "operator": ((-2.0,),)},
            "diverges: the spectral radius of Phi is 2",
        ),
        (
            {
                "rule": "custom",
                "history": 2,
                "dimension": 2,
                "operator": ((0.0, 0.0, 1.0, 0.0), (1.0, 0.0, 0.0, 0.0)),
            },
            "core is incomplete",
        ),
    ],
)
def test_a_rule_that_cannot_be_posed_is_refused_with_the_reason(parameters, reason):
    with pytest.raises(EmtkitError, match=reason):
        Hds(**parameters)


def test_the_parameters_are_the_contract():
    values = resolve(Hds, {}).values
    assert values == {
        "rule": "T1",
        "history": 8,
        "dimension": 8,
        "horizon": 100,
        "table_id": None,
        "operator": None,
        "rule_seed": 0,
        "values": "signs",
        "reads": None,
        "truth": None,
    }
    assert resolve(Hds, {"history": 0, "rule": "T5"}).mistakes
    large = resolve(Hds, {"rule": "custom", "table_id": [9241421688590303745, 262676, 189]})
    assert large.values["table_id"] == [9241421688590303745, 262676, 189]
