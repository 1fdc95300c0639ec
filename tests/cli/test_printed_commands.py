"""Every command that a report or a run prints works as it was printed, wherever the results are."""

from __future__ import annotations

import html
import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.conftest import Terminal

STUDY = {
    "question": "?",
    "tasks": [{"use": "k_delay", "grid": {"delay": [1, 2]}}],
    "architectures": [{"use": "elman", "hidden": 2}],
    "training": {"steps": 2},
    "evaluation": {"sequences": 4},
    "analyses": ["spectrum"],
    "seeds": 2,
    "tables": [{"name": "losses", "rows": "task.delay", "values": ["test.loss"]}],
    "figures": [
        {"name": "loss", "use": "box", "x": "task.delay", "y": "test.loss"},
        {"name": "spectra", "use": "spectrum.eigenvalues", "facet": "task.delay"},
    ],
}
ELSEWHERE = ("--store", "other place/r.sqlite", "--out", "other place/out")


@pytest.fixture
def study(terminal: Terminal) -> str:
    """A study in a folder with a space in its name."""
    folder = terminal.folder / "my studies"
    folder.mkdir()
    (folder / "one.yaml").write_text(json.dumps(STUDY))
    return "my studies/one.yaml"


def commands(text: str) -> list[list[str]]:
    """The commands of a page, without those that a reader completes."""
    found = re.findall(r"<code>emtkit (.*?)</code>", text)
    return [shlex.split(html.unescape(one)) for one in found]


@pytest.mark.parametrize("places", [(), (*ELSEWHERE, "--only", "task.delay=2")])
def test_every_command_of_a_report_works_when_it_is_copied(terminal, study, places):
    assert terminal.emtkit("run", study, *places, "-q").code == 0
    folder = terminal.folder / ("other place/out/one" if places else "results/one")
    found = commands((folder / "report.html").read_text())
    assert {words[0] for words in found} >= {"figure", "table", "export", "run", "cite"}
    for words in found:
        said = terminal.emtkit(*words)
        assert said.code == 0, (words, said.err)
        if words[0] == "run":
            again = "nothing has changed" in said.err + said.out
            assert again or re.search(r"(\d)/\1 cells \(\1 stored", said.err)
    assert bool(places) != (terminal.folder / "results" / "emtkit.sqlite").exists()


def test_a_store_that_is_not_there_is_an_error_of_every_reading_command(terminal, study):
    for words in (("table",), ("figure", "loss"), ("report",), ("export", "--out", "x")):
        said = terminal.emtkit(words[0], study, *words[1:], "--store", "no.sqlite")
        assert said.code == 4, words
        assert "there is no store no.sqlite; `emtkit run" in said.err
    assert not (terminal.folder / "results").exists()


def test_two_studies_of_one_name_do_not_write_over_each_other(terminal, study):
    other = terminal.folder / "one.yaml"
    other.write_text(json.dumps({**STUDY, "seeds": 1}))
    assert terminal.emtkit("run", study, "-q").code == 0
    before = (terminal.folder / "results/one/report.md").read_text()
    for words in (("run", "one.yaml", "-q"), ("report", "one.yaml")):
        said = terminal.emtkit(*words)
        assert said.code == 2
        assert "has the same name" in said.err
        assert "--out" in said.err
    assert (terminal.folder / "results/one/report.md").read_text() == before
    assert terminal.emtkit("run", "one.yaml", "-q", "--out", "apart").code == 0
    (terminal.folder / study).unlink()  # moved, say: its place is free
    assert terminal.emtkit("run", "one.yaml", "-q").code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a folder in which no one can write")
def test_a_folder_that_cannot_be_written_is_a_sentence_or_no_matter(terminal, study):
    nowhere, folder = Terminal(Path("/proc")), str(terminal.folder)
    run = ("run", f"{folder}/{study}", "-q")
    refused = nowhere.emtkit(*run)
    assert refused.code == 2
    assert "results/one cannot be written" in refused.err
    assert "`--out`" in refused.err
    elsewhere = nowhere.emtkit(*run, "--store", f"{folder}/r.sqlite", "--out", folder)
    assert elsewhere.code == 0, elsewhere.err
    assert (terminal.folder / "one" / "report.html").is_file()
