"""A Dask cluster of this machine, or a client of one that runs, and how its scheduler is set."""

from collections.abc import Callable
from typing import Any

import distributed

from emtkit.errors import EmtkitError
from emtkit.execute.engines._forkserver import main_hidden

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


def _allowed_failures(dask_scheduler: Any) -> int:
    return int(dask_scheduler.allowed_failures)
