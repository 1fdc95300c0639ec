"""One writer for a store: locks that the system itself releases when their holder dies."""

import json
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emtkit.errors import StoreError

_BYTE = 2**62
"""The byte of a store's file that its writer locks, beyond those that SQLite locks (near 2^30)."""


class WriterLock:
    """Held from construction to `release`; the file `<store>.lock` has host and process.

    Two locks are taken: `flock` on the file `<store>.lock`, and on Linux a lock on the store's own
    inode, which also holds where `<store>.lock` was removed or the folder is mounted twice. Both
    belong to open files, so a killed holder leaves no lock behind, only the file, which the next
    writer takes over. `store` is a resolved path (a symbolic link would be a second name).

    Raises:
        StoreError: another process holds it, the store has more than one hard link, or the file
            system has no locks.
    """

    def __init__(self, store: Path) -> None:
        self._path = store.with_name(store.name + ".lock")
        self._descriptors = [self._acquire(store)]
        try:
            self._descriptors.append(_lock_inode(store))
        except BaseException:
            self.release()
            raise
        os.ftruncate(self._descriptors[0], 0)
        holder = {"host": socket.gethostname(), "pid": os.getpid()}
        os.pwrite(self._descriptors[0], json.dumps(holder).encode(), 0)

    def release(self) -> None:
        """Let the next writer in; calling it again does nothing. Close the store before."""
        if self._descriptors and _is_still(self._descriptors[0], self._path):
            self._path.unlink(missing_ok=True)
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _acquire(self, store: Path) -> int:
        import fcntl  # here, so that a system without it can still read stores

        while True:
            descriptor = _open(self._path, store, "no lock file can be made beside it")
            with _locking(descriptor, store):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(descriptor, self._path):
                return descriptor
            # The holder before us unlinked the file between our open and our lock: a third
            # process may hold a new file of that name.
            os.close(descriptor)


def _lock_inode(store: Path) -> int:
    """Lock one byte of the store itself, which is created empty where there is none."""
    import fcntl

    descriptor = _open(store, store, "it cannot be written")
    if sys.platform == "linux":
        # Of the open file, not of the process: SQLite's own locks and closings do not release it.
        request = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, _BYTE, 1, 0)
        with _locking(descriptor, store, "another process (its lock file was removed)"):
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
    return descriptor


def _open(path: Path, store: Path, problem: str) -> int:
    """Open a regular file with one name for reading and writing; it is created if necessary."""
    advice = "choose another place with --store"
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        raise StoreError(f"{store}: {problem} ({error.strerror}: {path}); {advice}") from error
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1:
        return descriptor
    os.close(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"{store}: {problem} ({path} is not a regular file); {advice}")
    raise StoreError(
        f"{store}: {path} has {found.st_nlink} names (hard links), and writing through two of them "
        "would damage the store; remove the other names, or copy the file (cp) and give the copy "
        "with --store"
    )


@contextmanager
def _locking(descriptor: int, store: Path, holder: str = "") -> Iterator[None]:
    """Close the file where its lock cannot be taken, and say why."""
    try:
        yield
    except (BlockingIOError, PermissionError):
        holder = holder or _holder(descriptor)
        os.close(descriptor)
        raise StoreError(
            f"{store}: {holder} is writing to it; wait until that run ends, or give another file "
            "with --store (reading commands work meanwhile)"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise StoreError(
            f"{store}: this file system has no locks ({error.strerror}); put the store on another "
            "one with --store"
        ) from error


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {int(holder['pid'])} on host {holder['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
