from __future__ import annotations

import pytest
from pydantic import ValidationError

from emtkit.study.quantity import Quantity
from emtkit.study.views import Claim, Expect, Figure, Table
from emtkit.study.wanted import Criterion, ShareOf, matches


def said(error: pytest.ExceptionInfo[ValidationError]) -> str:
    return str(error.value)


@pytest.mark.parametrize(
    ("actual", "wanted", "answer"),
    [
        (1, 1.0, True),
        (0.1, 0.1, True),
        (True, 1, False),
        (1, True, False),
        ("a", ("b", "a"), True),
        ("a", ("b",), False),
        (None, None, True),
        ([1, 2], (1, 2), True),
        ([1, 2], ((3, 4), (1, 2)), True),
        ([1, 2], (2, 1), False),
        (1, (1, 2), True),
        (float("nan"), None, False),
    ],
)
def test_matching(actual: object, wanted: object, answer: bool):
    assert matches(actual, wanted) is answer


def test_shorthands_of_a_table():
    table = Table.model_validate(
        {"name": "t", "rows": "architecture", "values": ["test.loss", {"value": "a.b"}]}
    )
    assert table.rows == ("architecture",)
    assert [value.value for value in table.shown] == ["test.loss", "a.b"]
    assert table.over == ("seed",)


def test_a_composed_cell_is_written_by_its_template():
    given = {"name": "t", "rows": ["task"], "cell": ["a.error", "test.accuracy"]}
    assert Table.model_validate(given).template == "{0} ({1})"
    table = Table.model_validate({**given, "format": "{1}/{0}"})
    assert table.template.format("x", "y") == "y/x"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"values": []}, "give `values` or `cell`"),
        ({"cell": ["a.b"]}, "give `values` or `cell`"),
        (
            {"values": [{"value": "a.b", "by": "a.c"}]},
            "`by` belongs to `stat: agreement or auroc or best or expected_best or rank_cor",
        ),
        ({"values": [{"stat": "mean"}]}, "needs `value`"),
        ({"values": [{"value": "a.b", "format": "3q"}]}, "is not a number format"),
        ({"values": [{"value": "a.b", "share": {"of": "a.c", "equals": 1}}]}, "not both"),
        ({"values": [{"share": {"of": "a.c", "equals": 1}, "stat": "mean"}]}, "is a share"),
        ({"values": (), "cell": ["a.b"], "format": "{1}"}, "may hold {0} to {0}"),
        ({"values": (), "cell": ["a.b"], "format": "{0.__class__}"}, "may hold"),
        ({"values": (), "cell": ["a.b"], "format": "{"}, "is not a template"),
        ({"where": {"a": {"b": 1}}}, "where.a"),
        ({"name": "../x"}, "String should match pattern"),
    ],
)
def test_tables_that_make_no_sense(change: dict[str, object], told: str):
    with pytest.raises(ValidationError) as caught:
        Table.model_validate({"name": "t", "rows": ["task"], "values": ["a.b"], **change})
    assert told in said(caught)


def test_figures_have_the_parts_of_their_kind():
    Figure.model_validate({"name": "f", "use": "line", "x": "task.delay", "y": ["a.b", "a.c"]})
    heat = {"name": "f", "use": "heatmap", "x": "a", "y": "b", "value": "a.b"}
    assert Figure.model_validate(heat).y == ("b",)
    assert Figure.model_validate({"name": "f", "use": "emt.weights"}).is_drawing


@pytest.mark.parametrize(
    ("figure", "told"),
    [
        ({"use": "line", "x": "a"}, "needs `x` and `y`"),
        ({"use": "heatmap", "x": "a", "y": "b"}, "needs `value`"),
        ({"use": "line", "x": "a", "y": "b", "value": "c"}, "a line has no `value`"),
        ({"use": "emt.weights", "x": "a"}, "has no `x`"),
        ({"use": "lien"}, "not 'lien'"),
        ({"use": "emt.weights", "cells": {"select": "best"}}, "go together"),
    ],
)
def test_figures_that_make_no_sense(figure: dict[str, object], told: str):
    with pytest.raises(ValidationError) as caught:
        Figure.model_validate({"name": "f", **figure})
    assert told in said(caught)


