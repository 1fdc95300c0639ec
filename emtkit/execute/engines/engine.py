"""What an engine is: somewhere to do jobs, one at a time per worker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emtkit.execute.messages import Answer

TIMEOUT = 3600.0
"""Seconds after which a job that gives no answer is lost, where nobody says otherwise."""


@dataclass(frozen=True)
class JobResult:
    """How one job ended: an answer, or (None) the worker was lost, with its last lines.

    `innocent`: the job had no part in it (the cluster went away); it is done again, uncounted.
    `final`: every worker would lose it; it is not tried again.
    """

    job: int
    answer: Answer | None
    lost: str = ""
    innocent: bool = False
    final: bool = False


class Engine(ABC):
    """Does jobs. `idle` workers are free for one job each; nothing queues inside an engine."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many jobs can be under way."""

    @property
    @abstractmethod
    def idle(self) -> int:
        """How many workers are free now."""

    @abstractmethod
    def takes(self, loose: frozenset[str]) -> bool:
        """Whether a free worker may do a job that needs these loose plugin files and no others.

        A process that has loaded a loose file does no job without it: what the file's code did to
        the process stays with the file's own networks.
        """

    @abstractmethod
    def renew(self) -> None:
        """Let a fresh worker, which takes any job, replace a free one; it is there before long."""

    @abstractmethod
    def submit(self, job: int, data: bytes, loose: frozenset[str] = frozenset()) -> None:
        """Give a job to a free worker that takes it."""

    @abstractmethod
    def wait(self, seconds: float) -> list[JobResult]:
        """Outcomes since the last call; returns at the first one, or after `seconds`."""

    @abstractmethod
    def close(self) -> None:
        """End all workers at once; what they were doing is dropped."""
