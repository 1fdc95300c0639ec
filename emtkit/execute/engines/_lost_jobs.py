"""Jobs of a cluster whose worker died: its last lines are read before they are given up."""

import time
import uuid
from dataclasses import dataclass
from typing import Any

from emtkit.execute.engines import _last_lines
from emtkit.execute.engines.engine import JobResult

PATIENCE = 15.0
"""Seconds to wait for a worker on the dead one's machine, where a nanny may start it again."""


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
