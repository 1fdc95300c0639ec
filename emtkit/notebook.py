"""A run for notebooks and scripts, as the command line gives it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emtkit.execute.engines.engine import TIMEOUT
from emtkit.session import Session, load


def run(
    study: str | Path | Mapping[str, Any],
    *,
    store: str | Path | None = None,
    out: str | Path | None = None,
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
    from emtkit.execute.engines.open import Limits, opened_engine
    from emtkit.execute.monitor import Lines, Quiet
    from emtkit.execute.run import Options

    session = load(study, store=store, out=out, only=only, seeds=seeds)
    limits = Limits.of(jobs, timeout, memory)
    options = Options(
        retry=retry,
        retry_failed=retry_failed,
        max_failures=max_failures,
        tier=tier,
        segment=limits.segment,
    )
    with opened_engine(session.plan, limits, engine, scheduler) as workers:
        session.run(workers, Quiet() if quiet else Lines(sys.stderr), options)
    return session
