"""A Dask cluster of this machine, or a client of one that runs, and jobs whose worker died there.

The last lines of a dead worker are read before its job is given up.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import distributed

from emtkit.errors import EmtkitError
from emtkit.execute.engines import _last_lines
from emtkit.execute.engines._forkserver import main_hidden
from emtkit.execute.engines.engine import JobResult

PATIENCE = 15.0
"""Seconds to wait for a worker on the dead one's machine, where a nanny may start it again."""

_dask: Any = distributed  # its constructors bear no types


def local(workers: int, memory: int | None) -> Any:
    """A scheduler and `workers` processes here, one thread each, at most `memory` bytes each."""
    with main_hidden():
        return _dask.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit="auto" if memory is None else memory,
            dashboard_address=None,
            silence_logs="CRITICAL",
        )


def connect(where: Any, patience: float) -> Any:
    """A client of the scheduler at an address, or of a cluster made here.

    Raises:
        EmtkitError: nothing answers there for `patience` seconds.
    """
    try:
        return _dask.Client(where, timeout=patience, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise EmtkitError(
            f"no Dask scheduler answers at {where} ({error}); start one with `dask scheduler`, or "
            "leave --scheduler out for a cluster on this machine"
        ) from error


def warn_of_blame(client: Any, say: Callable[[str], None]) -> None:
    """A scheduler that runs a killed task again elsewhere kills more than one worker by it."""
    try:
        allowed = client.run_on_scheduler(_allowed_failures)
    except Exception as error:  # emtkit need not be installed where the scheduler is
        say(f"the scheduler's allowed-failures cannot be read ({error}); it should be 0")
        return
    if allowed:
        say(
            f"the scheduler allows {allowed} failures per task; start it with "
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=0, for emtkit counts them itself"
        )


@dataclass
class _Lost:
    """A job that is lost, and the worker that reads its last lines."""

    job: int
    worker: str
    why: str
    since: float
    reader: str = ""
    future: Any = None


class LostJobs:
    """The lost jobs of a client's workers until their last lines were read."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._secret = uuid.uuid4().hex
        self._lost: list[_Lost] = []

    @property
    def readers(self) -> set[str]:
        """Workers that are at it; they are free again afterwards."""
        return {lost.reader for lost in self._lost if lost.reader}

    def name(self, job: int) -> str:
        """Under which a job keeps its last lines."""
        return f"{self._secret}-{job}"

    def add(self, job: int, worker: str, why: str) -> None:
        """A job is lost, for the worker `why`."""
        self._lost.append(_Lost(job, worker, why, time.monotonic()))

    def over(self, free: set[str]) -> list[JobResult]:
        """Lost jobs whose last lines were read, or waited for long enough.

        Readers are taken from the `free` workers, and put back: one task in flight per worker.
        """
        outcomes = []
        for lost in list(self._lost):
            if not lost.reader:
                self._ask(lost, free)
            done = lost.future is not None and lost.future.done()
            if not done and time.monotonic() - lost.since < PATIENCE:
                continue
            self._lost.remove(lost)
            if done:
                free.add(lost.reader)
            tail = lost.future.result() if done and lost.future.status == "finished" else ""
            said = f"; its last lines:\n{tail}" if tail else ""
            outcomes.append(JobResult(lost.job, None, f"the worker {lost.worker} {lost.why}{said}"))
        return outcomes

    def _ask(self, lost: _Lost, free: set[str]) -> None:
        machine = lost.worker.rpartition(":")[0]
        near = next((worker for worker in free if worker.rpartition(":")[0] == machine), None)
        if near is not None:
            free.discard(near)
            lost.reader = near
            name = self.name(lost.job)
            lost.future = self._client.submit(
                _last_lines.read, name, workers=[near], pure=False, retries=0
            )


def _allowed_failures(dask_scheduler: Any) -> int:
    return int(dask_scheduler.allowed_failures)
