"""Numbers between two controls, on frames whose numbers are known on paper."""

from __future__ import annotations

import pandas as pd
import pytest
from pydantic import ValidationError

from emtkit import Registry
from emtkit.errors import StudyError
from emtkit.report.data.results import Results
from emtkit.report.tables.drawn import DrawnTable, TableEntry
from emtkit.report.tables.table import draw_table
from emtkit.study.plan import plan_study
from emtkit.study.quantity import Value
from emtkit.study.views import Table
from tests.report.frames import NAN, frame

SCALE = {"zero": {"grid": "untrained"}, "one": {"grid": "exact"}}


def results(own, untrained, exact, **axes) -> Results:
    """Six networks of `main` with the numbers `own`, and the controls, of one seed each."""
    parts = []
    for name, numbers in (("main", own), ("untrained", untrained), ("exact", exact)):
        made = frame(axes, len(numbers), lambda _, seed, numbers=numbers: {"a.x": numbers[seed]})
        role = {"main": "study", "untrained": "negative", "exact": "positive"}[name]
        cells = [f"{name}{row}" for row in range(len(made))]
        parts.append(made.assign(grid=name, role=role, cell=cells))
    return Results(pd.concat(parts, ignore_index=True))


def drawn(found: Results, rows="architecture", **value) -> DrawnTable:
    value = {"value": "a.x", "stat": "median", "scale": SCALE, **value}
    return draw_table(found, Table.model_validate({"name": "t", "rows": rows, "values": [value]}))


def entry(found: Results, **value) -> TableEntry:
    return drawn(found, **value).body[0][0].entries[0]


def test_the_ends_are_0_and_1_and_what_lies_between_is_linear():
    found = entry(results([2.0, 3.0, 3.0, 3.0, 3.0, 5.0], [1.0], [5.0]))
    assert found.found.value == 0.5
    assert found.interval == "[0.250, 1]"
    assert found.found.n == 6
    assert set(found.found.cells) == {*(f"main{seed}" for seed in range(6)), "untrained0", "exact0"}
    assert entry(results([1.0], [1.0], [5.0])).found.value == 0.0
    assert entry(results([5.0], [1.0], [5.0])).found.value == 1.0
    assert entry(results([-1.0], [1.0], [5.0])).found.value == -0.5


def test_an_error_that_falls_to_nothing_rises_on_the_scale():
    found = entry(results([0.1, 0.1, 0.1, 0.1, 0.2, 0.3], [0.4], [0.0])).found
    assert found.value == pytest.approx(0.75)
    assert found.estimate is not None
    assert (found.estimate.low, found.estimate.high) == pytest.approx((0.25, 0.75))


def test_equal_ends_leave_nothing_between_them():
    found = entry(results([0.5], [0.7], [0.7])).found
    assert found.value is None
    assert found.cause == "zero and one of the scale are equal (0.7)"


def test_an_end_without_a_number_says_why():
    assert entry(results([0.5], [NAN], [1.0])).found.cause.startswith("the scale has no zero: not")
    missing = entry(results([0.5], [0.0], [])).found
    assert missing.value is None
    assert missing.cause.startswith("the scale has no one: no")


def test_the_ends_are_taken_on_the_task_of_the_row_and_in_the_row_where_they_have_it():
    def number(axes, seed):
        return {
            "a.x": {"elman": 1.0, "gru": 3.0}[axes["architecture"]] + 10 * (axes["task"] == "b")
        }

    axes = {"task": ["a", "b"], "architecture": ["elman", "gru"]}
    own = frame(axes, 1, lambda axes, seed: {"a.x": 5.0}).assign(grid="main", role="study")
    zero = frame(axes, 1, number).assign(grid="untrained", role="negative")
    one = frame({"task": ["a"], "architecture": ["exact"]}, 1, lambda *_: {"a.x": 7.0})
    one = one.assign(grid="exact", role="positive")
    whole = pd.concat([own, zero, one], ignore_index=True)
    whole["cell"] = [f"{row:08x}" for row in range(len(whole))]
    table = drawn(Results(whole), rows=["task", "architecture"])
    found = [line[0].entries[0].found for line in table.body]
    assert [one.value for one in found[:2]] == pytest.approx([4 / 6, 2 / 4])
    assert [one.value for one in found[2:]] == [None, None]
    assert "no such network on task = b" in found[2].cause
    named = drawn(
        Results(whole),
        rows=["task", "architecture"],
        scale={**SCALE, "zero": {"grid": "untrained", "architecture": "gru"}},
    )
    assert [line[0].entries[0].found.value for line in named.body][:2] == [0.5, 0.5]


def test_networks_that_differ_are_not_one_end():
    found = results([1.0], [0.0], [2.0])
    two = found.frame.assign(architecture=["x", "y", "z"])
    more = pd.concat([two, two[two["grid"] == "untrained"].assign(architecture="v", cell="more")])
    cause = entry(Results(more.reset_index(drop=True))).found.cause
    assert "the scale has no zero: several networks" in cause


def test_the_table_says_what_its_ends_are():
    table = drawn(results([2.0], [1.0], [5.0]), label="share")
    assert (
        "share: 0 is grid = untrained, 1 is grid = exact; both ends are taken as they are"
        in table.remarks
    )


def test_a_scale_belongs_to_numbers_and_names_networks_that_exist():
    for stat in ("mode", "share"):
        with pytest.raises(ValidationError, match="`scale` belongs to a number"):
            Value.model_validate({"value": "a.x", "stat": stat, "scale": SCALE})
    study = {
        "tasks": ["k_delay"],
        "architectures": ["elman"],
        "tables": [
            {"name": "t", "rows": "task", "values": [{"value": "test.loss", "scale": SCALE}]}
        ],
    }
    with pytest.raises(StudyError) as caught:
        plan_study(study, Registry.installed())
    assert "tables[0].values[0].scale.zero.grid" in str(caught.value)
    assert 'no network has grid = "untrained"' in str(caught.value)
