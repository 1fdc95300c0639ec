from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from emtkit.errors import EmtkitError, NotApplicable, StudyError
from emtkit.plugin.registry import Registry
from emtkit.plugin.task import Task
from emtkit.study.axes import Axis
from emtkit.study.columns import columns, training_columns
from emtkit.study.entries import Axes
from emtkit.study.plan import Plan, plan_study
from emtkit.study.resolve import expand
from emtkit.study.select import select
from emtkit.study.settings import Training
from tests.study.fakes import Echo, Plain, registry

REGISTRY = registry()


def planned(*, tasks: Any = ("echo",), architectures: Any = ("plain",), **more: Any) -> Plan:
    return plan_study({"tasks": tasks, "architectures": architectures, **more}, REGISTRY)


def keys(plan: Plan) -> set[str]:
    return set(plan.cells)


def test_grid_crosses_and_zip_pairs():
    axes = Axes({"a": 0}, {"b": (1, 2), "c": (3, 4)}, {"d": (5, 6), "e": (7, 8)})
    points = [tuple(point.values[key] for key in "abcde") for point in expand(axes)]
    assert points == [
        *((0, 1, 3, 5, 7), (0, 1, 3, 6, 8), (0, 1, 4, 5, 7), (0, 1, 4, 6, 8)),
        *((0, 2, 3, 5, 7), (0, 2, 3, 6, 8), (0, 2, 4, 5, 7), (0, 2, 4, 6, 8)),
    ]
    assert axes.size == len(points)


def test_a_plan_is_the_product_of_all_axes():
    plan = planned(
        tasks=[{"use": "echo", "grid": {"delay": [3, 5], "density": [1.0, 0.5, 0.1]}}, "recall"],
        architectures=["plain", {"use": "attend", "zip": {"heads": [1, 2]}}],
        training={"grid": {"lr": [0.1, 0.01]}},
        seeds=2,
    )
    assert len(plan.rows) == (2 * 3 + 1) * (1 + 2) * 2 * 2
    assert len(plan.cells) == len(plan.rows)
    assert Axis(("task.density",), ((1.0,), (0.5,), (0.1,))) in plan.axes
    assert Axis(("training.lr",), ((0.1,), (0.01,))) in plan.axes
    assert Axis(("seed",), ((0,), (1,))) in plan.axes
    counted = Counter((row.task, row.architecture) for row in plan.rows)
    assert counted["echo", "attend"] == 6 * 2 * 2 * 2


def test_parameters_are_resolved_and_become_columns():
    plan = planned(
        tasks=[{"use": "echo", "delay": 4, "weights": [1, 2]}],
        architectures=[{"use": "plain", "label": "small"}],
        training={"steps": 7, "schedule": {"kind": "cosine", "from": 0.5}},
    )
    (row,) = plan.rows
    found = columns(row)
    assert found["architecture"] == "small"
    assert found["architecture.hidden"] == 2
    assert (found["task.delay"], found["task.density"]) == (4, 1.0)
    assert found["task.weights"] == [1, 2]
    assert found["training.schedule.kind"] == "cosine"
    assert found["training.schedule.from"] == 0.5
    assert found["training.curriculum.kind"] == "none"
    assert found["cell"] == row.cell.key
    assert columns(planned().rows[0])["training.schedule.kind"] == "constant"


def test_keys_do_not_depend_on_order_labels_or_spelling():
    one = planned(
        tasks=[{"use": "echo", "delay": 3, "density": 1}],
        architectures=[{"use": "plain", "gain": 1, "hidden": 2}],
        training={"steps": 10, "lr": 1},
    )
    two = planned(
        training={"lr": 1.0, "steps": 10, "snapshots": [5], "batch": 64},
        architectures=[{"hidden": 2, "gain": 1.0, "use": "plain", "label": "another"}],
        tasks=[{"density": 1.0, "label": "mine", "use": "echo"}],
        evaluation={"sequences": 5},
        analyses=["radius"],
    )
    assert keys(one) == keys(two)
    assert one.rows[0].evaluation_spec.key != two.rows[0].evaluation_spec.key


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": {"first": 1, "count": 1}},
        {"training": {"lr": 0.5}},
        {"training": {"dtype": "float64"}},
        {"architectures": [{"use": "plain", "hidden": 3}]},
        {"tasks": [{"use": "echo", "delay": 4}]},
    ],
)
def test_keys_tell_different_networks_apart(change: dict[str, Any]):
    assert keys(planned()).isdisjoint(keys(planned(**change)))


