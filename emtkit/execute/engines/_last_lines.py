"""What a worker of a cluster printed during a job, for others on its machine once it is dead.

During a job both output streams go to a file of the machine's temporary folder, named by a secret
of the run; a job that ends passes it on. A worker that dies leaves it for another one to read.
"""

import contextlib
import faulthandler
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from emtkit.text import printable

LINES = 20
READ_BYTES = 8192
STREAMS = (1, 2)


@contextlib.contextmanager
def kept(name: str) -> Iterator[None]:
    """What is printed meanwhile goes to the file of that name."""
    path = _path(name)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
    descriptor = os.open(path, flags, 0o600)
    before = {stream: os.dup(stream) for stream in STREAMS}
    _flush()
    try:
        for stream in STREAMS:
            os.dup2(descriptor, stream)
        faulthandler.enable(descriptor)
        yield
    finally:
        _flush()
        faulthandler.disable()
        for stream, own in before.items():
            os.dup2(own, stream)
            os.close(own)
        os.close(descriptor)
        if said := read(name):
            print(printable(said), file=sys.stderr)


def read(name: str) -> str:
    """The last lines of a dead worker's job; the file is gone afterwards. Empty without one."""
    path = _path(name)
    try:
        with path.open("rb") as file:
            text = tail(file.fileno())
        path.unlink(missing_ok=True)
    except OSError:
        return ""
    return text


def tail(descriptor: int) -> str:
    """The last lines of an open file."""
    start = max(0, os.fstat(descriptor).st_size - READ_BYTES)
    text = os.pread(descriptor, READ_BYTES, start).decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-LINES:])


def _path(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"emtkit-{name}.log"


def _flush() -> None:
    """Whole lines go out as they are printed, for a process that is killed flushes nothing."""
    for text in (sys.stdout, sys.stderr):
        text.flush()
        text.reconfigure(line_buffering=True)  # type: ignore[union-attr]
