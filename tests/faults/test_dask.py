"""A Dask cluster over TCP whose workers share nothing: they die, differ, leave; nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from emtkit.errors import EmtkitError
from emtkit.execute.engines._remote import describe, differences
from emtkit.execute.monitor import Monitor, Quiet
from emtkit.execute.run import Options, run
from emtkit.store.store import Store
from tests.faults.bench import REGISTRY, contents, finish, mishap_cell, row, study
from tests.train.fakes import cell

pytestmark = pytest.mark.filterwarnings("default")  # those of other people's clusters


class Cluster:
    """A scheduler and workers as `dask` itself starts them, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        self.processes: list[subprocess.Popen] = []
        self.workers: list[subprocess.Popen] = []
        self.start_scheduler()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start_scheduler(self) -> None:
        port = ["--port", str(self.port), "--no-dashboard"]
        self.scheduler = self._start("dask_scheduler", *port)

    def start_worker(self, threads: int = 1, **environment: str) -> subprocess.Popen:
        asked = ["--nthreads", str(threads), "--no-nanny", "--no-dashboard"]
        worker = self._start("dask_worker", self.address, *asked, **environment)
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def _start(self, module: str, *arguments: str, **more: str) -> subprocess.Popen:
        own = self.folder / str(len(self.processes))
        own.mkdir()
        root = Path(__file__).parents[2]
        path = os.pathsep.join([str(root / "plugins"), str(root), os.environ.get("PYTHONPATH", "")])
        log = (own / "log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
            cwd=own,
            env={
                **os.environ,
                "PYTHONPATH": path,
                "OMP_NUM_THREADS": "1",
                "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
                **more,
            },
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        log.close()
        self.processes.append(process)
        return process


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    found = Cluster(tmp_path_factory.mktemp("cluster"))
    for _ in range(2):
        found.start_worker()
    yield found
    found.close()


def engine(cluster, **more):
    from emtkit.execute.engines.dask import DaskEngine

    return DaskEngine(cluster.address, loose=REGISTRY.loose, say=lambda text: None, **more)


def go(rows, path, at, monitor=None, **options):
    with Store.open(path, writer=True) as store:
        try:
            return run(rows, REGISTRY, store, at, monitor or Quiet(), Options(**options))
        finally:
            at.close()


class Killer(Monitor):
    """Kills a worker now and then, and starts another in its place."""

    def __init__(self, cluster: Cluster, engine, kills: int) -> None:
        self.cluster, self.engine = cluster, engine
        self.kills, self.chance = kills, random.Random(2)
        self.done = 0

    def update(self, counts, last) -> None:
        both = len(self.engine._free) + len(self.engine._flying) >= 2
        if last or self.done >= self.kills or not both:
            return
        time.sleep(self.chance.uniform(0.0, 0.5))
        victim = self.cluster.workers.pop(0)
        victim.send_signal(signal.SIGKILL)
        self.cluster.start_worker()
        self.done += 1
        until = time.monotonic() + 60
        while victim.poll() is None or len(self.engine._client.nthreads()) < 2:
            assert time.monotonic() < until
            time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, 8])
def test_killed_workers_of_a_cluster_lose_nothing(cluster, tmp_path, kills):
    rows = study() if kills == 1 else study(4, 3_000)[:4]
    path, whole = tmp_path / "s.sqlite", tmp_path / "whole.sqlite"
    at = engine(cluster)
    killer = Killer(cluster, at, kills)
    found = go(rows, path, at, killer, segment=0.1, retry=kills)
    assert killer.done == kills
    assert (found.done, found.failed, found.lost) == (len(rows), 0, 0)
    finish(whole, rows)
    assert contents(path, rows) == contents(whole, rows)


@pytest.mark.slow
def test_an_answer_that_died_with_its_worker_is_not_waited_for(cluster):
    from emtkit.execute.engines.dask import _Flight

    at = engine(cluster)
    try:
        address, process = next(iter(at._client.run(os.getpid).items()))
        future = at._client.submit(bytes, 1000, workers=[address], pure=False)
        while not future.done():
            time.sleep(0.1)
        os.kill(process, signal.SIGKILL)
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            at._fetched(_Flight(0, address, future, begun))
        assert time.monotonic() - begun < 20
    finally:
        at.close()
        cluster.start_worker()


@pytest.mark.slow
def test_a_scheduler_that_starts_again(cluster, tmp_path):
    rows, path, whole = study(4, 200), tmp_path / "s.sqlite", tmp_path / "whole.sqlite"

    class Restart(Monitor):
        done = False

        def update(self, counts, last) -> None:
            if at._flying and not self.done:
                cluster.scheduler.kill()
                cluster.scheduler.wait()
                cluster.start_scheduler()
                cluster.workers = []
                cluster.start_worker()
                cluster.start_worker()
                self.done = True

    monitor, at = Restart(), engine(cluster)
    found = go(rows, path, at, monitor, segment=0.1)
    assert monitor.done
    assert (found.done, found.lost) == (len(rows), 0)
    finish(whole, rows)
    assert contents(path, rows) == contents(whole, rows)