def test_a_version_is_part_of_the_key():
    class Newer(Plain):
        name = "plain"
        version = 2

    newer = plan_study({"tasks": ["echo"], "architectures": ["plain"]}, Registry.of(Echo, Newer))
    assert keys(planned()).isdisjoint(keys(newer))


def test_findings_have_keys_of_what_is_measured_and_when():
    def measured(**entry: Any) -> str:
        plan = planned(analyses=[{"use": "radius", **entry}], training={"snapshots": [1, 2]})
        return plan.rows[0].measures[0].key

    assert measured() == measured(of="recurrent", label="x")
    assert len({measured(), measured(of="jacobian"), measured(at="snapshots")}) == 3
    plan = planned(analyses=[{"use": "radius", "at": "snapshots"}], training={"snapshots": [1, 2]})
    assert plan.rows[0].measures[0].steps == (1, 2)


def test_a_constructed_network_has_no_training():
    plan = planned(
        architectures=["exact", "plain"],
        training={"grid": {"lr": [0.1, 0.01]}, "snapshots": [5]},
        analyses=[{"use": "radius", "at": "snapshots"}],
    )
    exact = [row for row in plan.rows if row.architecture == "exact"]
    assert len(exact) == 1
    assert not exact[0].cell.trains
    assert "training.lr" not in columns(exact[0])
    assert "constructed" in str(exact[0].measures[0].reason)
    assert len(plan.rows) == 3


def test_several_grids_inherit_from_the_top():
    plan = planned(
        seeds=2,
        training={"steps": 10, "grid": {"lr": [0.1, 0.2]}},
        analyses=["delays"],
        grids=[
            {"name": "a"},
            {"name": "b", "seeds": 1, "training": {"lr": 0.5}, "analyses": ["radius"]},
            {"name": "c", "tasks": ["recall"], "training": {"steps": 3}},
        ],
    )
    rows = {name: [row for row in plan.rows if row.grid == name] for name in "abc"}
    assert [len(rows[name]) for name in "abc"] == [4, 1, 4]
    assert columns(rows["b"][0])["training.lr"] == 0.5
    assert columns(rows["b"][0])["training.steps"] == 10
    assert {measure.label for row in rows["b"] for measure in row.measures} == {"radius"}
    assert {columns(row)["training.steps"] for row in rows["c"]} == {3}


def test_two_grids_may_share_networks():
    plan = planned(grids=[{"name": "a"}, {"name": "b", "analyses": ["radius"]}])
    assert len(plan.rows) == 2
    assert len(plan.cells) == 1


def test_exclude_matches_resolved_values():
    grid = {"use": "echo", "grid": {"delay": [3, 5], "density": [1, 0.5]}}
    plan = planned(
        tasks=[grid, "recall"],
        architectures=["plain", "attend"],
        seeds=3,
        exclude=[
            {"tasks": {"delay": [3, 4], "density": 1.0}, "architectures": {"heads": 1}},
            {"tasks": "recall", "seeds": [0, 1]},
        ],
    )
    assert len(plan.rows) == 4 * 2 * 3 - 3 + 2
    left = [columns(row) for row in plan.rows]
    assert not any(
        row.get("task.delay") == 3 and row["task.density"] == 1.0
        for row in left
        if row["architecture"] == "attend" and row["task"] == "echo"
    )
    assert {row["seed"] for row in left if row["task"] == "recall"} == {2}


def test_a_rule_is_judged_on_all_grids():
    grids = [{"name": "a"}, {"name": "b", "tasks": ["recall"]}]
    plan = planned(
        architectures=["plain", "attend"],
        grids=grids,
        exclude=[{"tasks": "recall", "architectures": "attend"}],
    )
    assert len(plan.rows) == 3


def test_what_is_excluded_is_never_built():
    task = {"use": "echo", "grid": {"amplitude": ["uniform", "constant"], "density": [1, 0.5]}}
    plan = planned(tasks=[task], exclude=[{"tasks": {"amplitude": "constant", "density": 1}}])
    assert len(plan.rows) == 3
    with pytest.raises(StudyError, match=r"refuses its parameters \(amplitude=\"constant\", dens"):
        planned(tasks=[task])


