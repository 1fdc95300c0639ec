"""Networks tested on other tasks than the one they were trained on (`evaluation: elsewhere`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import emtkit
from emtkit import StudyError
from emtkit.study.plan import plan_study

TASK = {"use": "hds", "rule": "repeat", "history": 3, "dimension": 2, "horizon": 6}
LONGER = {"name": "longer", "task": {"horizon": 30}, "horizon": 25, "sequences": 48}


def study(*elsewhere: Any, **more: Any) -> dict[str, Any]:
    return {
        "seeds": 2,
        "training": {"steps": 3, "batch": 4},
        "evaluation": {"sequences": 32, "elsewhere": list(elsewhere)},
        "tasks": [TASK],
        "architectures": [{"use": "elman", "hidden": 6}],
        **more,
    }


def shown(*columns: str) -> list[dict[str, Any]]:
    return [{"name": "t", "rows": "architecture", "values": list(columns)}]


def mistakes(*elsewhere: Any, **more: Any) -> str:
    with pytest.raises(StudyError) as found:
        plan_study(study(*elsewhere, **more))
    return str(found.value)


def test_networks_are_worth_elsewhere_what_they_are_worth_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers of the same weights in a study of the other task, bit for bit."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a.pt", "b.pt")):
        torch.manual_seed(seed)
        parts = nn.ModuleDict({"rnn": nn.GRU(2, 5), "fc": nn.Linear(5, 2)})
        torch.save(parts.state_dict(), name)
    given = {"architectures": [{"use": "gru", "checkpoint": ["a.pt", "b.pt"]}]}
    here = emtkit.run(study(LONGER, **given), jobs=1).frame()
    evaluation = {"sequences": 48, "horizon": 25}
    longer = {**TASK, "horizon": 30}
    there = emtkit.run(study(**given, evaluation=evaluation, tasks=[longer]), jobs=1).frame()
    for name in ("loss", "loss_error", "accuracy", "accuracy_error", "finite"):
        assert list(here[f"test.longer.{name}"]) == list(there[f"test.{name}"])
    assert list(here["test.longer.loss"]) != list(here["test.loss"])

    session = emtkit.run(
        study(LONGER, **given, tables=shown("test.accuracy", "test.longer.accuracy")), jobs=1
    )
    assert "longer" in str(session.table("t"))
    named = {**LONGER, "name": "far"}  # another name for numbers that are known
    again = emtkit.run(study(named, **given), jobs=1).frame()
    assert list(again["test.far.loss"]) == list(here["test.longer.loss"])


def test_what_is_asked_later_leaves_networks_and_numbers_alone() -> None:
    before, after = plan_study(study()), plan_study(study(LONGER))
    assert [row.cell.key for row in before.rows] == [row.cell.key for row in after.rows]
    assert [row.evaluation_spec for row in before.rows] == [r.evaluation_spec for r in after.rows]
    keys = {spec.key for row in after.rows for spec in row.evaluation_specs}
    assert len(keys) == 4


def test_a_network_that_cannot_be_tested_there_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session = emtkit.run(
        study(
            {"name": "deeper", "task": {"delay": 5}},
            tasks=[{"use": "k_delay", "delay": 1}],
            architectures=[{"use": "shift_register", "hidden": 2}],
            tables=shown("test.loss", "test.deeper.loss"),
        ),
        jobs=1,
    )
    why = "2 units for 1 inputs are 2 each; delay 5 needs 6 each"
    assert {row.elsewhere[0].reason for row in session.plan.rows} == {why}
    assert session.results.cause(0, "test.loss").status == "done"
    cause = session.results.cause(0, "test.deeper.loss")
    assert (cause.status, cause.reason) == ("not_applicable", why)
    assert why in str(session.table("t"))


def test_mistakes_are_told_with_their_places() -> None:
    assert "hds has no parameter 'horizn'" in mistakes({"name": "a", "task": {"horizn": 9}})
    said = mistakes({"name": "a", "task": {"dimension": 3}})
    assert "'a' has 3 inputs and 3 outputs; its networks have 2 inputs and 2 outputs" in said
    assert "'longer' appears twice" in mistakes(LONGER, LONGER)
    assert "evaluation.elsewhere[0]: 'task' is missing" in mistakes({"name": "a"})
    said = mistakes(LONGER, tables=shown("test.langer.accuracy"))
    assert "no evaluation elsewhere is named 'langer'" in said
    assert "did you mean 'test.longer'?" in said
    assert "has no scalar 'acuracy'" in mistakes(LONGER, tables=shown("test.longer.acuracy"))
    assert "elsewhere: [{name: longer" in mistakes(tables=shown("test.longer.accuracy"))
