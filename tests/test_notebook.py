"""The example of docs/notebook.md runs as it stands, and gives what the command line gives."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import emtkit
from emtkit.cli.main import cli
from emtkit.errors import EmtkitError, StudyError
from emtkit.report.tables.formats.csv import Csv
from emtkit.session import load

PAGE = Path(__file__).parents[1] / "docs" / "notebook.md"


def run_cell(code, names):
    """What a notebook shows of a cell: the value of its last expression."""
    *body, last = ast.parse(code).body
    if not isinstance(last, ast.Expr):
        body, last = [*body, last], None
    exec(compile(ast.Module(body, []), str(PAGE), "exec"), names)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), str(PAGE), "eval"), names)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The names that the page's code leaves behind, and what each of its cells shows."""
    patch = pytest.MonkeyPatch()
    patch.chdir(tmp_path_factory.mktemp("notebook"))
    names = {}
    cells = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    shown = [run_cell(code, names) for code in cells]
    yield names, shown
    patch.undo()


def test_the_page_shows_what_it_says(notebook):
    names, (session, verdicts, medians, table, figure, model, report) = notebook
    assert repr(session).startswith("Session(")
    assert verdicts == [("three-suffice", "supported")]
    assert medians[3] < 0.01 < medians[2]
    assert [row for (row,) in table.rows] == [2, 3]
    assert len(figure.cells) == 12
    assert report.read_text("utf-8").startswith("<!doctype html>")
    assert names["directions"].shape[1] == model.hidden == 3
    assert len(names["eigenvalues"]) == 3


def test_what_is_loaded_equals_what_was_run(notebook):
    names, _ = notebook
    again = emtkit.load(names["study"], store="units.sqlite")
    pd.testing.assert_frame_equal(again.frame(), names["frame"])
    plain = load(names["study"], store=Path("units.sqlite"))
    assert Csv().text(plain.table("units")) == Csv().text(again.table("units"))


def test_the_model_answers_as_the_stored_spectrum_says(notebook):
    names, _ = notebook
    model = names["model"]
    assert not model.training
    radius = np.abs(np.linalg.eigvals(model.W_hh.detach().double().numpy())).max()
    assert radius == pytest.approx(names["best"]["spectrum.radius"])
    trace = model(torch.zeros(2, 4, 1), 6)
    assert trace.outputs.shape == (2, 6, 1)
    batch, outputs = names["batch"], names["outputs"]
    torch.testing.assert_close(outputs, model.trace(batch.inputs, batch.steps).outputs)
    assert Path("units.svg").read_text("utf-8").startswith("<?xml")


def test_the_history_is_that_of_every_iteration(notebook):
    names, _ = notebook
    losses = names["losses"]
    assert losses.shape == (300,)
    assert losses[-30:].mean() == pytest.approx(names["best"]["train.loss"])


def test_a_notebook_shows_sessions_tables_and_figures_as_html(notebook):
    _, (session, _, _, table, figure, _, _) = notebook
    shown = session._repr_html_()
    assert "Three units hold three items." in shown
    assert "supported" in shown
    assert "12 cells done" in shown
    assert "<table" in table._repr_html_()
    assert "<svg" in figure._repr_html_()


def test_text_of_a_study_does_not_become_markup(notebook):
    names, _ = notebook
    study = {**names["study"], "question": "<script>alert(1)</script>"}
    shown = emtkit.load(study, store="units.sqlite")._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_a_part_of_a_study_is_chosen_as_on_the_command_line(notebook):
    names, _ = notebook
    part = emtkit.load(
        names["study"], store="units.sqlite", only="architecture.hidden=3", seeds="1"
    )
    (row,) = part.frame().to_dict("records")
    assert (row["architecture.hidden"], row["seed"], row["status"]) == (3, 1, "done")


def test_mistakes_are_sentences(notebook):
    names, _ = notebook
    session = emtkit.load(names["study"], store="units.sqlite")
    with pytest.raises(EmtkitError, match="has no table 'unit'; did you mean 'units'"):
        session.table("unit")
    with pytest.raises(EmtkitError, match=r"0 cells of .* begin with 'zz'"):
        session.model("zz")
    with pytest.raises(StudyError, match="k_dela"):
        emtkit.load({"tasks": ["k_dela"], "architectures": ["linear_rnn"]})


SCRIPT = """\
import emtkit

study = {"tasks": ["k_delay"], "architectures": ["relu_rnn", "gru"], "training": {"steps": 2}}
session = emtkit.run(study, store="script.sqlite", jobs=2, tier="loop", retry=0, quiet=True)
print("ran", session.frame()["status"].tolist(), set(session.frame()["train.loss"].notna()))
"""


@pytest.mark.slow
def test_a_script_without_a_main_guard_runs_once_with_several_workers(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "ran ['done', 'done'] {True}\n"


def test_an_engine_that_is_not_there_is_a_sentence(tmp_path):
    study = {"tasks": ["k_delay"], "architectures": ["linear_rnn"]}
    with pytest.raises(EmtkitError, match="no engine 'dusk'; did you mean 'dask'"):
        emtkit.run(study, store=tmp_path / "s.sqlite", engine="dusk")
    with pytest.raises(EmtkitError, match="choose the engine dask"):
        emtkit.run(study, store=tmp_path / "s.sqlite", scheduler="tcp://10.0.0.1:8786")


def test_every_option_of_a_run_but_those_of_its_output_is_offered_in_python():
    offered = inspect.signature(emtkit.run).parameters
    here = {"audit", "as_json", "events", "check_claims", "fail_fast"}
    assert {option.name for option in cli.commands["run"].params} - here == set(offered)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
def test_as_many_workers_as_cores_that_are_allowed():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from emtkit.execute.engines.open import Limits\n"
        "print(Limits.of(None, 1.0, 0.5))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"Limits(jobs=1, timeout=1.0, memory={2**29})"
