"""Studies from Python: `emtkit.run` and `emtkit.load` give what the command line shows."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emtkit.session import Session, open_session

Study = str | Path | Mapping[str, Any]


def load(
    study: Study,
    *,
    store: str | Path | None = None,
    only: str | None = None,
    seeds: str | None = None,
) -> Session:
    """A study (a file's path, or its content as a dict) beside what is stored of it.

    Nothing is trained. `only` and `seeds` choose a part, as `--only` and `--seeds` do.

    Raises:
        StudyError: every mistake of the study, together.
    """
    source = Path(study) if isinstance(study, str) else study
    return open_session(
        source, store=None if store is None else Path(store), only=only, seeds=seeds
    )


def run(
    study: Study,
    *,
    store: str | Path | None = None,
    only: str | None = None,
    seeds: str | None = None,
    jobs: int | None = None,
    quiet: bool = False,
) -> Session:
    """Train and measure what is missing, with `jobs` processes (default: one per core).

    In a script, call it below `if __name__ == "__main__":`, since the processes are spawned.

    Raises:
        StudyError: every mistake of the study, together.
        StoreError: another run writes to the store, or it is damaged.
    """
    from emtkit.execute.engines.local import LocalEngine
    from emtkit.execute.monitor import Lines, Quiet
    from emtkit.execute.run import Options

    session = load(study, store=store, only=only, seeds=seeds)
    engine = LocalEngine(jobs or os.cpu_count() or 1, session.registry.loose)
    try:
        session.run(engine, Quiet() if quiet else Lines(sys.stderr), Options())
    finally:
        engine.close()
    return session
