"""The engine of a Dask cluster: one on this machine, or one that runs already.

One segment is in flight per worker, and it is sent to that worker by name: Dask blames every task
that it has queued for a worker that dies. Messages are bytes; what comes back is an answer.
"""

import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import dask
import distributed

from emtkit.errors import EmtkitError, StoreError
from emtkit.execute.engines import _cluster, _remote
from emtkit.execute.engines.engine import TIMEOUT, Engine, JobResult
from emtkit.execute.messages import decode
from emtkit.plugin.sources import LooseFile
from emtkit.text import printable

POLL_SECONDS = 0.5
FETCH_SECONDS = 60.0
_CONFIG = {
    "distributed.scheduler.allowed-failures": 0,
    # A job carries the states of a whole stack, and is sent once: no reason to warn of its size.
    "distributed.admin.large-graph-warning-threshold": "100GB",
    # So long after a worker was restarted, a cluster of this machine looks whether it is there, and
    # closes it for good if another restart is under way just then.
    "distributed.deploy.lost-worker-timeout": "1000d",
}


def _to_stderr(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)


@dataclass
class _Flight:
    """A job under way."""

    job: int
    worker: str
    future: Any
    begun: float


class DaskEngine(Engine):
    """A cluster at `address`, or (None) one of `workers` processes on this machine.

    `needed` are the plugins whose digests must agree on a worker (all, where it is None). Workers
    that differ are refused, and `say` is told why. `patience` is how many seconds a cluster may be
    without a scheduler or without any worker.

    Raises:
        EmtkitError: no scheduler answers, or no worker can be used.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        workers: int = 1,
        loose: Sequence[LooseFile] = (),
        timeout: float | None = TIMEOUT,
        memory: int | None = None,
        needed: Collection[str] | None = None,
        patience: float = 60.0,
        say: Callable[[str], None] = _to_stderr,
    ) -> None:
        self._loose = {file.path: file for file in loose}
        self._loaded: dict[str, frozenset[str]] = {}
        self._here = _remote.describe()
        self._needed, self._timeout, self._patience, self._say = needed, timeout, patience, say
        self._free: set[str] = set()
        self._asked: dict[str, Any] = {}
        self._flying: dict[int, _Flight] = {}
        self._answers: SimpleQueue[int] = SimpleQueue()
        self.refused: dict[str, list[str]] = {}
        self._polled = 0.0
        self._alone_since = time.monotonic()
        self._scope: Any = dask.config.set(_CONFIG)
        self._cluster = None if address else _cluster.local(workers, memory)
        self._client = _cluster.connect(address or self._cluster, patience)
        self._lost_jobs = _cluster.LostJobs(self._client)
        try:
            _cluster.warn_of_blame(self._client, say)
            self._gather_workers()
        except BaseException:
            self.close()
            raise

    @property
    def workers(self) -> int:
        """How many workers were accepted and are there."""
        return max(1, len(self._free) + len(self._flying))

    @property
    def idle(self) -> int:
        """How many of them are free."""
        return len(self._free)

    def takes(self, loose: frozenset[str]) -> bool:
        """Whether a free worker has loaded exactly these files, or none so far."""
        return self._fitting(loose) is not None

    def renew(self) -> None:
        """Restart a free worker that has loaded a file; one that has no nanny goes on as it is."""
        worker = next((one for one in self._free if self._loaded.get(one)), None)
        if worker is None:
            return
        files = self._loaded.pop(worker)
        try:
            self._client.restart_workers([worker], timeout=30, raise_for_error=False)
            self._free.discard(worker)
        except (ValueError, OSError, TimeoutError) as error:
            self._say(
                f"worker {worker} has loaded {', '.join(sorted(files))} and cannot be restarted "
                f"for other jobs ({error}); start workers with a nanny"
            )

    def _fitting(self, loose: frozenset[str]) -> str | None:
        """A free worker for a job that needs these files: rather one that has loaded them."""
        free = sorted(self._free, key=lambda one: not self._loaded.get(one))
        return next((one for one in free if self._loaded.get(one, loose) == loose), None)

    def submit(self, job: int, data: bytes, loose: frozenset[str] = frozenset()) -> None:
        """Send a job to a free worker, and to no other."""
        worker = self._fitting(loose)
        assert worker is not None
        self._free.discard(worker)
        if loose:
            self._loaded[worker] = loose
        future = self._client.submit(
            _remote.do,
            data,
            tuple(self._loose[path] for path in sorted(loose)),
            self._lost_jobs.name(job),
            workers=[worker],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        self._flying[job] = _Flight(job, worker, future, time.monotonic())
        future.add_done_callback(lambda done: self._answers.put(job))

    def wait(self, seconds: float) -> list[JobResult]:
        """Outcomes of workers that answered, left, died or ran out of time.

        Raises:
            EmtkitError: the scheduler is gone, or no worker has been there for too long.
        """
        until = time.monotonic() + seconds
        while True:
            free = len(self._free)
            outcomes = self._drain(min(POLL_SECONDS, max(0.0, until - time.monotonic())))
            outcomes += self._poll() + self._lost_jobs.over(self._free)
            if outcomes or len(self._free) > free or time.monotonic() >= until:
                return outcomes

    def close(self) -> None:
        """Let go of the cluster; one of our own ends, one that ran before runs on."""
        self._client.close(timeout=5)
        if self._cluster is not None:
            self._cluster.close(timeout=10)
        self._scope.__exit__(None, None, None)

    def _drain(self, seconds: float) -> list[JobResult]:
        """What has come in; waits for the first for `seconds`."""
        outcomes: list[JobResult] = []
        try:
            job = self._answers.get(timeout=seconds)
            while True:
                if job in self._flying:
                    outcomes += self._outcome(self._flying.pop(job))
                job = self._answers.get_nowait()
        except Empty:
            return outcomes

    def _outcome(self, flight: _Flight) -> list[JobResult]:
        """How a finished job ended. Its worker is free again if it is still there."""
        future = flight.future
        if future.status == "cancelled":  # the scheduler went away, and with it all it knew
            why = "the connection to the scheduler broke"
            return [JobResult(flight.job, None, why, innocent=True)]
        try:
            answer = decode(self._fetched(flight))
        except distributed.KilledWorker:
            return self._add_lost(flight, "died, or was ended, while it worked")
        except (StoreError, OSError, TimeoutError) as error:
            return self._add_lost(flight, f"gave an answer that could not be fetched: {error}")
        except Exception as error:  # raised there outside of any cell: memory, an import, a bug
            self._free.add(flight.worker)
            why = f"could not do the job: {type(error).__name__}: {error}"
            return [JobResult(flight.job, None, f"the worker {flight.worker} {why}")]
        self._free.add(flight.worker)
        return [JobResult(flight.job, answer)]

    def _fetched(self, flight: _Flight) -> Any:
        """What a finished job returned, asked for in longer and longer tries.

        Between two of them the scheduler is asked whether the worker is still there: one that has
        died since it finished hands nothing over.
        """
        seconds = FETCH_SECONDS / 32
        while True:
            try:
                return flight.future.result(timeout=seconds)
            except TimeoutError:
                seconds *= 2
                if seconds > FETCH_SECONDS or flight.worker not in self._client.nthreads():
                    raise

    def _add_lost(self, flight: _Flight, why: str) -> list[JobResult]:
        """A lost job is reported later: first its last lines are read."""
        self._lost_jobs.add(flight.job, flight.worker, why)
        return []

    def _poll(self) -> list[JobResult]:
        """See which workers came and which left, now and then."""
        if time.monotonic() - self._polled < POLL_SECONDS:
            return []
        self._polled = time.monotonic()
        if self._client.status == "closed":
            raise EmtkitError(
                f"the Dask scheduler has not answered for {self._patience:g} s; what is done is "
                "stored. Start it and run again to continue"
            )
        try:
            threads = self._client.nthreads() if self._client.status == "running" else {}
        except (OSError, TimeoutError):
            return []
        if self._client.status != "running":  # it is trying to get through again
            self._free.clear()
            self._asked.clear()
            return []
        self._accept_new(threads)
        outcomes = self._find_gone(threads)
        self._interrupt()
        self._give_up_if_alone()
        return outcomes

    def _accept_new(self, threads: dict[str, int]) -> None:
        """Ask every new worker what it is; accept those that compute what this process would."""
        known = {*self._free, *self._asked, *self.refused}
        known |= {flight.worker for flight in self._flying.values()}
        known |= self._lost_jobs.readers
        for worker, count in threads.items():
            if worker in known:
                continue
            if count != 1:
                self._refuse(worker, [f"it has {count} threads; start it with --nthreads 1"])
                continue
            self._asked[worker] = self._client.submit(
                _remote.describe, workers=[worker], pure=False, retries=0
            )
        for worker, future in list(self._asked.items()):
            if not future.done():
                continue
            del self._asked[worker]
            if future.status == "finished":
                there = future.result(timeout=FETCH_SECONDS)
                found = _remote.differences(self._here, there, self._needed)
                if found:
                    self._refuse(worker, found)
                else:
                    self._free.add(worker)
            elif future.status == "error" and not isinstance(
                error := future.exception(timeout=FETCH_SECONDS), distributed.KilledWorker
            ):
                self._refuse(worker, [f"emtkit does not run there: {error}"])

    def _refuse(self, worker: str, why: list[str]) -> None:
        self.refused[worker] = why
        self._say(f"worker {worker} is not used: {'; '.join(why)}")

    def _find_gone(self, threads: dict[str, int]) -> list[JobResult]:
        """Jobs whose worker is there no more; Dask would wait for it for ever."""
        self._free &= threads.keys()
        for gone in self._asked.keys() - threads.keys():
            del self._asked[gone]
        outcomes = self._drain(0.0)  # an answer on its way counts
        for job, flight in list(self._flying.items()):
            if flight.worker not in threads and not flight.future.done():
                del self._flying[job]
                flight.future.cancel(force=True)
                outcomes += self._add_lost(flight, "left the cluster while it worked")
        return outcomes

    def _interrupt(self) -> None:
        """End workers that took too long; only a new process is sure to be free."""
        for job, flight in list(self._flying.items()):
            if self._timeout is None or time.monotonic() - flight.begun <= self._timeout:
                continue
            del self._flying[job]
            flight.future.cancel(force=True)
            try:
                self._client.restart_workers([flight.worker], timeout=30, raise_for_error=False)
            except (ValueError, OSError, TimeoutError) as error:
                self._refuse(flight.worker, [f"it hangs and cannot be restarted: {error}"])
            self._add_lost(flight, f"gave no answer within {self._timeout:g} s (--timeout)")

    def _give_up_if_alone(self) -> None:
        if self._free or self._flying:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > self._patience:
            raise EmtkitError(self._no_worker())

    def _no_worker(self) -> str:
        there = f"`dask worker {self._client.scheduler.address} --nthreads 1`"
        if not self.refused:
            return f"no worker has joined the cluster for {self._patience:g} s; start some: {there}"
        listed = "\n".join(f"  {name}: {'; '.join(why)}" for name, why in self.refused.items())
        return f"no worker of the cluster can be used:\n{listed}\nstart others: {there}"

    def _gather_workers(self) -> None:
        """Wait until one worker is accepted and every one that is there has said what it is."""
        until = time.monotonic() + self._patience
        while time.monotonic() < until:
            self._poll()
            if self._free and not self._asked:
                return
            time.sleep(0.1)
        if not self._free:
            raise EmtkitError(self._no_worker())
