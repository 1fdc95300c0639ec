"""Who watches a run: nobody, plain lines, or a document at the end; pictures live in the CLI."""

import json
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import BinaryIO, TextIO


@dataclass(frozen=True)
class Counts:
    """The state of a run: its cells and findings."""

    cells: int
    stored: int
    trained: int
    failed: int
    lost: int
    findings: int
    findings_done: int
    seconds: float

    @property
    def cells_done(self) -> int:
        """Cells that have ended, now or before."""
        return self.stored + self.trained + self.failed + self.lost

    @property
    def share(self) -> float:
        """How much of the run is done, from 0 to 1."""
        total = self.cells + self.findings
        return 1.0 if not total else (self.cells_done + self.findings_done) / total

    @property
    def seconds_left(self) -> float | None:
        """A guess by what is done; None before anything is."""
        return self.seconds * (1 - self.share) / self.share if self.share > 0 else None


class Monitor(ABC):
    """Receives every change; must be quick, and must not raise."""

    @abstractmethod
    def update(self, counts: Counts, last: bool) -> None:
        """The run is at `counts`; `last` at its end."""

    def close(self) -> None:  # noqa: B027 - most monitors hold nothing
        """The run is over, well or not."""


class Quiet(Monitor):
    """Says nothing."""

    def update(self, counts: Counts, last: bool) -> None:
        """Nothing."""


class Lines(Monitor):
    """A plain line now and then, for logs."""

    def __init__(self, out: TextIO, every: float = 5.0) -> None:
        self._out, self._every = out, every
        self._next = 0.0

    def update(self, counts: Counts, last: bool) -> None:
        """A line when it is time, and at the end."""
        now = time.monotonic()
        if now < self._next and not last:
            return
        self._next = now + self._every
        left = counts.seconds_left
        tail = "" if last or left is None else f", about {left:.0f} s left"
        print(
            f"{counts.cells_done}/{counts.cells} cells ({counts.stored} stored, "
            f"{counts.failed} failed, {counts.lost} lost), "
            f"{counts.findings_done}/{counts.findings} findings, {counts.seconds:.0f} s{tail}",
            file=self._out,
            flush=True,
        )


class Events(Monitor):
    """One JSON line per change, for other programs; wraps another monitor."""

    def __init__(self, out: BinaryIO, inner: Monitor) -> None:
        self._out, self._inner = out, inner
        self._failed = False

    def update(self, counts: Counts, last: bool) -> None:
        """A line, and whatever the inner monitor does.

        A file that takes no more lines does not end a run: it is reported once.
        """
        line = json.dumps({"time": time.time(), "last": last, **asdict(counts)})
        try:
            if not self._failed:
                self._out.write(line.encode() + b"\n")
        except OSError as error:
            self._failed = True
            print(f"events are no longer written ({error.strerror})", file=sys.stderr)
        self._inner.update(counts, last)


class Bars(Monitor):
    """Two bars on a terminal: cells and findings, with rate and time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
        )
        self._cells = self._bars.add_task("cells", note="")
        self._findings = self._bars.add_task("findings", note="")
        self._bars.start()

    def update(self, counts: Counts, last: bool) -> None:
        """Move both bars."""
        rate = counts.trained / counts.seconds if counts.seconds > 0 else 0.0
        note = f"{rate:.1f}/s, {counts.failed} failed, {counts.seconds:.0f} s"
        if not last and counts.seconds_left is not None:
            note += f", {counts.seconds_left:.0f} s left"
        self._bars.update(self._cells, completed=counts.cells_done, total=counts.cells, note=note)
        self._bars.update(self._findings, completed=counts.findings_done, total=counts.findings)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bars.stop()
