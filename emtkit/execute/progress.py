"""The state of a run, through the store: the run writes it, another terminal reads it."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path

from emtkit.errors import EmtkitError, StoreError
from emtkit.execute.monitor import Counts, Monitor
from emtkit.store.records import Progress
from emtkit.store.store import Store

EVERY = 1.0
"""Seconds between two entries of a run: each is a commit."""

SILENCE = 30.0
"""Seconds without an entry after which a run counts as dead; a living one writes every second."""

_COUNTED = {field.name for field in fields(Counts)} - {"seconds"}

Clock = Callable[[], float]


class Recorded(Monitor):
    """Writes a run's counts into its store, and passes them to another monitor."""

    def __init__(self, store: Store, study: str, inner: Monitor, clock: Clock = time.time) -> None:
        self._store, self._study, self._inner, self._clock = store, study, inner, clock
        self._started = clock()
        self._run = f"{socket.gethostname()}:{os.getpid()}:{self._started:.3f}"
        self._written = 0.0
        self._counts: dict[str, int] = {}
        self._state = "running"
        before = _latest(store, study)
        self._finished: tuple[int, int] | None = None
        """How many cells and findings the study had when its last run was done."""
        if before is not None and before.state == "done":
            counts = before.counts
            self._finished = (counts.get("cells", -1), counts.get("findings", -1))

    def update(self, counts: Counts, last: bool) -> None:
        """An entry at most once a second, and one at the end.

        None where all was stored before and the study's last entry says so: a run that finds
        nothing to do leaves the store as it is, to the byte.
        """
        self._counts = {name: n for name, n in asdict(counts).items() if name != "seconds"}
        self._state = "done" if last else "running"
        due = last or self._clock() - self._written >= EVERY
        done = (counts.stored, counts.findings_done)
        known = done == (counts.cells, counts.findings) == self._finished
        if due and not known:
            self._write()
        self._inner.update(counts, last)

    def close(self) -> None:
        """A run that is over without its last word was stopped; the inner monitor stays open."""
        if self._state == "running":
            self._state = "stopped"
            self._write()

    def _write(self) -> None:
        self._written = self._clock()
        entry = Progress(
            self._run, self._study, self._state, self._started, self._written, self._counts
        )
        # Progress is no result: a store that cannot be written to says so when one is committed.
        with suppress(StoreError):
            self._store.set_progress(entry)


def follow(
    path: Path,
    study: str,
    monitor: Monitor,
    *,
    clock: Clock = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Progress:
    """Show `monitor` the study's latest run until it ends or falls silent; its last entry.

    Raises:
        StoreError: there is no store, or it is damaged.
        EmtkitError: the store has no run of the study; those that it has are named.
    """
    last, changed = None, clock()
    with Store.open(path) as store:
        while True:
            entry, now = _latest(store, study), clock()
            if entry is None:
                raise _unknown(store, study)
            if entry != last:
                last, changed = entry, now
            over = entry.state != "running"
            if set(entry.counts) == _COUNTED:
                seconds = entry.updated - entry.started
                monitor.update(Counts(**entry.counts, seconds=seconds), over)
            # By this clock and by the entry's own: that of another machine may be wrong.
            if over or now - min(changed, entry.updated) > SILENCE:
                return entry
            sleep(EVERY / 2)


def _latest(store: Store, study: str) -> Progress | None:
    """The last entry of the study's latest run."""
    return next((e for e in reversed(store.progress()) if e.study == study), None)


def _unknown(store: Store, study: str) -> EmtkitError:
    others = ", ".join(dict.fromkeys(entry.study for entry in reversed(store.progress())))
    known = f"it has runs of {others}" if others else "no study was run in it"
    return EmtkitError(
        f"{store.path} knows no run of '{study}'; {known}; start one with `emtkit run`, or name "
        "the store of the run with --store"
    )
