"""What scalars mean is declared, and a misspelt one is a mistake of the study, found by `plan`."""

from __future__ import annotations

import os
from typing import Any

import pytest

from emtkit import Registry, StudyError, load, run
from emtkit.plugin.analysis import Analysis
from emtkit.plugin.scalars import ScalarInfo, info_of
from emtkit.study.plan import plan_study
from emtkit_std.analyses.spectrum import Spectrum
from emtkit_std.tasks.hds import HistoryDependentSystem

STUDY: dict[str, Any] = {
    "tasks": [{"use": "hds", "rule": "repeat", "history": 2, "dimension": 2, "horizon": 4}],
    "architectures": [{"use": "elman", "hidden": 4}],
    "analyses": ["emt_spectrum", {"use": "basis_sensitivity", "label": "noise"}],
    "training": {"steps": 1},
    "evaluation": {"sequences": 4, "horizon": 4, "at": [30]},
}
VIEWS: dict[str, Any] = {
    "tables": lambda c: [{"name": "t", "rows": "task", "over": "seed", "values": [{"value": c}]}],
    "figures": lambda c: [{"name": "f", "use": "box", "x": "task", "y": c}],
    "claims": lambda c: [{"id": "c", "text": "t", "expect": {"value": c, "below": 1}}],
    "tune": lambda c: {"over": {"lr": [0.1, 0.2]}, "by": {"metric": c}},
}


def planned(view: str, column: str) -> None:
    plan_study({**STUDY, view: VIEWS[view](column)})


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    ("column", "meant"),
    [
        ("test.los", "test.loss"),
        ("test.acuracy", "test.accuracy"),
        ("test.accuracy_at_31", "test.accuracy_at_30"),
        ("test.loss_eror", "test.loss_error"),
        ("train.step", "train.steps"),
        ("emt_spectrum.angel_error", "emt_spectrum.angle_error"),
    ],
)
def test_a_misspelt_scalar_is_found_before_training(view: str, column: str, meant: str):
    with pytest.raises(StudyError) as caught:
        planned(view, column)
    prefix, _, name = column.partition(".")
    assert f"'{prefix}' has no scalar '{name}'" in str(caught.value)
    assert f"did you mean '{meant.partition('.')[2]}'" in str(caught.value)
    planned(view, meant)


def test_conditions_shares_and_ranks_are_columns_too():
    where = {"value": "test.loss", "where": {"emt_spectrum.angels": {"below": 1}}}
    share = {"share": {"of": "emt_spectrum.states", "equals": "comparable"}}
    best = {"value": "test.loss", "stat": "best", "by": "test.acc"}
    for value in (where, share, best):
        table = {"name": "t", "rows": "task", "over": "seed", "values": [value]}
        with pytest.raises(StudyError, match="has no scalar"):
            plan_study({**STUDY, "tables": [table]})


def test_solved_is_a_scalar_where_the_condition_is_set():
    with pytest.raises(StudyError, match=r"set the condition `training\.solved`"):
        planned("tables", "train.solved_at")
    solved = {"metric": "accuracy", "above": 0.9}
    training = {**STUDY["training"], "solved": solved}
    plan_study({**STUDY, "training": training, "tables": VIEWS["tables"]("train.solved_at")})


def test_every_window_and_error_has_a_meaning():
    scalars = plan_study(STUDY).scalars
    said = str(scalars.info("test.accuracy_at_30"))
    assert "right signs" in said
    assert "scored step 30" in said
    assert "standard error of `accuracy_at_30`" in str(scalars.info("test.accuracy_at_30_error"))
    assert scalars.info("test.finite_error") is None


def test_a_family_declares_its_names():
    family = {"phi_error_{method}": ScalarInfo("one"), "a.b": ScalarInfo("two")}
    assert info_of(family, "phi_error_dual") == ScalarInfo("one")
    assert info_of(family, "phi_error_") is None
    assert info_of(family, "a_b") is None
    planned("tables", "noise.phi_error_dual")
    with pytest.raises(StudyError, match="has no scalar"):
        planned("tables", "noise.phi_eror_dual")


def test_a_meaning_is_a_sentence_of_all_that_was_said():
    whole = ScalarInfo("speed", unit="columns per step", better="higher", undefined="at rest")
    assert str(whole) == "speed, in columns per step; higher is better; undefined at rest"


