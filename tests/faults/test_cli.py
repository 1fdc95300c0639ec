"""The command line under faults: signals, a closed terminal, a damaged store; its exit codes."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from emtkit.cli.main import cli
from emtkit.errors import StoreError
from emtkit.store.records import Bundle
from emtkit.store.store import Store
from tests.faults.test_coordinator import gone

STUDY = """
question: Does it survive?
seeds: {seeds}
training: {{steps: {steps}, batch: 4}}
evaluation: {{sequences: 16}}
tasks: [{{use: k_delay, delay: 2}}]
architectures: [{{use: elman, hidden: 3}}]
analyses: [spectrum]
"""


def write(folder: Path, steps: int = 4, seeds: int = 3) -> Path:
    path = folder / "study.yaml"
    path.write_text(STUDY.format(steps=steps, seeds=seeds))
    return path


@pytest.fixture
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def emtkit(*arguments: str):
    return CliRunner().invoke(cli, list(arguments), standalone_mode=False)


def test_run_audit_verify_merge_gc(inside):
    study, other = str(write(inside)), "other.sqlite"
    ran = emtkit("run", study, "-j", "1", "--audit", "50%", "--fail-fast", "--timeout", "60")
    assert ran.exception is None
    assert "3 cells = 3 done + 0 failed + 0 lost + 0 not applicable" in ran.output
    assert "audit: 2 cells and 4 findings were computed again; every byte is equal" in ran.output
    checked = emtkit("verify")
    assert checked.return_value == 0
    assert "3 cells, 6 findings, 0 faults" in checked.output

    kept = Path("results/emtkit.sqlite")
    Path(other).write_bytes(kept.read_bytes())
    write(inside, seeds=1)
    forgot = emtkit("gc", study, "--yes")
    assert "2 cells and 4 findings deleted" in forgot.output
    united = emtkit("merge", str(kept), other)
    assert united.return_value == 0
    assert f"2 cells and 4 findings came from {other}, 0 conflicts" in united.output
    assert emtkit("merge", str(kept), other).output.count("0 cells and 0 findings") == 1

    with Store.open(kept, writer=True) as store:
        changed = store.findings_of(store.keys()[1])
        one = next(iter(changed.values()))
        content = store.blob(one.key, "content")
        store.commit(Bundle(findings=(replace(one, content=content, scalars={"radius": 9.0}),)))
    clash = emtkit("merge", str(kept), other)
    assert clash.return_value == 1
    assert f"conflict: {one.key} has other bytes" in clash.output


def test_an_audit_finds_a_result_that_is_not_what_comes_out(inside):
    study = str(write(inside))
    assert emtkit("run", study, "-j", "1").exception is None
    with Store.open(Path("results/emtkit.sqlite"), writer=True) as store:
        keys = store.keys()[0]
        first = store.cells_of(keys[:1])[keys[0]]
        swapped = replace(
            first,
            weights=store.weights(keys[1]),
            history=store.blob(keys[0], "history"),
            snapshots={step: store.weights(keys[0], step) for step in first.snapshots},
        )
        store.commit(Bundle(cells=(swapped,)), replace=True)
    ran = emtkit("run", study, "-j", "1", "--audit", "100%")
    assert ran.return_value == 1
    assert f"  {keys[0]}" in ran.output


def test_a_damaged_store_is_saved_by_its_command(inside):
    study = str(write(inside))
    emtkit("run", study, "-j", "1")
    kept = Path("results/emtkit.sqlite")
    data = kept.read_bytes()
    kept.write_bytes(data[: len(data) * 2 // 3])
    refused = emtkit("run", study, "-j", "1")
    assert isinstance(refused.exception, StoreError)
    assert refused.exception.exit_code == 4
    assert "emtkit verify --salvage OUT" in str(refused.exception)
    saved = emtkit("verify", "--salvage", "new.sqlite")
    assert saved.return_value == 0
    assert "`emtkit run STUDY --store new.sqlite` computes the rest again" in saved.output
    again = emtkit("run", study, "-j", "1", "--store", "new.sqlite")
    assert "3 cells = 3 done" in again.output


def test_a_share_is_a_share(inside):
    study = str(write(inside))
    for wrong in ("5 %%", "0", "120%", "many"):
        assert "is not a share; write for instance 5%" in str(
            emtkit("run", study, "--audit", wrong).exception
        )
    asked = emtkit("run", study, "--scheduler", "tcp://10.0.0.1:8786")
    assert "choose the engine dask" in str(asked.exception)


def test_a_strangers_plugin_file_is_not_run_by_plan_no_plugins(inside):
    study = write(inside)
    study.write_text(study.read_text() + "plugins: [./theirs.py]\n")
    Path("theirs.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    assert emtkit("plan", str(study), "--no-plugins").exception is None
    assert not Path("ran").exists()
    emtkit("plan", str(study))
    assert Path("ran").exists()


def children(pid: int) -> list[int]:
    """Every process below `pid`."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *children(child)]
    return found


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param("terminal closed", 129, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_told_to_stop_can_go_on(inside, number, code):
    study = str(write(inside, steps=2_000_000, seeds=2))
    ours, theirs = os.openpty()
    main = "import sys; from emtkit.cli.main import main; sys.argv[0] = 'emtkit'; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", main, "run", study, "-j", "1"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_as_on_a_terminal,
        env={**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
    )
    os.close(theirs)
    until = time.monotonic() + 60
    # The tracker of Python's multiprocessing, the process that workers come from, and a worker.
    while len(below := children(process.pid)) < 3 and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(0.5)
    if number == "terminal closed":
        os.close(ours)
    else:
        process.send_signal(number)
        alarm = threading.Timer(30, process.kill)  # a run that stays ends the wait, and fails
        alarm.start()
        said = _rest(ours)
        alarm.cancel()
        assert "what is done is stored, run again to continue" in said
        assert "Traceback" not in said
    assert process.wait(20) == code
    assert gone(below)
    with Store.open(Path("results/emtkit.sqlite"), writer=True) as store:
        assert store.keys() == ((), ())


def _as_on_a_terminal():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # Whoever runs the tests in the background has told them to ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _rest(terminal: int) -> str:
    said = b""
    try:
        while part := os.read(terminal, 4096):
            said += part
    except OSError:  # the other side is closed
        os.close(terminal)
    return said.decode()
