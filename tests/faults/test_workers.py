"""Workers that die, hang, grow or answer nonsense cost their own cell and no other."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import closing

import pytest

from emtkit.errors import EmtkitError
from emtkit.execute.engines.local import LocalEngine
from emtkit.execute.monitor import Monitor, Quiet
from emtkit.execute.run import Options, TooManyFailures, run, run_summary
from emtkit.store.store import Store
from tests.faults.bench import REGISTRY, contents, finish, mishap_cell, row, study
from tests.inline_engine import InlineEngine
from tests.train.fakes import cell


class Killer(Monitor):
    """Kills a worker at random moments, so many times."""

    def __init__(self, engine: LocalEngine, kills: int) -> None:
        self.engine, self.kills, self.chance = engine, kills, random.Random(5)
        self.killed: set[int] = set()

    def update(self, counts, last) -> None:
        busy = [w.process.pid for w in self.engine._workers if w.job is not None]
        alive = [pid for pid in busy if pid not in self.killed]
        if not last and alive and len(self.killed) < self.kills:
            time.sleep(self.chance.uniform(0, 0.05))
            os.kill(alive[0], signal.SIGKILL)
            self.killed.add(alive[0])


@pytest.fixture(scope="module")
def patience(tmp_path_factory):
    """Seconds after which a worker hangs, on this machine as busy as it is now."""
    begun = time.monotonic()
    finish(tmp_path_factory.mktemp("calm") / "s.sqlite", study(2, 20))
    return max(4.0, 40 * (time.monotonic() - begun))


@pytest.fixture(scope="module")
def engine(patience):
    found = LocalEngine(2, REGISTRY.loose, timeout=patience, memory=1500 * 2**20)
    yield found
    found.close()


def go(rows, path, engine, monitor=None, **options):
    with Store.open(path, writer=True) as store:
        return run(rows, REGISTRY, store, engine, monitor or Quiet(), Options(**options))


@pytest.mark.parametrize(
    ("kills", "steps"), [(2, 15), pytest.param(20, 100, marks=pytest.mark.slow)]
)
def test_killed_workers_are_replaced_and_nothing_is_lost(engine, tmp_path, kills, steps):
    rows, whole, path = study(4, steps), tmp_path / "whole.sqlite", tmp_path / "s.sqlite"
    finish(whole, rows)
    killer = Killer(engine, kills)
    found = go(rows, path, engine, killer, segment=0.05, retry=kills)
    assert len(killer.killed) == kills
    assert (found.done, found.lost, found.failed) == (len(rows), 0, 0)
    assert contents(path, rows) == contents(whole, rows)
    with Store.open(path) as store:
        tries = store.attempts_of(r.cell.key for r in rows)
    assert {attempt.outcome for tried in tries.values() for attempt in tried} == {"lost"}
    assert "SIGKILL" in next(iter(tries.values()))[0].text


@pytest.mark.slow
def test_every_mishap_stays_with_its_cell(engine, patience, tmp_path):
    """One study with all of them; the poison is found in its stack by halving."""
    ill = {
        mishap: mishap_cell(0, mishap, 0.2)
        for mishap in ("kill", "hang", "hog", "exit", "raise", "shape", "nan")
    }
    beside = [mishap_cell(seed, "kill", 1.0) for seed in range(3)]
    healthy = [row(one) for one in [*beside, *(cell(seed) for seed in range(2))]]
    rows = [row(one) for one in ill.values()] + healthy
    path, alone = tmp_path / "s.sqlite", tmp_path / "alone.sqlite"
    found = go(rows, path, engine, retry=0)
    assert (found.expected, found.done, found.failed, found.lost) == (12, 5, 4, 3)
    finish(alone, healthy)
    assert contents(path, healthy) == contents(alone, healthy)
    with Store.open(path) as store:
        known = {name: store.cells_of([one.key])[one.key] for name, one in ill.items()}
    assert {name for name, one in known.items() if one.status == "lost"} == {
        "kill",
        "hang",
        "hog",
    }
    said = {name: one.error for name, one in known.items()}
    assert "SIGKILL" in said["kill"]
    assert "about to kill" in said["kill"]
    assert f"no answer within {patience:g} s" in said["hang"]
    assert "GiB of memory, more than its limit of 1.46 GiB" in said["hog"]
    assert "it raised SystemExit(3), which ends a process" in said["exit"]
    assert "architecture 'mishap_fake' of" in said["exit"]
    assert "does not like its task" in said["raise"]
    assert "must be (B, T, O)" in said["shape"]
    assert "not finite at iteration 1" in said["nan"]


def test_an_analysis_that_kills_costs_one_finding(engine, tmp_path):
    looks = ("none", "kill", "raise", "nan", "shape")
    rows = [row(cell(0, task={"gain": 0.2}), looks), row(cell(1), looks)]
    path = tmp_path / "s.sqlite"
    found = go(rows, path, engine, retry=0)
    assert (found.done, found.findings_failed) == (2, 4)
    with Store.open(path) as store:
        ill, well = (
            {m.label: store.findings_of([m.key])[m.key] for m in one.measures} for one in rows
        )
    assert {f.status for f in well.values()} == {"done"}
    assert {name: f.status for name, f in ill.items()} == {
        "none": "done",
        "kill": "lost",
        "raise": "failed",
        "nan": "failed",
        "shape": "failed",
    }
    assert "NaN without a reason" in ill["nan"].error
    assert "`measure` returns Findings" in ill["shape"].error


def test_what_was_lost_is_tried_by_the_next_run(tmp_path):
    """A lost cell and a lost finding are no results; what failed waits for --retry-failed."""
    rows, path = [row(cell(0)), row(mishap_cell(0, "raise", 0.2))], tmp_path / "s.sqlite"

    class Deaf(InlineEngine):
        def wait(self, seconds):
            from emtkit.execute.engines.engine import JobResult

            return [JobResult(done.job, None, "gone") for done in super().wait(seconds)]

    found = go(rows, path, Deaf(REGISTRY), retry=1)
    assert (found.lost, found.done) == (2, 0)
    first = finish(path, rows)
    assert (first.done, first.failed, first.lost) == (1, 1, 0)
    with Store.open(path) as store:
        tries = store.attempts_of(r.cell.key for r in rows)
    assert [attempt.number for attempt in tries[rows[1].cell.key]] == [1, 2, 3]

    class Idle(InlineEngine):
        def submit(self, job, data):
            raise AssertionError("what failed is not tried again unasked")

    assert go(rows, path, Idle(REGISTRY)).failed == 1
    assert finish(path, rows, retry_failed=True).failed == 1


def test_a_run_ends_at_the_failures_it_was_allowed(tmp_path):
    rows = [row(mishap_cell(seed, "raise", 0.2)) for seed in range(3)] + [row(cell(0))]
    path = tmp_path / "s.sqlite"
    with pytest.raises(TooManyFailures, match=r"where 0 are allowed \(--max-failures") as caught:
        finish(path, rows, max_failures=0)
    assert caught.value.exit_code == 1
    assert finish(path, rows, max_failures=3).done == 1


def test_a_cell_without_an_end_is_an_error(tmp_path):
    rows, path = [row(cell(0)), row(cell(1))], tmp_path / "s.sqlite"
    finish(path, rows[:1])
    with Store.open(path) as store, pytest.raises(EmtkitError, match="1 cells of the plan have no"):
        run_summary(rows, store)
    more = [row(cell(0), ("none", "slow"))]
    with Store.open(path) as store, pytest.raises(EmtkitError, match="1 findings of the plan"):
        run_summary(more, store)


def test_workers_that_cannot_start_end_the_run(tmp_path):
    expected = pytest.raises(EmtkitError, match=r"ended as they started.*more than its limit")
    with closing(LocalEngine(1, memory=1)) as engine, expected:
        go([row(cell(0))], tmp_path / "s.sqlite", engine)