def test_everything_built_in_is_declared():
    registry = Registry.installed()
    silent = [cls.name for cls in registry.analyses.values() if not cls.scalars]
    assert silent == []
    of_tasks = [cls.scalars for cls in registry.tasks.values()]
    of_analyses = [cls.scalars for cls in registry.analyses.values()]
    blank = [n for one in (*of_tasks, *of_analyses) for n, info in one.items() if not info.meaning]
    assert blank == []


def test_everything_that_a_run_stores_is_declared(tmp_path):
    study = {
        **STUDY,
        "training": {"steps": 2, "check": 1, "solved": {"metric": "loss", "below": 100.0}},
        "seeds": 2,
    }
    session = run(study, store=tmp_path / "s.sqlite", jobs=1, quiet=True)
    prefixes = ("train.", "test.", "emt_spectrum.", "noise.")
    stored = [name for name in session.frame().columns if name.startswith(prefixes)]
    assert {"train.solved_at", "test.finite", "test.accuracy_at_30_error"} <= set(stored)
    assert [name for name in stored if session.plan.scalars.info(name) is None] == []


def test_a_subclass_that_measures_anew_says_its_own():
    class Another(Spectrum):
        def measure(self, subject: Any) -> Any:
            return super().measure(subject)

    class Renamed(Spectrum):
        name = "renamed"

    class Task(HistoryDependentSystem):
        def metrics(self, outputs: Any, batch: Any) -> Any:
            return super().metrics(outputs, batch)

    assert Another.scalars is Analysis.scalars
    assert Renamed.scalars is Spectrum.scalars
    assert Task.scalars == {}


PLUGIN = """
import time
import torch
from emtkit import Analysis, Findings, NotApplicable, hookimpl
from emtkit_std.tasks.k_delay import KDelay

class Sizes(Analysis):
    name = "sizes"
    def measure(self, subject):
        {first}
        return Findings({{"largest": 1.0}})

class Told(KDelay):
    name = "told"
    def metrics(self, outputs, batch):
        return {{"near": (outputs - batch.targets).abs().mean()}}

@hookimpl
def emtkit_analyses():
    return [Sizes]

@hookimpl
def emtkit_tasks():
    return [Told]
"""


def loose(folder: Any, first: str, *columns: str) -> Any:
    import json

    (folder / "mine.py").write_text(PLUGIN.format(first=first))
    study = {
        "plugins": ["./mine.py"],
        "tasks": [{"use": "told", "delay": 1}],
        "architectures": [{"use": "elman", "hidden": 3}],
        "analyses": ["sizes"],
        "training": {"steps": 1},
        "tables": [{"name": "t", "rows": "task", "over": "seed", "values": list(columns)}],
    }
    (folder / "study.yaml").write_text(json.dumps(study))
    return load(folder / "study.yaml")


def test_undeclared_scalars_of_a_loose_plugin_are_found_by_measuring(tmp_path):
    loose(tmp_path, "pass", "sizes.largest", "test.near", "test.near_error", "test.loss")
    with pytest.raises(StudyError) as caught:
        loose(tmp_path, "pass", "sizes.largets", "test.neer")
    assert "'sizes' has no scalar 'largets'" in str(caught.value)
    assert "'test' has no scalar 'neer'" in str(caught.value)


def test_a_module_that_a_plugin_imports_is_looked_at_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    helper = tmp_path / "names_of_mine.py"
    first = "from names_of_mine import NAME; return Findings({NAME: 1.0})"
    helper.write_text("NAME = 'largest'\n")
    loose(tmp_path, first, "sizes.largest")
    helper.write_text("NAME = 'greatest'\n")
    with pytest.raises(StudyError, match="'sizes' has no scalar 'largest'"):
        loose(tmp_path, first, "sizes.largest")


@pytest.mark.parametrize(
    "first", ["raise NotApplicable('not yet')", "raise ValueError('x')", "import os; os._exit(9)"]
)
def test_what_cannot_be_measured_untrained_may_have_any_scalar(first, tmp_path):
    assert loose(tmp_path, first, "sizes.anything").plan.rows
