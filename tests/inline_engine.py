"""The engine of this very process."""

import torch

from emtkit.execute.engines.engine import Engine, JobResult
from emtkit.execute.messages import decode_job
from emtkit.execute.worker import Work
from emtkit.plugin.registry import Registry


class InlineEngine(Engine):
    """One worker, which is the caller; it computes with one thread, as every worker does."""

    def __init__(self, registry: Registry) -> None:
        self._work = Work(registry)
        self._outcomes: list[JobResult] = []

    @property
    def workers(self) -> int:
        """One."""
        return 1

    @property
    def idle(self) -> int:
        """One, unless an outcome waits to be fetched."""
        return 0 if self._outcomes else 1

    def takes(self, loose: frozenset[str]) -> bool:
        """Every job: there is one process, and it has loaded all that the registry holds."""
        return True

    def renew(self) -> None:
        """Nothing to renew."""

    def submit(self, job: int, data: bytes, loose: frozenset[str] = frozenset()) -> None:
        """Do the job now."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            self._outcomes.append(JobResult(job, self._work.do(decode_job(data)[0])))
        finally:
            torch.set_num_threads(threads)

    def wait(self, seconds: float) -> list[JobResult]:
        """The outcome, at once."""
        done, self._outcomes = self._outcomes, []
        return done

    def close(self) -> None:
        """Nothing to end."""
