"""What a user, a store or a plugin may hand over: a sentence, never a traceback or an escape."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emtkit.cli.main import cli
from emtkit.cli.options import Number, Share
from emtkit.store.records import Bundle, CellResult
from emtkit.store.store import Store
from emtkit.text import csv_cell, printable
from tests.conftest import Smoke, Terminal

ESCAPE = "\x1b]0;owned\x07\x9b31m\u202ereversed"
SCRIPTS = ("٣", "３", "1_0", "²", "Ⅳ", "0x5", "nan", "inf", "-1", "+1", "1e400", "")

STUDY = """\
tasks: [{use: k_delay, delay: 1}]
architectures: [elman]
training: {steps: 0}
tables: [{name: losses, rows: architecture, over: seed, values: [{value: test.loss}]}]
figures: [{name: loss, use: line, x: architecture, y: test.loss}]
"""


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    (tmp_path / "study.yaml").write_text(STUDY)
    return Terminal(tmp_path)


@pytest.fixture
def measured(smoke: Smoke, tmp_path: Path) -> Terminal:
    """The smoke study with its results, in a folder of its own."""
    shutil.copy(smoke.study, tmp_path / "smoke.yaml")
    (tmp_path / "results").mkdir()
    shutil.copy(smoke.terminal.folder / "results" / "emtkit.sqlite", tmp_path / "results")
    return Terminal(tmp_path)


STORES = {
    "folder": ".",
    "empty": "",
    "pipe": "pipe",
    "a folder to be": "new/",
    "null": "a\x00b",
    "too long": "n" * 5000,
    "loop": "loop",
    "device": "/dev/null",
    "below a file": "study.yaml/s.sqlite",
}


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize(
    "words",
    [
        ("run", "study.yaml", "-j", "1"),
        ("plan", "study.yaml"),
        ("report", "study.yaml"),
        ("verify",),
    ],
    ids=lambda words: words[0],
)
def test_a_store_that_cannot_be_one_is_a_sentence(terminal, kind, words):
    os.mkfifo(terminal.folder / "pipe")
    (terminal.folder / "loop").symlink_to("loop")
    before = sorted(path.name for path in terminal.folder.iterdir())
    said = terminal.emtkit(*words, "--store", STORES[kind])
    assert said.code in (2, 4)
    assert "store" in said.err
    assert sorted(path.name for path in terminal.folder.iterdir()) == before


@pytest.mark.parametrize("text", SCRIPTS)
@pytest.mark.parametrize(
    "option",
    ["--jobs", "--retry", "--max-failures", "--timeout", "--memory", "--audit", "--seeds"],
)
def test_numbers_of_options_are_ascii_and_bounded(terminal, option, text):
    said = terminal.emtkit("run", "study.yaml", f"{option}={text}")
    assert said.code == 2
    assert option in said.err


def test_every_option_with_a_number_has_a_type_of_ours():
    """The types of click read the digits of every script, and `nan`."""
    foreign = {
        f"{name} {option.name}: {option.type}"
        for name, command in cli.commands.items()
        for option in command.params
        if option.type.name.startswith(("integer", "float", "number"))
        and not isinstance(option.type, Number | Share)
    }
    assert not foreign


def output_of(folder: Path, *words: str, out: str) -> subprocess.CompletedProcess[str]:
    main = "import sys; from emtkit.cli.main import main; sys.argv[0] = 'emtkit'; main()"
    with open(out, "w") as stream:
        return subprocess.run(
            [sys.executable, "-c", main, *words],
            stdout=stream,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            check=False,
        )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "words",
    [("--help",), pytest.param(("list", "--json"), marks=pytest.mark.slow), ("plan", "study.yaml")],
)
def test_output_that_cannot_be_written_is_a_sentence(terminal, words):
    done = output_of(terminal.folder, *words, out="/dev/full")
    assert done.returncode == 2
    assert done.stderr.startswith("the output cannot be read or written (No space left on device)")
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_results_where_a_file_is(measured):
    (measured.folder / "results" / "smoke").write_text("mine")
    said = measured.emtkit("report", "smoke.yaml")
    assert said.code == 2
    assert said.err.startswith("results/smoke cannot be written (File exists)")


@pytest.mark.parametrize("events", ["/dev/full", "pipe"])
def test_events_that_cannot_be_written(measured, events):
    os.mkfifo(measured.folder / "pipe")
    said = measured.emtkit("run", "smoke.yaml", "-j", "1", "--events", events)
    if events == "pipe":  # nobody reads it: opening it would wait for ever
        assert (said.code, said.err.partition(" cannot")[0]) == (2, "'pipe'")
    else:
        assert said.code == 0
        assert said.err.count("events are no longer written (No space left on device)") == 1


def test_a_disk_that_fills_leaves_no_draft(measured, monkeypatch):
    write = Path.write_text

    def full(path: Path, *given: object, **named: object) -> int:
        if path.name.startswith("report.html"):
            write(path, "half")
            raise OSError(28, "No space left on device", str(path))
        return write(path, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", full)
    said = measured.emtkit("report", "smoke.yaml")
    assert said.code == 2
    assert "No space left on device" in said.err
    assert not list(measured.folder.rglob("*.part"))


def test_an_audit_speaks_even_when_quiet(terminal):
    said = terminal.emtkit("run", "study.yaml", "-q", "-j", "1", "--audit", "100%")
    assert said.code == 0
    assert said.out == "audit: 1 cells and 1 findings were computed again; every byte is equal\n"


def test_no_escape_of_a_store_reaches_a_terminal(terminal):
    from emtkit.session import load

    (terminal.folder / "study.yaml").write_text(STUDY.replace("steps: 0", "steps: 1"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(terminal.folder)
        (key,) = load(Path("study.yaml")).plan.cells
        with Store.open(Path("results/emtkit.sqlite"), writer=True) as store:
            hostile = CellResult(key, {}, "failed", error=ESCAPE, provenance={ESCAPE: [ESCAPE]})
            store.commit(Bundle(cells=(hostile,)))
    shown = [
        terminal.emtkit("table", "study.yaml", "--format", form)
        for form in ("terminal", "csv", "markdown", "latex", "html")
    ]
    shown += [terminal.emtkit(*words.split()) for words in ("plan study.yaml", "report study.yaml")]
    assert [said.code for said in shown] == [0] * 7
    assert r"\x1b]0;owned" in shown[0].out  # it is shown, as text
    for said in shown:
        assert not set(said.out + said.err) & set("\x1b\x07\x9b\u202e")


def test_what_is_printable_and_what_a_spreadsheet_reads_as_text():
    assert printable("a\tb\nc é\u4e2d") == "a\tb\nc é\u4e2d"
    assert printable("\x1b[2J\r\x00\x9b\ud800\u202e") == r"\x1b[2J\r\x00\x9b\ud800\u202e"
    for formula in ("=HYPERLINK(1)", "@SUM(1)", "+1", "-1+cmd", "\t=1", " =1", "\n=1", "＝1"):
        assert csv_cell(formula) == "'" + printable(formula)
    for value in (-1.5, 3, True, None, "a=1", "1-2", ""):
        assert csv_cell(value) == value
