"""Which engine computes a study, as the command line and a notebook both open it.

Nothing heavy is imported before an engine is opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emtkit.errors import EmtkitError, did_you_mean
from emtkit.execute.engines.engine import TIMEOUT, Engine

if TYPE_CHECKING:
    from emtkit.study.plan import Plan

ENGINES = ("local", "dask")


@dataclass(frozen=True)
class Limits:
    """How many workers, and what each may take: seconds for an answer, bytes of memory.

    `memory` None is an equal share of this machine's.
    """

    jobs: int
    timeout: float = TIMEOUT
    memory: int | None = None

    @property
    def segment(self) -> float:
        """Seconds of training at a time, so that an answer comes long before it is missed."""
        return min(30.0, self.timeout / 4)

    @classmethod
    def of(cls, jobs: int | None, timeout: float, gibibytes: float | None) -> Limits:
        """Limits as a user gives them: `jobs` None is one per allowed core, memory in GiB."""
        memory = None if gibibytes is None else int(gibibytes * 2**30)
        return cls(jobs or allowed_cores(), timeout, memory)


def allowed_cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


@contextmanager
def opened_engine(
    plan: Plan, limits: Limits, name: str = "local", scheduler: str | None = None
) -> Iterator[Engine]:
    """The engine of that name, closed at the end whatever happens.

    Raises:
        EmtkitError: there is no such engine, it is not installed, or it has no `scheduler`.
    """
    with closing(_engine(plan, limits, name, scheduler)) as engine:
        yield engine


def _engine(plan: Plan, limits: Limits, name: str, scheduler: str | None) -> Engine:
    loose = plan.registry.loose
    if name not in ENGINES:
        raise EmtkitError(f"there is no engine '{name}'; {did_you_mean(name, ENGINES)}")
    if name == "local":
        if scheduler is not None:
            raise EmtkitError(
                "a scheduler is where a Dask cluster is; choose the engine dask (--engine dask)"
            )
        from emtkit.execute.engines.local import LocalEngine

        return LocalEngine(limits.jobs, loose, limits.timeout, limits.memory)
    try:
        from emtkit.execute.engines.dask import DaskEngine
    except ModuleNotFoundError as error:
        raise EmtkitError(
            f"the engine dask needs Dask ({error}); install it with: pip install 'emtkit[dask]'"
        ) from error
    return DaskEngine(
        scheduler,
        workers=limits.jobs,
        loose=loose,
        timeout=limits.timeout,
        memory=limits.memory,
        needed={f"{kind} {name}" for kind, name in plan.used},
    )
