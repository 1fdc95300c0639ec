"""Tuning: the same settings for every architecture, chosen on seeds and sequences of its own."""

from pathlib import Path
from typing import Any

import pytest

from emtkit import Registry
from emtkit.errors import StudyError
from emtkit.execute.monitor import Quiet
from emtkit.execute.run import Options
from emtkit.places import CommandOptions
from emtkit.session import Session
from emtkit.study.plan import plan_study
from emtkit.study.select import select
from emtkit.study.tuning import FIRST_SEED
from tests.inline_engine import InlineEngine

RATES = [1e-6, 3e-2, 1e-5]
"""In a few steps only the second can learn."""
STUDY: dict[str, Any] = {
    "seeds": 2,
    "training": {"steps": 60, "batch": 32, "lr": 0.5},
    "tune": {"over": {"lr": RATES}, "seeds": 2},
    "tasks": [{"use": "k_delay", "delay": 1, "features": 2, "steps": 6}],
    "architectures": [{"use": "elman", "hidden": 4}, {"use": "linear_rnn", "hidden": 4}],
    "evaluation": {"sequences": 64},
}
REGISTRY = Registry.installed()


def session(folder: Path, **changes: Any) -> Session:
    plan = plan_study({**STUDY, **changes}, REGISTRY)
    return Session(plan, CommandOptions("s", folder / "r.sqlite"))


def train(one: Session) -> None:
    one.run(InlineEngine(REGISTRY), Quiet(), Options(tier="dense"))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Session:
    found = session(tmp_path_factory.mktemp("tuned"))
    train(found)
    return found


def test_the_best_setting_is_chosen_and_judged_on_fresh_seeds(tuned: Session) -> None:
    frame = tuned.frame()
    assert list(frame["training.lr"]) == [3e-2] * 4
    assert list(frame["seed"]) == [0, 1, 0, 1]
    assert list(frame["training.tried"]) == [3] * 4
    assert (frame["status"] == "done").all()
    assert (frame["test.loss"] < 0.9).all()
    assert {row.cell.seed for row in tuned.plan.tried} == {FIRST_SEED, FIRST_SEED + 1}
    assert [dict(one.chosen.setting) for one in tuned.tunings if one.chosen] == [{"lr": 3e-2}] * 2


def test_the_curve_is_said_whole(tuned: Session) -> None:
    elman, linear = tuned.tunings
    assert elman.heading == "elman on k_delay, mean test.loss of 2 seeds each"
    assert [line.partition(":")[0] for line in elman.lines] == [
        "lr 1e-06",
        "lr 0.03",
        "lr 1e-05",
    ]
    assert elman.lines[1].endswith("(chosen; lr at the edge of its range)")
    assert "edge" not in elman.lines[0] + elman.lines[2]
    assert linear.text.startswith("tuned linear_rnn on k_delay, ")


def test_settings_are_judged_on_sequences_that_no_result_is_judged_on(
    tuned: Session, tmp_path: Path
) -> None:
    seeds = {"first": FIRST_SEED, "count": 2}
    plain = session(tmp_path, tune=None, seeds=seeds, training={**STUDY["training"], "lr": 3e-2})
    train(plain)
    tried = [row for row in tuned.plan.tried if row.cell.training.lr == 3e-2]
    assert [row.cell.key for row in tried] == list(plain.frame()["cell"])
    with tuned.read() as store:
        stored = store.findings_of(row.evaluation_spec.key for row in tried)
    losses = [stored[row.evaluation_spec.key].scalars["loss"] for row in tried]
    assert losses == pytest.approx(list(plain.frame()["test.loss"]), rel=0.5)
    assert not set(losses) & set(plain.frame()["test.loss"])


def test_before_the_tuning_has_ended_nothing_is_chosen(tmp_path: Path) -> None:
    one = session(tmp_path)
    assert all(curve.chosen is None for curve in one.tunings)
    assert "nothing is chosen yet" in one.tunings[0].text
    assert set(one.frame()["status"]) == {"missing"}
    keys = [row.cell.key for row in one.plan.rows]
    train(one)
    assert not set(keys) & set(one.frame()["cell"]), "no row that waited was trained"
    with one.read() as store:
        assert not store.cells_of(keys)


