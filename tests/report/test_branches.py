"""Two branches are shown as two, and one law is not taken for two."""

from __future__ import annotations

import numpy as np
import pytest

from emtkit.report.data.results import Results
from emtkit.report.inference.branches import FEWEST, Branches, two_branches
from emtkit.report.tables.table import draw_table
from emtkit.study.views import Table
from tests.report.frames import frame

LAWS = ("normal", "uniform", "exponential", "lognormal")


def test_two_groups_far_apart() -> None:
    values = np.array([82.0, 270.4, 82.6, 270.0, 81.9, 82.2, 269.8, 82.1])
    assert two_branches(values) == Branches(82.1, 270.0, 5, 3)
    assert two_branches(values[:7]) is None  # too few
    assert two_branches(np.append(np.full(9, 1.0), 5.0)) is None  # one value is an outlier
    assert two_branches(np.append(np.zeros(4), np.linspace(1, 2, 8))) is None  # a wide group
    assert two_branches(np.append(values, np.nan)) is None
    assert two_branches(np.full(12, 3.0)) is None


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("count", [FEWEST, 16])
def test_one_law_is_seldom_taken_for_two(law: str, count: int) -> None:
    rng = np.random.default_rng(0)
    drawn = (getattr(rng, law)(size=count) for _ in range(1000))
    assert sum(two_branches(values) is not None for values in drawn) <= 30


@pytest.mark.parametrize("stat", ["mean", "median"])
def test_a_table_shows_both_and_no_interval(stat: str) -> None:
    """A mean of 176 degrees in [0, 900] once stood for two angles that it is not near to."""
    data = frame(
        {"architecture": ["two", "one"]},
        16,
        lambda axes, seed: {
            "a.x": 270.0 + seed / 10
            if axes["architecture"] == "two" and seed % 3 == 0
            else 82.0 + seed / 10
        },
    )
    spec = {"name": "t", "rows": "architecture", "over": "seed"}
    value = {"value": "a.x", "stat": stat, "format": ".0f"}
    drawn = draw_table(Results(data), Table.model_validate({**spec, "values": [value]}))
    texts = {row[0]: line[0].entries[0] for row, line in zip(drawn.rows, drawn.body, strict=True)}
    assert texts["two"].text == "83 (10 of 16), 271 (6 of 16)"
    assert texts["two"].interval == texts["two"].plus_minus == ""
    assert texts["one"].text == "83"
    assert texts["one"].interval
    assert any("two branches" in remark for remark in drawn.remarks)
    value = {"value": "a.x", "stat": stat, "format": ".0e"}
    alike = data.assign(**{"a.x": 1 + 1e-6 * data["a.x"]})
    drawn = draw_table(Results(alike), Table.model_validate({**spec, "values": [value]}))
    assert {line[0].entries[0].text for line in drawn.body} == {"1e+00"}