@pytest.mark.slow
def test_a_coordinator_killed_over_tcp(cluster, victims, tmp_path):
    rows, path, whole = study(4, 1000), tmp_path / "s.sqlite", tmp_path / "whole.sqlite"
    for _ in range(3):
        before = path.stat().st_size if path.exists() else 0
        pid = victims.start(path, "dask", steps=1000, segment=0.1, address=cluster.address)
        until = time.monotonic() + 60
        while not path.exists() or path.stat().st_size <= before:  # until it has stored something
            assert time.monotonic() < until
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        assert victims.hear("ended") == signal.SIGKILL
    found = go(rows, path, engine(cluster))
    assert found.done == len(rows)
    finish(whole, rows)
    assert contents(path, rows) == contents(whole, rows)


@pytest.mark.slow
def test_a_cluster_of_this_machine_with_poison_and_a_hang(tmp_path):
    """Nannies start what died or hung again; mishaps stay with their cells."""
    from emtkit.execute.engines.dask import DaskEngine

    ill = [row(mishap_cell(0, mishap, 0.2)) for mishap in ("kill", "hang", "raise")]
    healthy = [row(cell(seed)) for seed in range(3)]
    path, whole = tmp_path / "s.sqlite", tmp_path / "whole.sqlite"
    at = DaskEngine(workers=2, loose=REGISTRY.loose, timeout=5, say=lambda text: None)
    found = go(ill + healthy, path, at, retry=0)
    assert (found.done, found.failed, found.lost) == (3, 1, 2)
    with Store.open(path) as store:
        kill, hang = (store.cells_of([r.cell.key])[r.cell.key].error for r in ill[:2])
    assert "died, or was ended" in kill
    assert "about to kill" in kill  # its last line, read by another worker of the machine
    assert "no answer within 5 s" in hang
    assert "about to hang" in hang
    finish(whole, healthy)
    assert contents(path, healthy) == contents(whole, healthy)


def test_workers_with_more_threads_are_refused(cluster):
    broad = cluster.start_worker(threads=2)
    said: list[str] = []
    from emtkit.execute.engines.dask import DaskEngine

    at = DaskEngine(cluster.address, loose=REGISTRY.loose, say=said.append)
    until = time.monotonic() + 30
    while not at.refused and time.monotonic() < until:
        at.wait(0.5)
    at.close()
    broad.kill()
    cluster.workers.remove(broad)
    (why,) = at.refused.values()
    assert why == ["it has 2 threads; start it with --nthreads 1"]
    assert "is not used: it has 2 threads" in said[0]


def test_what_differs_is_listed_by_name():
    here = describe()
    assert differences(here, here, None) == []
    plugins = {name: digest for name, digest in here["plugins"].items() if "elman" not in name}
    there = {**here, "torch": "2.0.0", "tiers": ["loop"], "plugins": {**plugins, "task hds": "0"}}
    found = differences(here, there, None)
    assert found[0] == f"torch: {here['torch']} here, 2.0.0 there"
    assert "tier vmap: not there" in found
    assert "architecture elman: not there" in found
    assert f"task hds: {here['plugins']['task hds']} here, 0 there" in found
    assert differences(here, {**there, "torch": here["torch"], "tiers": here["tiers"]}, ["x"]) == []


def test_no_scheduler_is_said_at_once():
    from emtkit.execute.engines.dask import DaskEngine

    with pytest.raises(EmtkitError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        DaskEngine("tcp://127.0.0.1:9", patience=1.0)


MARKING = '''"""A network that leaves a mark on its process, and does not stand another's."""

import os

from emtkit import hookimpl
from emtkit_std.architectures.elman import Elman


class Marking(Elman):
    """h_t = tanh(h_{{t-1}} W_hh' + u_t W_uh')."""

    name = "{name}"

    def step(self, state, inputs):
        assert os.environ.setdefault("EMTKIT_MARK", "{name}") == "{name}", "two in one process"
        return super().step(state, inputs)


@hookimpl
def emtkit_architectures():
    return [Marking]
'''


@pytest.mark.slow
def test_a_worker_starts_anew_between_the_files_of_two_plugins(tmp_path):
    """One worker for both files: without a restart the second would meet the first one's mark."""
    from emtkit.execute.engines.dask import DaskEngine
    from emtkit.study.plan import plan_study

    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(MARKING.format(name=name))
    document = {
        "plugins": [str(tmp_path / "one.py"), str(tmp_path / "two.py")],
        "tasks": ["k_delay"],
        "architectures": [{"use": one, "hidden": 3} for one in ("one", "two", "elman")],
        "training": {"steps": 3},
        "seeds": 2,
    }
    plan = plan_study(document)
    said: list[str] = []
    engine = DaskEngine(workers=1, loose=plan.registry.loose, timeout=60, say=said.append)
    rows = list(plan.rows)
    try:
        with Store.open(tmp_path / "s.sqlite", writer=True) as store:
            found = run(rows, plan.registry, store, engine, Quiet(), Options())
    finally:
        engine.close()
    assert (found.done, found.failed, found.lost) == (6, 0, 0)
    assert said == []
