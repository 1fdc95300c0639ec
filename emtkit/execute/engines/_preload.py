"""What the fork server loads before it forks workers; importing this module is the loading.

Python's fork server looks at its parent only once it serves. Loading takes seconds, and a command
that has ended meanwhile (a mistake in the study, Ctrl-C) must leave no process behind. Nothing that
is loaded may touch an accelerator: a process forked later could not use it.
"""

import contextlib
import os
import signal

from emtkit.execute.engines._forkserver import COORDINATOR
from emtkit.plugin.guard import EXIT

POLL_SECONDS = 0.05


def _load() -> None:
    import emtkit.execute.worker  # noqa: F401
    from emtkit.plugin.registry import Registry

    # Two owners of a name, say: the coordinator finds it too, and reports it.
    with contextlib.suppress(Exception):
        Registry.installed()


def _load_while_needed(coordinator: int) -> None:
    def poll(number: int, frame: object) -> None:
        if os.getppid() != coordinator:
            EXIT(1)

    before = signal.signal(signal.SIGALRM, poll)
    signal.siginterrupt(signal.SIGALRM, False)
    signal.setitimer(signal.ITIMER_REAL, POLL_SECONDS, POLL_SECONDS)
    try:
        _load()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


if COORDINATOR in os.environ:
    _load_while_needed(int(os.environ.pop(COORDINATOR)))