def test_an_architecture_may_be_tuned_otherwise_or_not_at_all(tmp_path: Path) -> None:
    one = session(
        tmp_path,
        architectures=[
            {"use": "elman", "hidden": 4, "tune": {"over": {"lr": [1e-2]}, "seeds": 1}},
            {"use": "linear_rnn", "hidden": 4, "tune": None},
            "shift_register",
        ],
    )
    assert len(one.planned.tried) == 1
    train(one)
    frame = one.frame().set_index("architecture")
    assert list(frame["training.lr"].dropna()) == [1e-2, 1e-2, 0.5, 0.5]
    assert "training.tried" not in frame
    assert (frame["status"] == "done").all()


def test_a_setting_that_diverges_is_not_chosen(tmp_path: Path) -> None:
    training = {**STUDY["training"], "clip": None, "optimizer": "sgd", "steps": 200}
    one = session(
        tmp_path,
        training=training,
        architectures=[{"use": "linear_rnn", "hidden": 4}],
        tune={"over": {"lr": [1e9, 1e-3]}, "by": {"direction": "max"}, "seeds": 1},
    )
    train(one)
    (curve,) = one.tunings
    assert curve.found[0][1].value is None
    assert curve.chosen is not None
    assert curve.chosen.setting == {"lr": 1e-3}


def test_two_grids_may_tune_one_network_by_different_criteria(tmp_path: Path) -> None:
    best = {"over": {"lr": RATES}, "seeds": 1}
    grids = [
        {"name": "best", "tune": best},
        {"name": "worst", "tune": {**best, "by": {"direction": "max"}}},
    ]
    changes = {"architectures": [{"use": "elman", "hidden": 4}], "seeds": 1, "grids": grids}
    one = session(tmp_path, **{**changes, "training": {**STUDY["training"], "steps": 40}})
    assert len({row.cell.key for row in one.planned.rows}) == 2
    train(one)
    frame = one.frame().set_index("grid")
    assert frame.loc["best", "training.lr"] == 3e-2
    assert frame.loc["worst", "training.lr"] in (1e-6, 1e-5)
    assert set(frame["status"]) == {"done"}


def test_more_seeds_do_not_tune_again(tuned: Session) -> None:
    more = session(tuned.store.parent, seeds=3)
    assert list(more.frame()["training.lr"]) == [3e-2] * 6
    assert list(more.frame()["status"]) == ["done", "done", "missing"] * 2


def test_a_part_of_a_plan_needs_the_tunings_of_that_part_alone() -> None:
    plan = plan_study(STUDY, REGISTRY)
    part = select(plan, "architecture=elman", "0")
    assert (len(part.rows), len(plan.tried), len(part.tried)) == (1, 12, 6)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"tune": {"over": {"rate": [1, 2]}}}, "unknown key 'rate'"),
        ({"tune": {"over": {"lr": []}}}, "tune.over.lr"),
        ({"tune": {"over": {}}}, "tune.over"),
        ({"tune": {"over": {"lr": [1e-3, 1e-3]}}}, "appears twice"),
        ({"tune": {"over": {"lr": [1e-3, -1]}}}, "tune.over.lr[1]"),
        ({"tune": {"over": {"device": ["cpu"]}}}, "is not an axis"),
        ({"tune": {"over": {"lr": [1]}, "by": {"metric": "tset.loss"}}}, "no column 'tset.loss'"),
        ({"training": {"grid": {"lr": [1e-3, 1e-2]}}}, "'lr' is an axis of the grid already"),
        ({"tasks": [{"use": "k_delay", "tune": None}]}, "`tune` belongs to architectures"),
        ({"training": {"tune": {"over": {}}}}, "`tune` has no meaning here"),
        ({"seeds": {"first": FIRST_SEED - 1, "count": 2}}, "judge on seeds below"),
    ],
)
def test_mistakes_have_their_place(change: dict[str, Any], text: str) -> None:
    with pytest.raises(StudyError) as error:
        plan_study({**STUDY, **change}, REGISTRY)
    assert text in str(error.value)
