"""One writer for a store: a lock that the system itself drops when its holder dies."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from emtkit.errors import StoreError


class WriterLock:
    """Held from construction to `release`; the file `<store>.lock` names host and process.

    `flock` belongs to the open file, so a killed holder leaves no lock behind, only the file,
    which the next writer takes over.

    Raises:
        StoreError: another process holds it, or the file system has no locks.
    """

    def __init__(self, store: Path) -> None:
        self._path = store.with_name(store.name + ".lock")
        self._descriptor = self._acquire(store)
        os.ftruncate(self._descriptor, 0)
        holder = {"host": socket.gethostname(), "pid": os.getpid()}
        os.pwrite(self._descriptor, json.dumps(holder).encode(), 0)

    def release(self) -> None:
        """Let the next writer in; calling it again does nothing."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def _acquire(self, store: Path) -> int:
        import fcntl  # here, so that a system without it can still read stores

        while True:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise StoreError(
                    f"{store}: no writer can be announced beside it ({error.strerror}: "
                    f"{self._path}); choose a place that you may write to with --store"
                ) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _holder(descriptor)
                os.close(descriptor)
                raise StoreError(
                    f"{store}: {holder} is writing to it; wait until that run ends, or give "
                    "another file with --store (reading commands work meanwhile)"
                ) from None
            except OSError as error:
                os.close(descriptor)
                raise StoreError(
                    f"{store}: this file system has no locks ({error.strerror}); put the store on "
                    "another one with --store"
                ) from error
            if _is_still(descriptor, self._path):
                return descriptor
            # The holder before us unlinked the file between our open and our lock: a third
            # process may hold a new file of that name.
            os.close(descriptor)


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {holder['pid']} on host {holder['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process (it has not yet said which)"


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