def test_a_compared_quantity_inherits_what_it_does_not_say():
    expect = Expect.model_validate(
        {
            "value": "a.radius",
            "stat": "best",
            "by": "a.loss",
            "where": {"architecture": "ssm", "task.density": 0.1},
            "below": {"where": {"task.density": 1.0}},
        }
    )
    assert expect.scope == "each"
    assert expect.other == Quantity(
        value="a.radius",
        stat="best",
        by="a.loss",
        where={"architecture": "ssm", "task.density": 1.0},
    )


def test_another_share_or_statistic_replaces_the_own():
    expect = Expect.model_validate(
        {
            "value": "a.b",
            "stat": "best",
            "by": "a.c",
            "above": {"share": {"of": "a.d", "equals": "x"}},
        }
    )
    other = expect.other
    assert other is not None
    assert (other.statistic, other.column, other.by) == ("share", "a.d", None)
    plain = Expect.model_validate({"value": "a.b", "equals": "sparse", "stat": "mode"})
    assert plain.other is None
    assert plain.bound == "sparse"


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        ({"value": "a.b"}, "exactly one of"),
        ({"value": "a.b", "below": 1, "above": 0}, "exactly one of"),
        ({"value": "a.b", "below": None}, "exactly one of"),
        ({"value": "a.b", "below": {}}, "says nothing of its own"),
        ({"below": 1}, "needs `value`"),
        ({"value": "a.b", "below": True}, "below"),
        (
            {"value": "a.b", "below": {"by": "a.c"}},
            "`by` belongs to `stat: agreement or auroc or best or expected_best or rank_cor",
        ),
        ({"value": "a.b", "below": 1, "for": {"share": 1.5}}, "less than or equal to 1"),
    ],
)
def test_expectations_that_make_no_sense(expect: dict[str, object], told: str):
    with pytest.raises(ValidationError) as caught:
        Claim.model_validate({"id": "c", "text": "It is so.", "expect": expect})
    assert told in said(caught)


def test_zero_is_a_bound():
    assert Expect.model_validate({"value": "a.b", "below": 0}).bound == 0.0
    assert Expect.model_validate({"value": "a.b", "equals": False}).bound is False


@pytest.mark.parametrize(
    ("criterion", "meets", "fails"),
    [
        ({"above": 0.94}, (0.95, 1), (0.94, 0, "x", True)),
        ({"below": 2}, (1, -3.0), (2, 3)),
        ({"between": [1, 2]}, (1, 1.5, 2), (0.99, 2.01)),
        ({"above": 0, "below": 1}, (0.5,), (0, 1)),
        ({"not": "a"}, ("b", 1), ("a",)),
        ({"not": ["a", "b"]}, ("c",), ("a", "b")),
        ({"not": None}, (1, "x"), ()),
        ({"in": [1, 2]}, (1, 2.0), (3,)),
    ],
)
def test_criteria(criterion: dict[str, object], meets: tuple[object], fails: tuple[object]):
    made = Criterion.model_validate(criterion)
    assert all(matches(value, made) for value in meets)
    assert not any(matches(value, made) for value in (*fails, None, float("nan")))


def test_criteria_read_as_phrases():
    def phrase(**given: object) -> str:
        return str(Criterion.model_validate(given))

    assert phrase(above=0.94) == "above 0.94"
    assert phrase(above=0, below=1) == "above 0 and below 1"
    assert phrase(between=[1, 2], **{"not": [1.5]}) == "between 1 and 2 and not [1.5]"
    assert phrase(**{"in": ["a", 2]}) == "in [a, 2]"


@pytest.mark.parametrize(
    ("share", "counted", "not_counted"),
    [
        ({"equals": "own"}, ("own",), ("other", None)),
        ({"below": 0.02}, (0.01,), (0.02, None, float("nan"))),
        ({"above": 1}, (2,), (1, None)),
        ({"between": [0, 1]}, (0, 1), (-1, 2, None)),
    ],
)
def test_shares(share: dict[str, object], counted: tuple[object], not_counted: tuple[object]):
    made = ShareOf.model_validate({"of": "a.x", **share})
    assert all(made.counts(value) for value in counted)
    assert not any(made.counts(value) for value in not_counted)


def test_a_share_has_one_side():
    for share in ({}, {"below": 1, "above": 0}, {"equals": 1, "below": 2}):
        with pytest.raises(ValidationError) as error:
            ShareOf.model_validate({"of": "a.x", **share})
        assert "exactly one of" in said(error)
