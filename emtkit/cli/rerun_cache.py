"""The receipt of a run: asked the same again with nothing changed, `emtkit run` answers from it.

It lies beside the report and tells what was asked, all that the answer rests on (the study, plugins
and emtkit itself, the store, the files of the report) and what was said. If any of it is another
now, or could be without a trace, the run takes the ordinary path. So neither torch nor a plugin is
loaded to find that there is nothing to do.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emtkit.places import RESULTS
from emtkit.plugin.index import SETTLED, unchanged, write_whole
from emtkit.plugin.installation import Installation, installation, outside, stamp

FORMAT = 1
_HEADER_BYTES = 100  # of a store; SQLite counts every commit in it
_LOOKS = ("TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "COLUMNS")

Ground = dict[str, Any]
"""What an answer rests on, plain as JSON has it."""


@dataclass(frozen=True)
class Asked:
    """What changes the answer of a run. Workers and their limits do not, once all is done."""

    study: str
    store: str
    only: str | None
    seeds: str | None
    tier: str | None
    engine: str
    scheduler: str | None

    @property
    def receipt(self) -> Path:
        """Beside the report, so that what another run wrote there is not taken for this one's."""
        return RESULTS / Path(self.study).stem / "receipt.json"


@dataclass(frozen=True)
class Answer:
    """What a run says at its end: its JSON document, its tables as printed, and its verdicts.

    `look` is the terminal that the tables were cut to.
    """

    document: dict[str, Any]
    verdicts: list[str]
    tables: str
    look: str

    @property
    def clean(self) -> bool:
        """Whether nothing failed and nothing was lost."""
        cells = self.document["cells"]
        return not (cells["failed"] or cells["lost"] or cells["findings_failed"])

    @property
    def refused(self) -> bool:
        """Whether a claim is not supported."""
        return any(claim["verdict"] == "not supported" for claim in self.document["claims"])

    @property
    def adds_up(self) -> bool:
        """Whether every cell of the plan has an end."""
        cells = self.document["cells"]
        ends = ("done", "failed", "lost", "not_applicable")
        return bool(cells["expected"] == sum(cells[end] for end in ends))

    @property
    def progress(self) -> str:
        """The line in the place of bars, where there is nothing to do."""
        done = self.document["cells"]["done"]
        return f"{done}/{done} cells ({done} stored), nothing has changed since the last run"

    @property
    def coverage(self) -> str:
        """Where the cells ended, in a line."""
        cells = self.document["cells"]
        return (
            f"{cells['expected']} cells = {cells['done']} done + {cells['failed']} failed + "
            f"{cells['lost']} lost + {cells['not_applicable']} not applicable"
        )


@dataclass(frozen=True)
class Begun:
    """What stood when a run began, before it read anything."""

    asked: Asked
    study: str
    installed: Installation
    moment: int

    @classmethod
    def now(cls, asked: Asked) -> Begun:
        """As it stands now."""
        return cls(asked, _digest(asked.study), installation(), time.time_ns())

    def answer(self, *, shown: bool) -> Answer | None:
        """What an earlier run answered, if it would be the same in every letter; else None.

        `shown`: the tables will be printed, so they must be those for this terminal.
        """
        try:
            kept = json.loads(self.asked.receipt.read_bytes())
            if kept["ground"] is None or kept["ground"] != self.ground():
                return None
            if not (unchanged(kept["outside"]) and unchanged(kept["written"])):
                return None
            found = Answer(**kept["answer"])
            fits = found.look == look() or not shown
            return found if fits and found.clean and found.adds_up else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none there, or damaged
            return None

    def ground(self) -> Ground | None:
        """What an answer given now rests on; None while someone writes to the store."""
        store = _store_state(Path(self.asked.store))
        if store is None:
            return None
        return {
            "format": FORMAT,
            "asked": asdict(self.asked),
            "study": _digest(self.asked.study),
            "installation": self.installed.digest,
            "store": store,
        }

    def keep(
        self,
        answer: Answer,
        ground: Ground | None,
        plugins: Iterable[Path],
        written: Iterable[Path],
    ) -> None:
        """Write the receipt of an answer that was drawn from the store as it was at `ground`.

        `plugins` are the study's own files, `written` those of the report. Where anything may have
        changed meanwhile, there is no receipt.
        """
        loose = outside() | {os.path.abspath(path): stamp(path) for path in plugins}
        newest = max(
            [self.installed.newest, *(max(known[1:]) for known in loose.values() if known)]
        )
        changed = (
            ground is None
            or ground != self.ground()
            or ground["study"] != self.study
            or installation() != self.installed
            # What was loaded may then be what the file held before.
            or newest > self.moment - SETTLED * 1e9
        )
        if answer.clean and answer.adds_up and not changed:
            written_as = {os.path.relpath(path): stamp(path) for path in written}
            kept = {"ground": ground, "outside": loose, "written": written_as}
            write_whole(self.asked.receipt, {**kept, "answer": asdict(answer)})


def look() -> str:
    """What printed tables depend on: the width and the colours of the terminal, if it is one."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    return json.dumps([width, sys.stdout.encoding, *(os.environ.get(name) for name in _LOOKS)])


def _digest(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:  # the ordinary path says what is wrong with it
        return ""


def _store_state(path: Path) -> list[Any] | None:
    """What every commit to a store changes; None where there is none, or one may be under way."""
    beside = (path.with_name(path.name + end) for end in (".lock", "-journal", "-wal"))
    if any(one.exists() for one in beside):
        return None
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except OSError:
        return None
    return [list(stamp(path) or ()), header.hex()]
