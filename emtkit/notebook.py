"""Studies from Python: `emtkit.run` and `emtkit.load` give what the command line shows."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emtkit.execute.engines.engine import TIMEOUT
from emtkit.execute.engines.open import Limits, opened_engine
from emtkit.session import Session
from emtkit.session import open_session as load

__all__ = ["load", "run"]


def run(
    study: str | Path | Mapping[str, Any],
    *,
    store: str | Path | None = None,
    only: str | None = None,
    seeds: str | None = None,
    jobs: int | None = None,
    tier: str | None = None,
    engine: str = "local",
    scheduler: str | None = None,
    retry: int = 1,
    retry_failed: bool = False,
    max_failures: int | None = None,
    timeout: float = TIMEOUT,
    memory: float | None = None,
    quiet: bool = False,
) -> Session:
    """Train and measure what is missing, as `emtkit run` does with the options of these names.

    `jobs` worker processes (default: one per core that this process may use), each given `timeout`
    seconds for an answer and `memory` GiB (default: an equal share of the machine's).

    Raises:
        StudyError: every mistake of the study, together.
        StoreError: another run writes to the store, or it is damaged.
        EmtkitError: no such engine or tier, or more than `max_failures` cells failed.
    """
    from emtkit.execute.monitor import Lines, Quiet
    from emtkit.execute.run import Options

    session = load(study, store=store, only=only, seeds=seeds)
    options = Options(retry=retry, retry_failed=retry_failed, max_failures=max_failures, tier=tier)
    limits = Limits.of(jobs, timeout, memory)
    with opened_engine(session.plan, limits, engine, scheduler) as workers:
        session.run(workers, Quiet() if quiet else Lines(sys.stderr), options)
    return session
