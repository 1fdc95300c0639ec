"""The engine of this machine: spawned worker processes, one thread each.

A worker that dies is replaced and its job is reported lost; the others go on. Messages are bytes
(JSON and safetensors) over a pipe.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from emtkit.execute._codec import decode, encode
from emtkit.execute.engines.engine import Engine, Outcome

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class _Worker:
    """One process and the job that it does."""

    def __init__(self, files: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=_serve, args=(theirs, list(files), os.getpid()), daemon=True
        )
        self.process.start()
        theirs.close()
        self.job: int | None = None
        self.begun = 0.0

    def end(self) -> None:
        """Kill it; a job under way is dropped."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


class LocalEngine(Engine):
    """`workers` processes. `timeout` seconds without an answer count as a lost worker."""

    def __init__(
        self, workers: int, files: Sequence[Path] = (), timeout: float | None = None
    ) -> None:
        self._files = [str(path) for path in files]
        self._timeout = timeout
        with _one_thread():
            self._workers = [_Worker(self._files) for _ in range(workers)]

    @property
    def workers(self) -> int:
        """How many processes there are."""
        return len(self._workers)

    @property
    def idle(self) -> int:
        """How many of them have no job."""
        return sum(worker.job is None for worker in self._workers)

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers."""
        return tuple(worker.process.pid or 0 for worker in self._workers)

    def submit(self, job: int, data: bytes) -> None:
        """Give a job to a free worker; one that died in its sleep is replaced first."""
        at = next(at for at, worker in enumerate(self._workers) if worker.job is None)
        try:
            self._workers[at].pipe.send_bytes(data)
        except OSError:
            self._replace(at)
            self._workers[at].pipe.send_bytes(data)
        self._workers[at].job = job
        self._workers[at].begun = time.monotonic()

    def wait(self, seconds: float) -> list[Outcome]:
        """Outcomes of workers that answered, died or ran out of time."""
        busy = {at: worker for at, worker in enumerate(self._workers) if worker.job is not None}
        handles: list[Any] = [worker.pipe for worker in busy.values()]
        handles += [worker.process.sentinel for worker in busy.values()]
        if not handles:
            return []
        ready = set(wait(handles, seconds))
        outcomes = []
        for at, worker in busy.items():
            if worker.pipe in ready or worker.process.sentinel in ready:
                outcomes.append(self._collect(at))
            elif self._timeout and time.monotonic() - worker.begun > self._timeout:
                outcomes.append(self._lose(at, f"no answer within {self._timeout:g} s"))
        return outcomes

    def close(self) -> None:
        """Kill all workers."""
        for worker in self._workers:
            worker.end()
        self._workers = []

    def _collect(self, at: int) -> Outcome:
        worker = self._workers[at]
        try:
            data = worker.pipe.recv_bytes()
        except (EOFError, OSError):
            worker.process.join(5)
            code = worker.process.exitcode
            return self._lose(at, f"the worker process ended with exit code {code}")
        outcome = Outcome(worker.job or 0, decode(data))
        worker.job = None
        return outcome

    def _lose(self, at: int, why: str) -> Outcome:
        job = self._workers[at].job or 0
        self._replace(at)
        return Outcome(job, None, why)

    def _replace(self, at: int) -> None:
        self._workers[at].end()
        with _one_thread():
            self._workers[at] = _Worker(self._files)


@contextlib.contextmanager
def _one_thread() -> Any:
    """Children read these once, when their libraries load."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection, files: list[str], parent: int) -> None:
    """A worker's life: wait for a job, do it, answer; end with the coordinator."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator decides what Ctrl-C means

    def orphaned() -> bool:
        return os.getppid() != parent

    import torch

    from emtkit.execute.work import Work
    from emtkit.plugin.registry import Registry

    torch.set_num_threads(1)
    work = Work(Registry.installed([Path(name) for name in files]), orphaned)
    with contextlib.suppress(EOFError, OSError):
        while True:
            data = pipe.recv_bytes()
            pipe.send_bytes(encode(work.do(data)))
