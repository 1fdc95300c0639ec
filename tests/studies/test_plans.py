"""Every study that is shipped plans without a problem; nothing is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from emtkit.session import load

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))
EACH = [
    # 12,000 networks take half a minute to plan
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem == "phase_diagram"))
    for path in STUDIES
]


@pytest.mark.parametrize("path", EACH)
def test_it_plans(path, tmp_path):
    session = load(path, store=tmp_path / "none.sqlite")
    study = session.plan.study
    assert session.plan.rows
    assert study.question.strip()
    assert study.tables
    assert all(claim.source for claim in study.claims.values()), "each claim says where from"
    assert all(row.cell.reason is None for row in session.plan.rows), "all pairs apply"


@pytest.mark.parametrize("path", EACH)
def test_every_claim_has_a_negative_control_for_each_of_its_combinations(path, tmp_path):
    warnings = load(path, store=tmp_path / "none.sqlite").warnings()
    assert [warning for warning in warnings if "no negative control" in warning] == []


@pytest.mark.parametrize("name", ["emt_table1", "emt_table1_budget"])
def test_the_published_table_is_whole(name):
    (path,) = (path for path in STUDIES if path.stem == name)
    session = load(path, store=None)
    own = [row for row in session.plan.rows if row.role == "study"]
    rules = {row.cell.task.parameters["rule"] for row in own}
    assert rules == {"T1", "T2", "T3", "T4"}
    assert len(own) == 4 * 2 * 3 * 20
    part = load(
        path, store=None, only="role=study,task.rule=T2,architecture.hidden=128", seeds="0-1"
    )
    assert len(part.plan.rows) == 3 * 2


def test_the_study_of_lengths_shares_the_networks_within_the_budget():
    keys = {}
    for path in STUDIES:
        if path.stem in ("emt_table1_budget", "emt_table1_length"):
            rows = load(path, store=None).plan.rows
            keys[path.stem] = {(row.cell.key, row.cell.training.steps) for row in rows}
    apart = keys["emt_table1_length"] - keys["emt_table1_budget"]
    assert [steps for _, steps in apart] == [45000] * 6


def test_the_figures_share_the_networks_of_the_paper_scale_study():
    keys = {}
    for path in STUDIES:
        if path.stem in ("emt_figures", "emt_paper_scale"):
            rows = load(path, store=None).plan.rows
            keys[path.stem] = {row.cell.key for row in rows if row.role == "study"}
    assert keys["emt_paper_scale"] < keys["emt_figures"]
