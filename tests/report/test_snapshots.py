"""Tables, drawings and claims that speak of iterations: every snapshot is a row of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import emtkit
from emtkit import StudyError
from emtkit.plugin.analysis import Findings
from emtkit.plugin.over_training import at_step, joined
from emtkit.study.plan import plan_study

TERMS = {"use": "superposition", "samples": 64, "at": "snapshots", "label": "terms"}
LOSS = {"value": "terms.expected_loss", "stat": "median", "format": ".12f"}
FALLS = {**LOSS, "where": {"iteration": 60}, "below": {"where": {"iteration": 0}}}
FALLS = {key: value for key, value in FALLS.items() if key != "format"}


def study(**more: Any) -> dict[str, Any]:
    """Seven networks that learn, and seven that do not."""
    training = {"batch": 16, "lr": 3e-2, "steps": 60, "snapshots": [0, 20, 60]}
    return {
        "seeds": 7,
        "evaluation": {"sequences": 8},
        "analyses": [TERMS, {"use": "spectrum", "label": "end"}],
        "tasks": [{"use": "k_delay", "delay": 1, "scored": "last"}],
        "architectures": [{"use": "linear_rnn", "hidden": 2}],
        "grids": [
            {"name": "trained", "training": training},
            {"name": "frozen", "role": "negative", "training": {**training, "lr": 1e-12}},
        ],
        "tables": [
            {"name": "loss", "rows": "iteration", "values": [LOSS, "end.radius"]},
            {
                "name": "fixed",
                "rows": "architecture",
                "values": [{**LOSS, "where": {"iteration": 20}}],
            },
            {
                "name": "regime",
                "rows": "iteration",
                "values": [{"value": "terms.regime", "stat": "mode"}],
            },
        ],
        "figures": [
            {"name": "projections", "use": "terms.projections", "facet": "iteration"},
            {
                "name": "early",
                "use": "line",
                "x": "iteration",
                "y": "terms.expected_loss",
                "where": {"iteration": {"below": 50}},
            },
            {
                "name": "map",
                "use": "heatmap",
                "x": "iteration",
                "y": "seed",
                "over": [],
                "value": "terms.expected_loss",
            },
        ],
        "claims": [
            {"id": "falls", "text": "The loss falls.", "expect": FALLS},
            {
                "id": "rises",
                "text": "It rises.",
                "expect": {
                    **{k: v for k, v in FALLS.items() if k != "below"},
                    "above": {"where": {"iteration": 0}},
                },
            },
        ],
        **more,
    }


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = tmp_path_factory.mktemp("snapshots")
    return emtkit.run(study(), store=place / "store.sqlite", out=place, jobs=1, quiet=True)


def losses(session: Any, step: int) -> list[float]:
    tables = [
        session.tables_of(row.cell.key, "terms")["over_training"]
        for row in session.plan.rows
        if row.role == "study"
    ]
    return [
        float(t[(t["scalar"] == "expected_loss") & (t["step"] == step)]["value"].item())
        for t in tables
    ]


def column(table: Any, place: int) -> list[str]:
    return [cells[place].text for cells in table.body]


def test_a_table_has_a_row_for_every_iteration(session: Any) -> None:
    table = session.table("loss")
    assert table.rows == ((0,), (20,), (60,))
    for (step,), text in zip(table.rows, column(table, 0), strict=True):
        assert float(text) == pytest.approx(np.median(losses(session, step)), abs=1e-9)
    # what is measured at the end alone is the same at every iteration
    assert len(set(column(table, 1))) == 1
    (fixed,) = column(session.table("fixed"), 0)
    assert float(fixed) == pytest.approx(np.median(losses(session, 20)), abs=1e-9)


def test_texts_are_there_at_every_iteration(session: Any) -> None:
    assert set(column(session.table("regime"), 0)) == {"undefined"}  # the readout is linear


def test_drawings_show_each_iteration(session: Any) -> None:
    drawn = session.figure("projections")
    titles = [part.get_suptitle() for part in drawn.canvas.subfigs]
    assert titles == [f"iteration = {step}, seed 0" for step in (0, 20, 60)]
    heights = [[bar.get_height() for bar in part.axes[0].patches] for part in drawn.canvas.subfigs]
    assert heights[0] != heights[1] != heights[2]


def test_a_curve_shows_a_part_of_the_iterations(session: Any) -> None:
    (axes,) = session.figure("early").canvas.axes
    assert {float(x) for line in axes.lines for x in line.get_xdata()} == {0.0, 20.0}


def test_a_map_has_iterations_as_an_axis(session: Any) -> None:
    assert session.figure("map").canvas.axes[0].get_xlabel() == "iteration"


def test_a_claim_compares_two_iterations_and_networks_that_learn_nothing_refute_it(
    session: Any,
) -> None:
    falls, rises = session.verdicts()
    assert falls.word == "supported"
    assert falls.value == pytest.approx(np.median(losses(session, 60)))
    assert falls.compared == pytest.approx(np.median(losses(session, 0)))
    (control,) = falls.controls
    assert (control.name, control.satisfied) == ("frozen", False)
    assert rises.word == "not supported"


def test_one_number_of_several_iterations_is_refused(session: Any) -> None:
    table = {
        "name": "t",
        "rows": "architecture",
        "values": [{**LOSS, "where": {"iteration": 0}}, LOSS],
    }
    again = emtkit.load(study(tables=[table]), store=session.store, out=session.options.out)
    assert "they differ in iteration" in again.table("t").notes[0]


def test_what_is_planned_has_its_iterations(tmp_path: Path) -> None:
    """Warnings of claims are made before anything is trained."""
    none = emtkit.load(study(seeds=5), store=tmp_path / "none.sqlite", out=tmp_path)
    assert any("with 5 paired seeds" in one for one in none.warnings())
    assert none.verdicts()[0].word == "not testable"
    assert none.table("loss").rows == ((0,), (20,), (60,))


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ({"tables": [{"name": "t", "rows": "architecture", "values": [LOSS]}]},
         "name `iteration` as an axis, or in `where`; its values are 0, 20, 60"),
        ({"claims": [{"id": "c", "text": "x", "expect": {"value": "terms.tail", "below": 1}}]},
         "'terms.tail' has a value at each snapshot of training"),
        ({"claims": [{"id": "c", "text": "x", "expect": {**FALLS, "where": {"iteration": 61}}}]},
         "no network has iteration = 61"),
        ({"tables": [{"name": "t", "rows": "iteration", "values": ["end.radius"]}],
          "analyses": [{"use": "spectrum", "label": "end"}], "figures": [], "claims": []},
         "no analysis looks at snapshots"),
    ],
)  # fmt: skip
def test_mistakes_are_told(view: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        plan_study(study(**view))


def test_findings_come_back_from_those_of_a_training() -> None:
    found = {
        step: Findings(
            {"loss": 0.5 * step, "regime": "dense", "angle": float("nan"), "count": 2},
            {"ages": pd.DataFrame({"lag": [0, 1], "value": [1.0, float(step)]})},
            {"W": np.full((step + 1, 2), step)},
            {"angle": f"no mode at {step}"},
        )
        for step in (0, 3, 30)
    }
    whole = joined(found)
    for step, one in found.items():
        back = at_step(whole, step)
        assert back.scalars.keys() == one.scalars.keys()
        assert (back.scalars["loss"], back.scalars["regime"]) == (0.5 * step, "dense")
        assert back.reasons == one.reasons
        pd.testing.assert_frame_equal(back.tables["ages"], one.tables["ages"])
        np.testing.assert_array_equal(back.arrays["W"], one.arrays["W"])
        assert back.tables.keys() == one.tables.keys()
        assert back.arrays.keys() == one.arrays.keys()