def test_pairs_that_do_not_apply_are_rows_with_a_reason():
    plan = planned(
        tasks=["echo", "recall"],
        architectures=["clamped", {"use": "clamped", "hidden": 1, "label": "one"}, "attend"],
        analyses=["radius", "delays"],
        seeds=2,
    )
    assert len(plan.rows) == 12
    said = {(a.what, a.task, a.architecture): (a.reason, a.count) for a in plan.absences}
    assert said["cell", "echo", "one"] == ("needs two units", 2)
    assert said["cell", "echo", "clamped"] == (
        "clamped is set from the whole driven phase at once; echo scores steps inside it",
        2,
    )
    assert ("cell", "recall", "clamped") not in said
    assert said["radius", "echo", "attend"][0].startswith("radius looks at a RecurrentModel")
    assert said["delays", "recall", "attend"][0].startswith("delays needs Law")
    assert ("delays", "echo", "attend") not in said


def test_a_fact_that_is_not_there_for_these_values_is_a_reason():
    class Wanting(Plain):
        name = "wanting"

        @classmethod
        def accepts(cls, task: Task, parameters: Any) -> str | None:
            raise NotApplicable("the law of echo is not that of a copy")

    registry = Registry([*REGISTRY.all(), *Registry.of(Wanting).all()])
    plan = plan_study({"tasks": ["echo"], "architectures": ["wanting"]}, registry)
    assert [row.cell.reason for row in plan.rows] == ["the law of echo is not that of a copy"]


def test_each_distinct_pair_is_asked_once():
    asked: list[tuple[int, int]] = []

    class Asking(Plain):
        name = "asking"

        @classmethod
        def accepts(cls, task: Task, parameters: Any) -> str | None:
            asked.append((task.delay, parameters["hidden"]))
            return None

    study = {
        "tasks": [{"use": "echo", "grid": {"delay": [1, 2]}}],
        "architectures": [{"use": "asking", "grid": {"hidden": [3, 4]}}],
        "training": {"grid": {"lr": [0.1, 0.2, 0.3]}},
        "seeds": 5,
        "grids": [{"name": "a"}, {"name": "b", "analyses": ["radius"]}],
    }
    plan = plan_study(study, Registry([*REGISTRY.all(), *Registry.of(Asking).all()]))
    assert len(plan.rows) == 2 * 60
    assert sorted(asked) == [(1, 3), (1, 4), (2, 3), (2, 4)]


def test_horizons_of_judgement():
    def judged(task: Any, **training: Any) -> tuple[Any, ...]:
        plan = planned(tasks=[task], training=training, evaluation={"at": [7], "sequences": 9})
        found = plan.rows[0].evaluation_spec
        return found.horizon, found.loss_horizon, found.at, found.sequences

    assert judged("echo") == (None, None, (), 9)
    assert judged("recall") == (40, 20, (7,), 9)
    assert judged({"use": "recall", "horizon": 30}) == (60, 30, (7,), 9)
    assert judged("recall", curriculum={"kind": "loss_gated", "max": 15}) == (40, 15, (7,), 9)
    assert judged("recall", curriculum={"kind": "loss_gated"}) == (40, 20, (7,), 9)
    assert judged("recall", curriculum={"kind": "staged", "stages": [5, 50]}) == (40, 50, (7,), 9)
    own = planned(tasks=["recall"], evaluation={"horizon": 33}).rows[0].evaluation_spec
    assert own.horizon == 33


def test_a_curriculum_may_start_no_longer_than_the_task():
    with pytest.raises(StudyError, match="starts at 10 outputs, beyond the horizon 5 of the task"):
        planned(
            tasks=[{"use": "recall", "horizon": 5}], training={"curriculum": {"kind": "loss_gated"}}
        )


def test_of_a_zip_any_one_name_tells_rows_apart():
    task = {"use": "echo", "zip": {"delay": [3, 5], "density": [1.0, 0.5]}}
    table = {"name": "t", "rows": ["task.density"], "values": ["test.loss"]}
    assert len(planned(tasks=[task], tables=[table]).rows) == 2
    with pytest.raises(StudyError, match=r"'task\.delay' or 'task\.density' varies"):
        planned(tasks=[task], tables=[{**table, "rows": ["task"]}])


def test_what_where_fixes_need_not_be_told_apart():
    grid = {"use": "echo", "grid": {"delay": [3, 5]}}
    table = {"name": "t", "rows": ["architecture"], "values": ["test.loss"]}
    planned(tasks=[grid], tables=[{**table, "where": {"task.delay": 3}}])
    value = {"value": "test.loss", "where": {"task.delay": 5}}
    planned(tasks=[grid], tables=[{**table, "values": [value]}])
    # The axis belongs to a task that `where` leaves out.
    planned(tasks=[grid, "recall"], tables=[{**table, "where": {"task": "recall"}}])
    # A parameter that only the other task has leaves it out as well.
    fixed = {**table, "where": {"task.delay": 3}}
    assert planned(tasks=[grid, "recall"], tables=[{**fixed, "rows": ["architecture", "task"]}])


