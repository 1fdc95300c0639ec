"""A finished study, asked for again: quick where nothing changed, the ordinary path elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from emtkit.cli import rerun_cache
from emtkit.cli.output import RunOutput
from emtkit.cli.rerun_cache import RerunCache, RunRequest
from emtkit.plugin.installation import Installation
from emtkit.store.store import Store
from tests.conftest import Said, Smoke, Terminal

HEAVY = ("torch", "numpy", "pandas", "pydantic", "scipy", "matplotlib", "seaborn", "rich", "yaml")
WORDS = "nothing has changed since the last run"
STORE = Path("results", "emtkit.sqlite")
CACHE = Path("results", "study", "rerun.json")
PLUGIN = "from emtkit import hookimpl\n\n\n@hookimpl\ndef emtkit_tasks():\n    return []\n"


class Finished:
    """A finished study with a plugin file of its own, its output cached."""

    def __init__(self, folder: Path, text: str) -> None:
        self.terminal = Terminal(folder)
        self.path, self.plugin = folder / "study.yaml", folder / "own.py"
        self.plugin.write_text(PLUGIN)
        self.path.write_text(f"plugins: [./own.py]\n{text}")
        self.first = self.run()

    def run(self, *words: str) -> Said:
        return self.terminal.emtkit("run", "study.yaml", "-j", "1", *words)

    def __truediv__(self, below: str | Path) -> Path:
        return self.terminal.folder / below


@pytest.fixture
def finished(smoke: Smoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Finished:
    monkeypatch.setattr(
        rerun_cache, "SETTLED", -3600.0
    )  # the files of the tests may be seconds old
    (tmp_path / "results").mkdir()
    shutil.copy(smoke.terminal.folder / STORE, tmp_path / STORE)
    # One seed and no figures: a report is written a hundred times here, and nobody looks at it.
    document = yaml.safe_load(smoke.study.read_text("utf-8"))
    del document["figures"]
    return Finished(tmp_path, yaml.safe_dump({**document, "seeds": 1}, sort_keys=False))


def test_the_same_again_says_the_same_and_touches_nothing(finished):
    before = {path: path.stat() for path in (finished / "results").rglob("*")}
    again = finished.run()
    assert WORDS in again.err
    assert "6/6 cells (6 stored)" in again.err
    assert (again.code, again.out) == (finished.first.code, finished.first.out)
    assert WORDS not in finished.first.err
    assert "6 cells = 6 done + 0 failed + 0 lost + 0 not applicable" in again.out
    after = {path: path.stat() for path in (finished / "results").rglob("*")}
    assert {p: s.st_mtime_ns for p, s in after.items()} == {
        p: s.st_mtime_ns for p, s in before.items()
    }


def test_the_same_answer_as_json_quietly_and_with_other_workers(finished):
    kept = (finished / CACHE).read_bytes()
    document = json.loads(finished.run("--json").out)
    assert finished.run("--quiet") == Said(0, "", "")
    assert WORDS in finished.run("-j", "2", "--timeout", "5", "--check-claims").err
    assert (finished / CACHE).read_bytes() == kept
    (finished / CACHE).unlink()
    assert json.loads(finished.run("--json").out) == document


def test_a_claim_that_is_not_supported_exits_with_5_from_the_cache_too(finished):
    text = finished.path.read_text().replace("equals: 0", "equals: 5")
    finished.path.write_text(text)
    first = finished.run("--check-claims")
    again = finished.run("--check-claims")
    assert (first.code, first.out) == (again.code, again.out)
    assert again.code == 5
    assert WORDS in again.err
    assert finished.run().code == 0


def report_removed(finished: Finished) -> None:
    (finished / "results" / "study" / "report.html").unlink()


def table_edited(finished: Finished) -> None:
    path = finished / "results" / "study" / "tables" / "losses.csv"
    path.write_text(path.read_text().replace("0", "1"))


def study_edited(finished: Finished) -> None:
    finished.path.write_text(finished.path.read_text() + "#")


def plugin_touched(finished: Finished) -> None:
    finished.plugin.touch()


def plugin_edited(finished: Finished) -> None:
    finished.plugin.write_text(PLUGIN + "# edited\n")


def another_study_run(finished: Finished) -> None:
    text = finished.path.read_text().replace("seeds: 1", "seeds: 2")
    (finished / "other.yaml").write_text(text)
    assert finished.terminal.emtkit("run", "other.yaml", "-j", "1").code == 0


def store_collected(finished: Finished) -> None:
    with Store.open(finished / STORE, writer=True) as store:
        store.set_progress(store.progress()[-1])  # any commit
    said = finished.terminal.emtkit("gc", "study.yaml", "--yes")
    assert said.code == 0


def store_edited(finished: Finished) -> None:
    with closing(sqlite3.connect(finished / STORE)) as connection:
        connection.execute("UPDATE progress SET started = started + 1")
        connection.commit()


def store_copied(finished: Finished) -> None:
    copy = shutil.copy2(finished / STORE, finished / "copy")
    os.replace(copy, finished / STORE)


def lock_left(finished: Finished) -> None:
    (finished / "results" / "emtkit.sqlite.lock").touch()


def cache_damaged(finished: Finished) -> None:
    (finished / CACHE).write_text((finished / CACHE).read_text()[:-2])


def cache_with_a_wrong_sum(finished: Finished) -> None:
    kept = json.loads((finished / CACHE).read_text())
    kept["output"]["document"]["cells"]["expected"] += 1
    (finished / CACHE).write_text(json.dumps(kept))


CHANGES = (
    report_removed,
    table_edited,
    study_edited,
    plugin_touched,
    plugin_edited,
    another_study_run,
    store_collected,
    store_edited,
    store_copied,
    lock_left,
    cache_damaged,
    cache_with_a_wrong_sum,
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_changes_takes_the_ordinary_path(finished, change: Callable[[Finished], None]):
    assert WORDS in finished.run().err
    change(finished)
    again = finished.run()
    assert WORDS not in again.err
    assert (again.code, again.out) == (finished.first.code, finished.first.out)
    assert (finished / "results" / "study" / "report.html").exists()
    assert WORDS in finished.run().err


@pytest.mark.parametrize(
    "words",
    [["--retry-failed"], ["--events", "events.jsonl"], ["--only", "task.delay=1"]],
    ids=lambda words: words[0],
)
def test_whatever_else_is_asked_takes_the_ordinary_path(finished, words):
    said = finished.run(*words)
    assert said.code == 0
    assert WORDS not in said.err


def test_another_installation_takes_the_ordinary_path(finished, monkeypatch):
    monkeypatch.setattr(rerun_cache, "installation", lambda: Installation("another", 0))
    assert WORDS not in finished.run().err


def test_tables_are_those_of_the_terminal(finished, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert finished.run("--json").code == 0
    coloured = finished.run()
    assert WORDS not in coloured.err
    assert "\x1b[" in coloured.out
    assert finished.run() == Said(0, coloured.out, finished.run().err)
    monkeypatch.delenv("FORCE_COLOR")
    plain = finished.run()
    assert WORDS not in plain.err
    assert plain.out == finished.first.out


@pytest.mark.parametrize("what", ["study", "store", "plugin", "installed", "cells"])
def test_what_changes_during_a_run_leaves_no_cache(finished, monkeypatch, what):
    monkeypatch.chdir(finished / ".")
    kept = json.loads(CACHE.read_text())
    output = RunOutput(**kept["output"])
    cache = RerunCache.at_start(RunRequest(**kept["fingerprint"]["request"]))
    fingerprint = cache.fingerprint()
    CACHE.unlink()
    cache.save(output, fingerprint, [finished.plugin], [])
    assert CACHE.exists()
    CACHE.unlink()
    if what == "study":
        study_edited(finished)
        fingerprint = cache.fingerprint()
    elif what == "store":
        store_edited(finished)
    elif what == "plugin":
        monkeypatch.setattr(rerun_cache, "SETTLED", 0.0)
        plugin_touched(finished)
    elif what == "installed":
        monkeypatch.setattr(rerun_cache, "installation", lambda: Installation("another", 0))
    else:
        output.document["cells"]["failed"] = 1
    cache.save(output, fingerprint, [finished.plugin], [])
    assert not CACHE.exists()


def test_a_finished_run_without_a_cache_leaves_the_store_as_it_is(finished):
    before = (finished / STORE).read_bytes()
    report_removed(finished)
    assert WORDS not in finished.run().err
    assert (finished / STORE).read_bytes() == before


def test_the_second_run_loads_nothing_heavy(smoke, tmp_path):
    shutil.copytree(smoke.terminal.folder / "results", tmp_path / "results")
    shutil.copy(smoke.study, tmp_path / "study.yaml")
    code = (
        "import sys; from emtkit.cli import rerun_cache; from emtkit.cli.main import main\n"
        "rerun_cache.SETTLED = -3600; sys.argv = ['emtkit', 'run', 'study.yaml']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print('LOADED', loaded, file=sys.stderr)\n"
    )

    def outputs() -> tuple[str, str]:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    (first, before), (again, after) = outputs(), outputs()
    assert "LOADED []" not in before
    assert "LOADED []" in after
    assert first == again
