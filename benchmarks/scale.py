"""How plan, store, coordinator and report grow with the number of cells; training is a stub.

    python benchmarks/scale.py            # 12,500 to 100,000 cells: seconds, memory, bytes
    python benchmarks/scale.py workers    # 64 simulated workers with stacks of 5 s: utilisation

The stub answers every job at once (or after 5 s) with weights of the right size and a finding per
analysis; everything else - plan, packing, messages, commits, frame - is the real thing.
"""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from emtkit.execute.engines.engine import Engine, JobResult
from emtkit.execute.messages import (
    Answer,
    MeasureJob,
    ShapeJob,
    TrainJob,
    decode,
    decode_job,
    encode,
)
from emtkit.execute.monitor import Counts, Quiet
from emtkit.execute.run import Options, run
from emtkit.plugin.registry import Registry
from emtkit.report.data.frame import read_results
from emtkit.store.content import pack
from emtkit.store.records import CellResult, FindingResult, identity_of
from emtkit.store.store import Store
from emtkit.study.cells import Cell
from emtkit.study.plan import plan_study
from emtkit.train.grouping import inspect_shape

REGISTRY = Registry.installed()
WEIGHTS = save({"W_hh": np.zeros((8, 8), np.float32), "W_uh": np.zeros((8, 1), np.float32)})
HISTORY = pack({}, {"loss": np.zeros(100)})
LOOK_SECONDS = 0.05
CONTENT = pack({}, {"eigenvalues": np.zeros(8)})


def answer(data: bytes) -> bytes:
    """What a worker would say, without having worked."""
    job, _ = decode_job(data)
    if isinstance(job, ShapeJob):
        return encode(Answer(shapes=tuple(inspect_shape(c, REGISTRY) for c in job.cells)))
    if isinstance(job, TrainJob):
        return encode(Answer(cells=tuple(cell_result(cell) for cell in job.cells)))
    assert isinstance(job, MeasureJob)
    keys = []
    for subject in job.subjects:
        judged = () if subject.evaluation_spec is None else (subject.evaluation_spec.key,)
        asked = (*judged, *(measure.key for measure in subject.measures))
        keys += [(key, subject.cell.key) for key in asked]
    return encode(Answer(findings=tuple(finding(key, cell) for key, cell in keys)))


def cell_result(cell: Cell) -> CellResult:
    return CellResult(
        cell.key,
        identity_of(cell),
        "done",
        weights=WEIGHTS,
        history=HISTORY,
        scalars={"loss": 0.1, "steps": 100},
        tier="stub",
    )


def finding(key: str, cell: str) -> FindingResult:
    return FindingResult(key, cell, {"analysis": "stub"}, "done", {"radius": 0.9}, CONTENT)


class Stub(Engine):
    """`count` workers that answer after `seconds`, in this process and in real time.

    What a real worker's machine would do, the answer, costs this one nothing: it is made before.
    """

    def __init__(self, count: int, seconds: float) -> None:
        self.count, self.seconds = count, seconds
        self.flying: list[tuple[float, int, bytes]] = []
        self.busy = self.away = self.away_cpu = 0.0

    @property
    def workers(self) -> int:
        return self.count

    @property
    def idle(self) -> int:
        return self.count - len(self.flying)

    def takes(self, loose: frozenset[str]) -> bool:
        return True

    def renew(self) -> None:
        pass

    def submit(self, job: int, data: bytes, loose: frozenset[str] = frozenset()) -> None:
        begun, cpu = time.monotonic(), time.process_time()
        said = answer(data)
        self.away += time.monotonic() - begun
        self.away_cpu += time.process_time() - cpu
        takes = LOOK_SECONDS if isinstance(decode_job(data)[0], ShapeJob) else self.seconds
        self.flying.append((time.monotonic() + min(takes, self.seconds), job, said))
        self.busy += min(takes, self.seconds)

    def wait(self, seconds: float) -> list[JobResult]:
        if self.flying:
            time.sleep(max(0.0, min(seconds, self.flying[0][0] - time.monotonic())))
        now = time.monotonic()
        done = [entry for entry in self.flying if entry[0] <= now]
        self.flying = [entry for entry in self.flying if entry[0] > now]
        return [JobResult(job, decode(data)) for _, job, data in done]

    def close(self) -> None:
        pass


def study(cells: int) -> dict[str, object]:
    densities = [round(0.05 * k, 2) for k in range(1, 21)]
    return {
        "seeds": cells // 20,
        "tasks": [{"use": "k_delay", "delay": 3, "grid": {"density": densities}}],
        "architectures": [{"use": "elman", "hidden": 8}],
        "analyses": ["spectrum"],
    }


def measure(cells: int) -> dict[str, float]:
    """Seconds of each stage, bytes of the store, and peak memory, for one number of cells."""
    found: dict[str, float] = {"cells": cells}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.sqlite"
        begun = time.perf_counter()
        plan = plan_study(study(cells), REGISTRY)
        found["plan_s"] = time.perf_counter() - begun
        for stage in ("run_s", "rerun_s"):
            begun = time.perf_counter()
            engine = Stub(8, 0.0)
            with Store.open(path, writer=True) as store:
                run(plan.rows, REGISTRY, store, engine, Quiet(), Options())
            found[stage] = time.perf_counter() - begun - engine.away
        found["store_mb"] = path.stat().st_size / 1e6
        begun = time.perf_counter()
        with Store.open(path) as store:
            frame = read_results(plan.rows, store).frame
        found["frame_s"] = time.perf_counter() - begun
        assert len(frame) == cells
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {name: round(value, 2) for name, value in found.items()}


class Trained(Exception):
    """Enough was given out."""


def utilisation(workers: int = 64, seconds: float = 5.0, stacks: int = 8) -> None:
    """Busy share of simulated workers: `stacks` segments of up to 64 cells for every worker."""
    plan = plan_study(study(workers * stacks * 64), REGISTRY)
    engine = Stub(workers, seconds)
    enough = workers * stacks * seconds

    class Watch(Quiet):
        def update(self, counts: Counts, last: bool) -> None:
            if engine.busy >= enough:
                raise Trained

    with (
        tempfile.TemporaryDirectory() as folder,
        Store.open(Path(folder) / "s.sqlite", writer=True) as store,
    ):
        begun, cpu = time.monotonic(), time.process_time()
        with contextlib.suppress(Trained):
            run(plan.rows, REGISTRY, store, engine, Watch(), Options())
        now, used = time.monotonic(), time.process_time() - cpu - engine.away_cpu
        # The last wave is under way; what of it is past counts.
        busy = engine.busy - sum(max(0.0, until - now) for until, _, _ in engine.flying)
    share = busy / ((now - begun - engine.away) * workers)
    said = f"{workers} workers, stacks of {seconds:g} s"
    jobs = engine.busy / seconds
    print(
        f"{said}: {100 * share:.1f} % busy over {now - begun:.0f} s; the coordinator computed "
        f"{1000 * used / jobs:.1f} ms per stack, {100 * used / jobs * workers / seconds:.0f} % "
        "of a core when all are busy"
    )


def main() -> None:
    if sys.argv[1:] == ["workers"]:
        utilisation()
    elif sys.argv[1:]:
        print(json.dumps(measure(int(sys.argv[1]))))
    else:
        for cells in (12_500, 25_000, 50_000, 100_000):  # each in its own process, for its memory
            asked = [sys.executable, __file__, str(cells)]
            print(subprocess.run(asked, check=True, capture_output=True, text=True).stdout, end="")


if __name__ == "__main__":
    main()