def test_nested_axes_of_training_are_told_apart_by_their_columns():
    schedules = ["constant", {"kind": "cosine"}, {"kind": "cosine", "from": 0.5}]
    table = {
        "name": "t",
        "rows": ["training.schedule.kind"],
        "columns": "training.schedule.from",
        "values": ["test.loss"],
    }
    plan = planned(training={"grid": {"schedule": schedules}}, tables=[table])
    assert len(plan.rows) == 3
    with pytest.raises(StudyError, match=r"'training\.schedule' varies"):
        planned(
            training={"grid": {"schedule": schedules}},
            tables=[{**table, "rows": "task", "columns": []}],
        )


def test_the_grid_is_an_axis_when_two_remain():
    grids = [{"name": "a"}, {"name": "b", "training": {"lr": 0.5}}]
    table = {"name": "t", "rows": ["task"], "values": ["test.loss"]}
    with pytest.raises(StudyError, match="'grid' varies"):
        planned(grids=grids, tables=[table])
    planned(grids=grids, tables=[{**table, "where": {"grid": "a"}}])


@pytest.mark.slow
def test_ten_thousand_cells():
    plan = planned(
        tasks=[{"use": "echo", "grid": {"delay": list(range(10)), "density": [0.1, 0.5, 1]}}],
        architectures=[{"use": "plain", "grid": {"hidden": list(range(1, 35))}}],
        analyses=["radius", "delays"],
        seeds=10,
        tables=[
            {
                "name": "t",
                "rows": ["task.delay", "architecture.hidden"],
                "columns": ["task.density"],
                "values": ["test.loss"],
            }
        ],
    )
    assert len(plan.cells) == len(plan.rows) == 10_200
    findings = {measure.key for row in plan.rows for measure in row.measures}
    assert len(findings) == 2 * 10_200


def selected(only: str | None = None, seeds: str | None = None) -> Plan:
    plan = planned(
        tasks=[{"use": "echo", "grid": {"delay": [3, 5], "weights": [[1, 2], [3, 4]]}}, "recall"],
        architectures=["plain", {"use": "plain", "hidden": 3, "label": "wide"}],
        seeds=4,
    )
    return select(plan, only, seeds)


@pytest.mark.parametrize(
    ("only", "seeds", "count"),
    [
        (None, None, 40),
        ("task.delay=3", None, 16),
        ("task.delay=3.0,architecture=wide", None, 8),
        ("task.delay=3,task.delay=5", None, 32),
        ("task.weights=[1, 2],architecture=wide", None, 8),
        ("task.rule=T1", "0-1,3", 6),
        ("grid=main", "2", 10),
    ],
)
def test_a_part_of_a_plan(only: str | None, seeds: str | None, count: int):
    plan = selected(only, seeds)
    assert len(plan.rows) == count


@pytest.mark.parametrize(
    ("only", "seeds", "told"),
    [
        ("task.dealy=3", None, "no column 'task.dealy'; did you mean 'task.delay'?"),
        (
            "task.delay=4",
            None,
            "--only task.delay=4: no network has this value; its values are",
        ),
        ("task.delay", None, "'task.delay' is not `column=value`"),
        ("task.delay=[", None, "this is not YAML"),
        ("task.delay=3,task=recall", None, "no network has them all"),
        (None, "5", "no network has seed 5; the seeds are 0-3"),
        (None, "2-1", "'2-1' is not a span of seeds"),
        (None, "a", "'a' is not a span of seeds"),
        (None, "0-99999999", "is not a span of seeds"),
    ],
)
def test_a_selection_that_finds_nothing_says_so(only: str | None, seeds: str | None, told: str):
    with pytest.raises(EmtkitError) as caught:
        selected(only, seeds)
    assert told in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_method_of_training_is_a_column_with_the_options_that_differ_from_their_defaults():
    plain = training_columns(Training())
    assert (plain["training.optimizer"], plain["training.schedule"]) == ("adam", "constant")
    rmsprop = {"kind": "rmsprop", "alpha": 0.9}
    found = training_columns(Training.model_validate({"optimizer": rmsprop}))
    assert found["training.optimizer"] == "rmsprop(alpha=0.9)"
    assert found["training.optimizer.alpha"] == 0.9
