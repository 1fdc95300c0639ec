"""Two sides compared: the difference, its p, and everything that could mislead a reader."""

from __future__ import annotations

import csv
import io

import pytest

from emtkit.errors import EmtkitError
from emtkit.plugin.statistic import Sample, statistic_named
from emtkit.report.data.results import Results
from emtkit.report.tables.contrast import Sides, contrast, joined
from emtkit.report.tables.formats.csv import Csv
from tests.report.frames import frame, reasons


def data(shift=1.0, seeds=8, names=("elman", "gru"), delays=(3, 5), **fixed):
    """`test.loss` of the second architecture is that of the first plus `shift`, seed by seed."""
    axes = {"architecture": list(names), "task.delay": list(delays)}

    def scalars(axes, seed):
        late = shift if axes["architecture"] == names[-1] and len(names) > 1 else 0.0
        return {"test.loss": seed + late, "test.finite": 1.0, "a.x": 2.0 * seed, **fixed}

    return frame(axes, seeds, scalars)


def architectures(found):
    return Sides(Results(found), "architecture", "elman", "gru")


def rows(table):
    return list(csv.DictReader(io.StringIO(Csv().text(table))))


def values(table, heading):
    return [row["estimate"] for row in rows(table) if row["value"] == heading]


def test_architectures_are_compared_per_combination_and_paired_by_seed():
    table = contrast(architectures(data()))
    assert table.row_axes == ("task", "task.delay", "value")
    assert [level for _, level, _ in table.rows] == [3, 5]
    assert {label for *_, label in table.rows} == {"test.loss"}
    assert values(table, "elman") == ["3.5", "3.5"]
    assert values(table, "gru") == ["4.5", "4.5"]
    assert values(table, "elman − gru") == ["-1.0", "-1.0"]
    # 2 / 2^8, twice, by Holm.
    assert values(table, "p") == ["0.015625", "0.015625"]
    assert values(table, "d") == ["-inf", "-inf"]
    assert all(box.bold for _, _, box, _, _ in table.body)


def test_the_numbers_are_those_of_the_paired_difference():
    found = data(seeds=6)
    found["test.loss"] += (found.seed * 7 % 5) * (found.architecture == "gru")
    table = contrast(architectures(found[found["task.delay"] == 3]))
    one, two = (
        Sample(found[(found["task.delay"] == 3) & (found.architecture == name)]["test.loss"].values)
        for name in ("elman", "gru")
    )
    mean = statistic_named("mean")
    expected = mean.difference(one, two)
    (row,) = [row for row in rows(table) if row["value"] == "elman − gru"]
    assert float(row["estimate"]) == pytest.approx(expected.value)
    assert float(row["low"]) == pytest.approx(expected.low)
    assert [float(p) for p in values(table, "p")] == [pytest.approx(mean.p(one, two))]


def test_bests_are_compared_by_p_alone():
    table = contrast(architectures(data()), stat="best")
    assert values(table, "p") == [
        "1.0",
        "1.0",
    ]  # whichever pairs are swapped, the bests are 1 apart
    assert [row["low"] for row in rows(table)] == [""] * len(rows(table))
    assert values(contrast(architectures(data()), stat="expected_best", of=8), "p") == [
        "1.0",
        "1.0",
    ]
    with pytest.raises(EmtkitError, match="needs `of`"):
        contrast(architectures(data()), stat="expected_best")


def test_other_values_are_asked_for_by_name():
    table = contrast(architectures(data()), ["a.x", "test.loss"])
    assert [label for *_, label in table.rows] == ["a.x", "test.loss"] * 2


def test_what_else_differs_is_said():
    found = data()
    found["training.steps"] = [100 if name == "elman" else 400 for name in found.architecture]
    found["architecture.hidden"] = [2 if name == "elman" else 8 for name in found.architecture]
    (remark,) = [one for one in contrast(architectures(found)).remarks if "also differ" in one]
    assert remark == "the sides also differ in training.steps (100 against 400)"


def test_combinations_of_one_side_are_counted_and_left_out():
    found = data(delays=(3, 5, 8))
    found = found[(found.architecture == "elman") | (found["task.delay"] == 3)]
    table = contrast(architectures(found))
    assert len(table.rows) == 1
    assert "2 combinations have networks of elman only, and are left out" in table.remarks


def test_networks_that_nothing_tells_apart_are_not_averaged():
    found = data()
    found.loc[found.architecture == "elman", "seed"] //= 2
    table = contrast(architectures(found))
    assert table.body[0][0].text == "–"
    assert any("several networks would fall into one number" in note for note in table.notes)


def test_equal_stores_do_not_differ_and_keep_their_own_failures():
    first, second = data(), data()
    second.loc[0, "status"] = "failed"
    second.loc[0, "test.loss"] = float("nan")
    why = reasons((second.cell[0], "train", "", "ValueError: no", "failed"))
    sides = joined("store", ("a.sqlite", Results(first)), ("b.sqlite", Results(second, why)))
    table = contrast(sides)
    assert [level for _, level, *_ in table.rows] == ["elman", "elman", "gru", "gru"]
    assert set(values(table, "a.sqlite − b.sqlite")) == {"0.0"}
    counts = [(row["n"], row["failed"]) for row in rows(table) if row["value"] == "b.sqlite"]
    assert counts == [("7", "1"), ("8", "0"), ("8", "0"), ("8", "0")]
    assert {row["n"] for row in rows(table) if row["value"] == "a.sqlite"} == {"8"}
    assert not any("one and the same" in remark for remark in table.remarks)


def test_networks_that_two_studies_share_are_counted():
    first, second = data(), data()
    sides = joined("study", ("a.yaml", Results(first)), ("b.yaml", Results(second[4:])))
    shared = "28 networks are the same on both sides (equal keys)"
    assert shared in contrast(sides).remarks


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        ("elman", "grru", "no architecture 'grru'; did you mean 'gru'"),
        ("gru", "gru", "both sides are gru"),
        ("elman", "lstm", "no combination of task, task.delay has networks of both"),
    ],
)
def test_sides_that_cannot_be_compared(first, second, sentence):
    found = data(names=("elman", "gru", "lstm"))
    found = found[(found.architecture != "lstm") | (found["task.delay"] == 5)]
    found.loc[found.architecture == "lstm", "task.delay"] = 9
    with pytest.raises(EmtkitError, match=sentence):
        contrast(Sides(Results(found), "architecture", first, second))
