"""A coordinator that is killed, told to stop, out of disk or not alone loses nothing stored."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from emtkit.errors import StoreError
from emtkit.store.maintenance import salvage, verify
from tests.faults.bench import contents, finish, study


@dataclass(frozen=True)
class Whole:
    """What an undisturbed run gives, in how many seconds and bytes."""

    contents: dict[str, object]
    seconds: float
    size: int


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(pids: list[int], seconds: float = 10.0) -> bool:
    until = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(alive(pid) for pid in pids)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "s.sqlite"
    begun = time.monotonic()
    finish(path, study(), segment=0.02)
    return Whole(contents(path, study()), time.monotonic() - begun, path.stat().st_size)


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_a_coordinator_killed_at_any_moment_loses_nothing(victims, undisturbed, tmp_path, kills):
    chance, path, met = random.Random(7), tmp_path / "s.sqlite", 0
    stored: dict[str, object] = {}
    for number in range(kills):
        if len(stored) == len(
            undisturbed.contents
        ):  # it got to the end in spite of us: begin again
            path, stored = tmp_path / f"s{number}.sqlite", {}
        pid = victims.start(path)
        time.sleep(chance.uniform(0, undisturbed.seconds))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        met += victims.hear("ended") == signal.SIGKILL
        if path.exists() and path.stat().st_size:
            now = contents(path, study())
            assert stored.items() <= now.items()
            stored = now
            assert not verify(path).faults
    assert met >= kills // 2
    finish(path, study())
    assert contents(path, study()) == undisturbed.contents


@pytest.mark.parametrize("kills", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_workers_end_with_a_killed_coordinator(victims, undisturbed, tmp_path, kills):
    chance, path = random.Random(3), tmp_path / "s.sqlite"
    for _ in range(kills):
        pid = victims.start(path, "local", workers=1)
        pids = victims.hear("pids")
        time.sleep(chance.uniform(0.0, 0.4))  # the workers run now; the study is soon over
        os.kill(pid, signal.SIGKILL)
        victims.hear("ended")
        assert gone(pids)
    finish(path, study())
    assert contents(path, study()) == undisturbed.contents


def test_a_full_disk_ends_the_run_and_keeps_what_is_stored(victims, undisturbed, tmp_path):
    path = tmp_path / "s.sqlite"
    victims.start(path, limit=undisturbed.size - 3 * 4096)
    code, said = victims.result()
    assert code == 4
    assert "nothing of this commit was stored, all before it is safe" in said
    before = contents(path, study())
    assert before.items() < undisturbed.contents.items()
    assert not verify(path).faults
    finish(path, study())
    assert contents(path, study()) == undisturbed.contents


def test_two_runs_at_once_on_one_store(victims, undisturbed, tmp_path):
    path = tmp_path / "s.sqlite"
    pid = victims.start(path, steps=4000)
    until = time.monotonic() + 20
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.02)
    with pytest.raises(StoreError, match=f"process {pid} on host .* is writing to it"):
        finish(path, study())
    os.kill(pid, signal.SIGKILL)
    victims.hear("ended")
    finish(path, study())
    assert contents(path, study()) == undisturbed.contents


def test_a_clock_that_runs_backwards(victims, undisturbed, tmp_path):
    path = tmp_path / "s.sqlite"
    victims.start(path, clock=True)
    assert victims.result() == (0, "")
    assert contents(path, study()) == undisturbed.contents


@pytest.mark.parametrize("cut", ["truncated", "noise", "journal"])
def test_a_damaged_store_is_refused_before_training_and_can_be_saved(undisturbed, tmp_path, cut):
    path, out = tmp_path / "s.sqlite", tmp_path / "out.sqlite"
    finish(path, study())
    data = bytearray(path.read_bytes())
    if cut == "truncated":
        data = data[: len(data) // 2]
    else:
        middle = len(data) // 2 // 4096 * 4096
        data[middle : middle + 4096] = random.Random(1).randbytes(4096)
    if cut == "journal":
        path.with_name(path.name + "-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" * 40)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="the store is damaged"):
        finish(path, study())
    assert path.read_bytes() == data
    salvage(path, out)
    assert contents(out, study()).items() <= undisturbed.contents.items()
    finish(out, study())
    assert contents(out, study()) == undisturbed.contents
