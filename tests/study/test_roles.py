"""Grids with a role, and what views and claims may say of them, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from emtkit.errors import StudyError
from emtkit.study.plan import Plan, plan_study
from emtkit.study.select import select
from tests.study.fakes import registry

REGISTRY = registry()


def planned(text: str, folder: Path) -> Plan:
    path = folder / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return plan_study(path, REGISTRY)


def told(text: str, folder: Path) -> list[str]:
    with pytest.raises(StudyError) as caught:
        planned(text, folder)
    return [str(problem) for problem in caught.value.problems]


CONTROLLED = """
tasks: [echo]
seeds: 2
grids:
  - {name: main, architectures: [{use: plain, grid: {hidden: [2, 4]}}]}
  - {name: cut, role: negative, architectures: [{use: plain, gain: 0.0}]}
"""


def test_a_control_is_planned_with_its_role_and_left_out_of_views_that_do_not_ask(tmp_path: Path):
    table = "tables: [{name: t, rows: architecture.hidden, values: [test.loss]}]\n"
    plan = planned(CONTROLLED + table, tmp_path)
    assert {(row.grid, row.role) for row in plan.rows} == {("main", "study"), ("cut", "negative")}
    assert select(plan, "role=negative").rows == plan.rows[4:]
    asking = table.replace("rows: ", "rows: role, columns: ")
    assert "'grid' varies" in told(CONTROLLED + asking, tmp_path)[0]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("role: negative", "role: neutral", "neutral"),
        ("name: main,", "name: main, role: positive,", "every grid is a control"),
    ],
)
def test_roles_are_checked(old: str, new: str, said: str, tmp_path: Path):
    assert said in told(CONTROLLED.replace(old, new), tmp_path)[0]


def test_controls_of_a_claim_must_exist(tmp_path: Path):
    claim = "claims: [{id: c, text: T., control: ctu, expect: {value: test.loss, below: 1}}]\n"
    (found,) = told(CONTROLLED + claim, tmp_path)
    assert "there is no grid 'ctu'" in found
    assert "did you mean 'cut'" in found
    (found,) = told(CONTROLLED + claim.replace("ctu", "{task.delay: 9}"), tmp_path)
    assert "no network has task.delay = 9" in found


UNLIKE = """
seeds: 2
tasks: [echo]
grids:
  - {name: one, architectures: [plain], training: {steps: 100}}
  - {name: two, architectures: [exact, attend], training: {steps: 300}}
claims:
  - id: c
    text: T.
    match: [training.steps, seed]
    expect: {value: test.loss, where: {architecture: plain}, below: {where: {architecture: attend}}}
"""


def test_what_should_match_is_refused_where_it_does_not(tmp_path: Path):
    (found,) = told(UNLIKE, tmp_path)
    assert "claim 'c' do not match in 'training.steps': 100 against 300" in found
    assert "match[0]" in found
    assert planned(UNLIKE.replace("300", "100"), tmp_path).rows
    seeds = UNLIKE.replace("300}", "100}, seeds: 3")
    assert "do not match in 'seed': 0-1 against 0-2" in told(seeds, tmp_path)[0]


def test_a_claim_on_its_own_must_match_within(tmp_path: Path):
    alone = UNLIKE.replace(
        "where: {architecture: plain}, below: {where: {architecture: attend}}", "below: 1"
    )
    assert "do not match in 'training.steps': 100, 300" in told(alone, tmp_path)[0]
    assert planned(alone.replace("300", "100").replace(", seed]", "]"), tmp_path).rows


def test_what_should_match_is_a_setting(tmp_path: Path):
    found = told(UNLIKE.replace("training.steps, seed", "training.stesp"), tmp_path)
    assert "did you mean 'training.steps'" in found[0]
