"""One worker process of this machine, seen from both sides."""

import contextlib
import faulthandler
import fcntl
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from emtkit.execute.engines import _forkserver, _last_lines
from emtkit.execute.messages import decode_job, encode
from emtkit.plugin.guard import EXIT
from emtkit.plugin.sources import LooseFile

READY = b"ready"
LOG_BYTES = 16 * 2**20


class WorkerLog:
    """What a worker prints: a file without a name, which is gone when the last holder is."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        fcntl.fcntl(self._file, fcntl.F_SETFL, os.O_APPEND)

    def __reduce__(self) -> tuple[Any, ...]:
        return _ReceivedLog, (DupFd(self._file.fileno()),)

    def tail(self) -> str:
        """The last lines."""
        return _last_lines.tail(self._file.fileno())

    def cut(self) -> None:
        """Begin anew once it is large: a plugin may print in every step."""
        if os.fstat(self._file.fileno()).st_size > LOG_BYTES:
            os.ftruncate(self._file.fileno(), 0)

    def close(self) -> None:
        """Let go of it."""
        self._file.close()


class _ReceivedLog:
    """The log on the worker's side: both output streams go there."""

    def __init__(self, handle: Any) -> None:
        self._descriptor: int = handle.detach()

    def take_over(self) -> None:
        for stream in (1, 2):
            os.dup2(self._descriptor, stream)
        for text in (sys.stdout, sys.stderr):
            text.reconfigure(line_buffering=True)  # type: ignore[union-attr]


class Worker:
    """A process, `ready` once it says so; its job, and the `loose` plugin files that it loaded."""

    def __init__(self, loose: Sequence[LooseFile]) -> None:
        context = _forkserver.context()
        self.pipe, theirs = context.Pipe()
        self.log = WorkerLog()
        self.process = context.Process(
            target=_serve, args=(theirs, self.log, tuple(loose)), daemon=True
        )
        with _forkserver.worker_environment():
            self.process.start()
        theirs.close()
        self.ready = False
        self.loose: frozenset[str] = frozenset()
        self.job: int | None = None
        self.took_job = False
        self.begun = time.monotonic()

    @property
    def is_free(self) -> bool:
        """Whether it waits for a job."""
        return self.ready and self.job is None

    def give(self, job: int, data: bytes, loose: frozenset[str]) -> None:
        """Give it a job that needs the files `loose`; whether it took it is in `took_job`."""
        self.job, self.loose, self.begun = job, loose, time.monotonic()
        try:
            self.pipe.send_bytes(data)
            self.took_job = True
        except OSError:  # it died while it was idle, which `wait` will notice
            self.took_job = False

    def end(self) -> None:
        """Kill it; a job under way is dropped."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        self.log.close()

    def cause_of_death(self, why: str = "") -> str:
        """Why it is gone, and the last that it printed."""
        self.process.join(5)
        tail = self.log.tail()
        said = f"; its last lines:\n{tail}" if tail else ""
        return f"{why or _ended(self.process.exitcode)}{said}"


def resident(pid: int) -> int | None:
    """Bytes of memory that a process holds, or None where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"the worker process ended with exit code {code}"
    name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
    hint = " (the system does so when memory runs out)" if name == "SIGKILL" else ""
    return f"the worker process was ended by {name}{hint}"


def _serve(pipe: Connection, log: _ReceivedLog, loose: tuple[LooseFile, ...]) -> None:
    """What the process does: wait for a job, do it, answer; end with the coordinator."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log.take_over()
    faulthandler.enable()
    threading.Thread(target=_end_with_parent, daemon=True).start()

    import torch

    from emtkit.execute.worker import Work
    from emtkit.plugin.registry import Registry

    torch.set_num_threads(1)
    # A copy of this process, forked by a plugin, would answer in its place.
    os.register_at_fork(after_in_child=partial(EXIT, 0))
    work, loaded = Work(Registry.installed()), frozenset[str]()
    with contextlib.suppress(EOFError, OSError):
        pipe.send_bytes(READY)
        while True:
            job, needed = decode_job(pipe.recv_bytes())
            os.ftruncate(1, 0)
            if needed != loaded:
                files = [file for file in loose if file.path in needed]
                work, loaded = Work(Registry.installed(files)), needed
            pipe.send_bytes(encode(work.do(job)))


def _end_with_parent() -> None:
    """Even a plugin that never returns does not outlive its coordinator."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    EXIT(1)
