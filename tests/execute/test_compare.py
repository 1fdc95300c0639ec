"""Two networks: compared once, stored, found again, and one that breaks breaks alone."""

from __future__ import annotations

from emtkit.execute import queue
from emtkit.execute.messages import CompareJob, decode_job
from emtkit.execute.monitor import Quiet
from emtkit.execute.run import Options, run
from emtkit.store.store import Store
from tests.comparisons import REGISTRY, plan
from tests.inline_engine import InlineEngine


class Watched(InlineEngine):
    """Keeps the comparing jobs that it gets."""

    def __init__(self, registry) -> None:
        super().__init__(registry)
        self.jobs: list[CompareJob] = []
        self.others = 0

    def submit(self, job, data, loose=frozenset()) -> None:
        asked = decode_job(data)[0]
        if isinstance(asked, CompareJob):
            self.jobs.append(asked)
        else:
            self.others += 1
        super().submit(job, data, loose)


def go(planned, path):
    engine = Watched(REGISTRY)
    with Store.open(path, writer=True) as store:
        made = run(planned.known, REGISTRY, store, engine, Quiet(), Options(), planned.pairs)
        keys = [m.key for pair in planned.pairs for m in pair.measures]
        found = store.findings_of(keys)
        weights = {r.cell.key: store.weights(r.cell.key) for r in planned.rows}
    return made, engine, found, weights


def test_every_pair_is_compared_once_and_found_again(tmp_path) -> None:
    planned, path = plan("gap", "step"), tmp_path / "s.sqlite"
    made, engine, found, _ = go(planned, path)
    assert made.clean
    assert len(found) == 15 + 30
    assert made.findings == made.findings_done == 6 + 45
    places = {r.cell.key: r.cell.architecture.parameters["place"] for r in planned.rows}
    for pair in planned.pairs:
        first, second = pair.first.cell.key, pair.second.cell.key
        for measure in pair.measures:
            one = found[measure.key]
            apart = places[second] - places[first]
            wanted = abs(apart) if measure.label == "gap" else apart
            assert abs(one.scalars["distance"] - wanted) <= 0.01
            assert (one.cell, one.identity["second"]) == (first, second)
            assert one.identity["comparison"][0] == measure.label
    again, idle, _, _ = go(planned, path)
    assert again == made
    assert (idle.jobs, idle.others) == ([], 0)
    assert engine.jobs


def test_a_new_comparison_measures_only_itself(tmp_path) -> None:
    path = tmp_path / "s.sqlite"
    go(plan({"use": "gap", "pairs": ["seed"]}), path)
    _, engine, _, _ = go(plan("gap"), path)
    asked = [m.key for job in engine.jobs for s in job.subjects for m in s.measures]
    assert (len(asked), engine.others) == (9, 0)
    _, engine, _, _ = go(plan("gap", seeds=4), path)
    asked = [m.key for job in engine.jobs for s in job.subjects for m in s.measures]
    assert len(asked) == 28 - 15


def test_each_network_is_loaded_once_for_many_pairs(tmp_path) -> None:
    planned = plan("gap", seeds=2 * queue.COMPARE_CELLS)
    _, engine, _, _ = go(planned, tmp_path / "s.sqlite")
    pairs = sum(len(s.measures) for job in engine.jobs for s in job.subjects)
    loads = sum(len(job.subjects) for job in engine.jobs)
    assert pairs == 16 * 31
    # A job of 8 x 8 networks loads 16 of them for 64 pairs.
    assert loads <= pairs / 3
    assert max(len(job.subjects) for job in engine.jobs) <= 2 * queue.COMPARE_CELLS


def test_networks_of_one_task_are_compared_in_jobs_of_their_own(tmp_path) -> None:
    tasks = [{"use": "probe_delay", "grid": {"gain": [1.0, 2.0, 3.0]}}]
    planned = plan("gap", seeds=4, tasks=tasks)
    _, engine, _, _ = go(planned, tmp_path / "s.sqlite")
    assert len(planned.pairs) == 3 * 28
    # 8 networks of a task: a job for each, and none of two tasks.
    assert [len(job.subjects) for job in engine.jobs] == [8, 8, 8]


def test_what_breaks_breaks_alone(tmp_path) -> None:
    planned = plan("gap", "moody")
    made, _, found, _ = go(planned, tmp_path / "s.sqlite")
    of = {
        (m.label, p.first.cell.key, p.second.cell.key): found[m.key]
        for p in planned.pairs
        for m in p.measures
    }
    assert {one.status for (label, *_), one in of.items() if label == "gap"} == {"done"}
    ends = sorted(one.status for (label, *_), one in of.items() if label == "moody")
    assert ends == ["failed"] * 3 + ["not_applicable"] * 12
    assert any("ZeroDivisionError: no mood" in one.error for one in of.values())
    assert any(one.error == "point: too near 0" for one in of.values())
    assert (made.findings_failed, made.findings_not_applicable) == (3, 12)
