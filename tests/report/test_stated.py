"""Whether a claim was there before its results: by the store's record, whatever is planned when."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emtkit.report.inference.stated import AFTER, BEFORE, CHANGED, statements_of, with_times
from emtkit.report.inference.verdict import Verdict
from emtkit.session import load
from emtkit.store.store import Store

STUDY = {
    "tasks": ["k_delay"],
    "architectures": ["shift_register"],
    "claims": [
        {"id": "c", "text": "It is exact.", "expect": {"value": "test.loss", "below": 0.1}},
        {"id": "d", "text": "It is not.", "expect": {"value": "test.loss", "above": 0.1}},
    ],
}


def study(**change):
    claims = [{**STUDY["claims"][0], **change}, STUDY["claims"][1]]
    return load({**STUDY, "claims": claims}).plan.study


def judged(one, stored, done):
    (claim, _) = one.claims.values()
    (found,) = with_times([Verdict(claim, "supported", cells=("x", "y"))], one, stored, done)
    return found.stated


def test_a_claim_seen_before_the_first_of_its_cells_was_stated_before():
    one = study()
    stored = statements_of(one, 10.0)
    assert judged(one, stored, {"x": 12.0, "y": 11.0}) == BEFORE
    assert judged(one, stored, {"x": 12.0, "y": 9.0}) == AFTER
    assert judged(one, [], {"x": 12.0}) == AFTER
    assert judged(one, stored, {}) == "", "without results there is nothing to say"


@pytest.mark.parametrize(
    "change",
    [
        {"text": "It is nearly exact."},
        {"expect": {"value": "test.loss", "below": 0.2}},
        {"expect": {"value": "test.loss", "below": 0.1, "tolerance": 0.1}},
        {"control": []},
        {"given": {"test.loss": {"below": 1}}},
    ],
)
def test_another_text_margin_control_or_condition_is_a_change(change):
    first, later = study(), study(**change)
    stored = [*statements_of(first, 10.0), *statements_of(later, 20.0)]
    assert judged(later, stored, {"x": 15.0}) == CHANGED
    assert judged(first, stored, {"x": 15.0}) == BEFORE
    assert judged(later, stored, {"x": 25.0}) == BEFORE
    assert judged(study(source="elsewhere", **change), stored, {"x": 25.0}) == BEFORE


def test_controls_of_the_study_are_part_of_what_is_stated():
    plain = load({**STUDY, "grids": [{"name": "a"}]}).plan.study
    controlled = load({**STUDY, "grids": [{"name": "a"}, {"name": "b", "role": "negative"}]})
    stored = statements_of(plain, 10.0)
    assert judged(controlled.plan.study, stored, {"x": 15.0}) == CHANGED


def test_the_earliest_sight_counts():
    one = study()
    stored = [*statements_of(one, 20.0), *statements_of(one, 10.0)]
    assert judged(one, stored, {"x": 15.0}) == BEFORE


def test_planning_registers_once_and_makes_no_ceremony(tmp_path: Path):
    path = tmp_path / "new" / "s.sqlite"
    session = load(STUDY, store=path)
    session.register()
    with Store.open(path) as store:
        first = store.statements()
        assert {one.claim for one in first} == {"c", "d"}
        assert store.keys() == ((), ())
    written = path.stat().st_mtime_ns
    load(STUDY, store=path).register()
    assert path.stat().st_mtime_ns == written
    load({**STUDY, "claims": []}, store=tmp_path / "none" / "s.sqlite").register()
    assert not (tmp_path / "none").exists()


def test_planning_works_where_nothing_can_be_written(tmp_path: Path):
    file = tmp_path / "file"
    file.touch()
    # A folder that cannot be made, also by a user who may write everywhere.
    for place in (file / "s.sqlite", Path("/proc/none/s.sqlite") if os.name == "posix" else file):
        load(STUDY, store=place).register()
    path = tmp_path / "s.sqlite"
    with Store.open(path, writer=True):
        load(STUDY, store=path).register()  # a run is writing
    with Store.open(path) as store:
        assert store.statements() == ()
