"""Where worker processes come from: forked from a clean process that has loaded torch and plugins.

So a worker that dies is replaced in a tenth of a second. Nothing heavy is loaded here: the command
line starts this process before it loads torch itself, and both load at the same time.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
COORDINATOR = "EMTKIT_COORDINATOR"
"""Names the process that the fork server belongs to, and with which it ends."""


@cache
def context() -> Any:
    """How processes start: from the fork server where the system has one, else each loads torch."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["emtkit.execute.engines._preload"])
    return found


def begin() -> None:
    """Let the fork server load while others work; without it the first worker waits for that."""
    if context().get_start_method() == "forkserver":
        from multiprocessing.forkserver import ensure_running

        with worker_environment():
            ensure_running()


@contextlib.contextmanager
def worker_environment() -> Iterator[None]:
    """What a child inherits: one thread for each library, no main module, and Ctrl-C blocked, whose
    meaning the coordinator alone decides.
    """
    with _one_thread(), main_hidden(), _interrupts_blocked():
        yield


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Children read these once, when their libraries load."""
    given = {**dict.fromkeys(THREADS, "1"), COORDINATOR: str(os.getpid())}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def main_hidden() -> Iterator[None]:
    """A child imports its parent's main module. Workers need nothing of it, and to import a script
    without a main guard is to run it once more.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """The mask of signals is inherited."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
