"""The process that workers are forked from: it loads early, and never outlives its command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emtkit.execute.engines import _forkserver
from tests.faults.test_cli import children
from tests.faults.test_coordinator import gone

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="the processes of this system cannot be seen"
)

BEGIN = (
    "import os, sys, time; from emtkit.execute.engines import _forkserver; _forkserver.begin(); "
)


def began(rest: str) -> tuple[subprocess.Popen[str], list[int], str]:
    """A process that has begun a nursery: itself, those below it, and what it says then."""
    code = f"{BEGIN}print([n for n in ('torch', 'numpy') if n in sys.modules], flush=True); {rest}"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as out:
        said = out.readline()
    return process, children(process.pid), said


def test_it_begins_without_loading_anything_here_and_ends_with_its_command():
    process, below, said = began("time.sleep(0.3)")
    assert said == "[]\n"
    assert below
    assert process.wait(20) == 0
    assert gone(below)


def test_a_command_that_is_killed_while_it_loads_leaves_no_process():
    process, below, _ = began("time.sleep(60)")
    assert below
    os.kill(process.pid, signal.SIGKILL)
    process.wait(20)
    assert gone(below)


def test_what_children_inherit_is_taken_back(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv(_forkserver.COORDINATOR, raising=False)
    before = dict(os.environ)
    with _forkserver.worker_environment():
        assert {os.environ[name] for name in _forkserver.THREADS} == {"1"}
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert dict(os.environ) == before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_study_that_is_wrong_leaves_no_process(tmp_path):
    (tmp_path / "bad.yaml").write_text("tasks: [nothing]\narchitectures: [elman]\n")
    asked = [sys.executable, "-m", "emtkit", "run", "bad.yaml"]
    process = subprocess.Popen(asked, stderr=subprocess.DEVNULL, cwd=tmp_path)
    seen: set[int] = set()
    while process.poll() is None:
        seen.update(children(process.pid))
        time.sleep(0.02)
    assert process.returncode == 2
    assert gone(sorted(seen))
