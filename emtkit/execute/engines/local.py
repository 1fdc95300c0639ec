"""The engine of this machine: worker processes, one thread each.

A worker loads no loose plugin file before a job needs it, and then does jobs of that file alone.

A worker that dies, hangs or takes too much memory is replaced and its job is reported lost; the
others go on. Messages are bytes (JSON and safetensors) over a pipe.
"""

import time
from collections.abc import Sequence
from multiprocessing.connection import wait
from typing import Any

from emtkit.errors import EmtkitError, StoreError
from emtkit.execute.engines._worker import READY, Worker, resident
from emtkit.execute.engines.engine import TIMEOUT, Engine, JobResult
from emtkit.execute.messages import decode
from emtkit.plugin.sources import LooseFile
from emtkit.study.memory import memory_limit

START_SECONDS = 120.0
MOST_FAILED_STARTS = 3
POLL_SECONDS = 0.2


class LocalEngine(Engine):
    """`workers` processes. `timeout` seconds without an answer count as a lost worker, and so do
    more than `memory` bytes (default: an equal share of nine tenths of what this process may use).
    """

    def __init__(
        self,
        workers: int,
        loose: Sequence[LooseFile] = (),
        timeout: float | None = TIMEOUT,
        memory: int | None = None,
    ) -> None:
        self._loose = tuple(loose)
        self._timeout = timeout
        self._memory = memory or memory_limit() * 9 // 10 // workers
        self._failed_starts = 0
        self._count = workers
        self._workers: list[Worker] = []

    @property
    def workers(self) -> int:
        """How many processes there are, or will be."""
        return self._count

    @property
    def idle(self) -> int:
        """How many of them wait for a job; they start when this is read for the first time."""
        self._start()
        return sum(worker.is_free for worker in self._workers)

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers."""
        self._start()
        return tuple(worker.process.pid or 0 for worker in self._workers)

    def takes(self, loose: frozenset[str]) -> bool:
        """Whether a free worker has loaded exactly these files, or none so far."""
        return self._fitting(loose) is not None

    def renew(self) -> None:
        """Replace a free worker that has loaded a file."""
        for at, worker in enumerate(self._workers):
            if worker.is_free and worker.loose:
                worker.end()
                self._workers[at] = Worker(self._loose)
                return

    def submit(self, job: int, data: bytes, loose: frozenset[str] = frozenset()) -> None:
        """Give a job to a free worker that takes it."""
        worker = self._fitting(loose)
        assert worker is not None
        worker.give(job, data, loose)

    def _fitting(self, loose: frozenset[str]) -> Worker | None:
        free = [worker for worker in self._workers if worker.is_free]
        same = [worker for worker in free if worker.loose == loose]
        return next(iter(same or [worker for worker in free if not worker.loose]), None)

    def wait(self, seconds: float) -> list[JobResult]:
        """Outcomes of workers that answered, died, hung or grew too large.

        Raises:
            EmtkitError: workers end as they start, again and again.
        """
        until = time.monotonic() + seconds
        while True:
            busy, free = any(w.job is not None for w in self._workers), self.idle
            left = until - time.monotonic()
            handles: list[Any] = [worker.pipe for worker in self._workers]
            handles += [worker.process.sentinel for worker in self._workers]
            ready = set(wait(handles, max(0.0, min(POLL_SECONDS, left))))
            outcomes = []
            for at, worker in enumerate(self._workers):
                said = worker.pipe in ready
                if said or worker.process.sentinel in ready:
                    outcomes += self._read(at)
                elif excess := self._excess(worker):
                    outcomes += self._lose(at, excess)
            if outcomes or self.idle > free or left <= 0 or not (busy or free < self.workers):
                return outcomes

    def close(self) -> None:
        """Kill all workers."""
        self._count = 0
        while self._workers:
            self._workers.pop().end()

    def _start(self) -> None:
        """A study that is finished already starts none."""
        while len(self._workers) < self._count:
            self._workers.append(Worker(self._loose))

    def _read(self, at: int) -> list[JobResult]:
        """Read what a worker sent: that it is ready, an answer, or the end of the pipe."""
        worker = self._workers[at]
        try:
            data = worker.pipe.recv_bytes()
            if data == READY:
                if excess := self._excess(worker):  # it may do its job before the next look
                    return self._lose(at, excess)
                worker.ready, self._failed_starts = True, 0
                return []
            answer = decode(data)
        except (EOFError, OSError):
            return self._lose(at)
        except StoreError as error:
            return self._lose(at, str(error))
        job, worker.job = worker.job, None
        return [] if job is None else [JobResult(job, answer)]

    def _excess(self, worker: Worker) -> str:
        """What a worker takes too much of, time or memory; else nothing."""
        worker.log.cut()
        limit = self._timeout if worker.ready else START_SECONDS
        waited_for = worker.job is not None or not worker.ready
        if limit and waited_for and time.monotonic() - worker.begun > limit:
            return f"no answer within {limit:g} s (--timeout)"
        held = resident(worker.process.pid or 0)
        if held is not None and held > self._memory:
            return (
                f"the worker took {held / 2**30:.2f} GiB of memory, more than its limit of "
                f"{self._memory / 2**30:.2f} GiB"
            )
        return ""

    def _lose(self, at: int, why: str = "") -> list[JobResult]:
        """Replace a worker; its job, if it had one, is lost."""
        worker = self._workers[at]
        if why:
            worker.process.kill()
        cause = worker.cause_of_death(why)
        worker.end()
        self._failed_starts += not worker.ready
        if self._failed_starts >= MOST_FAILED_STARTS:
            raise EmtkitError(
                f"{self._failed_starts} worker processes ended as they started, so nothing can be "
                f"computed here; {cause}"
            )
        self._workers[at] = Worker(self._loose)
        if worker.job is None:
            return []
        return [JobResult(worker.job, None, cause, innocent=not worker.took_job)]
