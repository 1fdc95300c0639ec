"""A cache of the last run's output: `emtkit run`, repeated with nothing changed, prints it again.

The file is beside the report. It has what was requested, a fingerprint of everything that the
output depends on (the study, plugins and emtkit itself, the store, the files of the report), and
the output. If any of it has changed, or could have changed without a trace, the run takes the
ordinary path. So neither torch nor a plugin is loaded to find that there is nothing to do.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emtkit.cli.output import RunOutput, terminal_format
from emtkit.plugin.index import SETTLED, unchanged, write_whole
from emtkit.plugin.installation import Installation, installation, outside, stamp

FORMAT = 2
_HEADER_BYTES = 100  # of a store; SQLite counts every commit in it

Fingerprint = dict[str, Any]
"""What an output depends on, as JSON has it."""


@dataclass(frozen=True)
class RunRequest:
    """The options that change a run's output. Workers and their limits do not, once all is done."""

    study: str
    store: str
    out: str
    only: str | None
    seeds: str | None
    tier: str | None
    engine: str
    scheduler: str | None

    @property
    def cache_file(self) -> Path:
        """Beside the report, so that another run's report is not taken for this one's."""
        return Path(self.out) / Path(self.study).stem / "rerun.json"


@dataclass(frozen=True)
class RerunCache:
    """The cache for one request, with the state of its inputs before the run read any of them."""

    request: RunRequest
    study: str
    installed: Installation
    moment: int

    @classmethod
    def at_start(cls, request: RunRequest) -> "RerunCache":
        """The cache, with the inputs as they are now."""
        return cls(request, _digest(request.study), installation(), time.time_ns())

    def load(self, *, shown: bool) -> RunOutput | None:
        """The output of an earlier run, if a new one would be equal in every letter; else None.

        `shown`: the tables will be printed, so they must be formatted for this terminal.
        """
        try:
            kept = json.loads(self.request.cache_file.read_bytes())
            if kept["fingerprint"] is None or kept["fingerprint"] != self.fingerprint():
                return None
            if not (unchanged(kept["outside"]) and unchanged(kept["written"])):
                return None
            found = RunOutput(**kept["output"])
            fits = found.terminal == terminal_format() or not shown
            return found if fits and found.clean and found.complete else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # absent or damaged
            return None

    def fingerprint(self) -> Fingerprint | None:
        """What an output depends on now; None while another process writes to the store."""
        store = _store_state(Path(os.path.realpath(self.request.store)))
        if store is None:
            return None
        return {
            "format": FORMAT,
            "request": asdict(self.request),
            "study": _digest(self.request.study),
            "installation": self.installed.digest,
            "store": store,
        }

    def save(
        self,
        output: RunOutput,
        fingerprint: Fingerprint | None,
        read: Iterable[Path],
        written: Iterable[Path],
    ) -> None:
        """Write the output that was made from the store as it was at `fingerprint`.

        `read` are the files that the study names, `written` those of the report. Where anything
        may have changed meanwhile, nothing is written.
        """
        loose = outside() | {os.path.abspath(path): stamp(path) for path in read}
        loaded = [max(known[1:]) for known in loose.values() if known]
        newest = max([self.installed.newest, *loaded])
        changed = (
            fingerprint is None
            or fingerprint != self.fingerprint()
            or fingerprint["study"] != self.study
            or installation() != self.installed
            # What was loaded may then be an earlier content of the file.
            or newest > self.moment - SETTLED * 1e9
        )
        if output.clean and output.complete and not changed:
            written_as = {os.path.relpath(path): stamp(path) for path in written}
            kept = {"fingerprint": fingerprint, "outside": loose, "written": written_as}
            write_whole(self.request.cache_file, {**kept, "output": asdict(output)})


def _digest(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:  # the ordinary path reports what is wrong with it
        return ""


def _store_state(path: Path) -> list[Any] | None:
    """What every commit to a store changes; None where there is none, or one may be under way."""
    beside = (path.with_name(path.name + end) for end in (".lock", "-journal", "-wal"))
    if any(one.exists() for one in beside):
        return None
    try:
        with path.open("rb") as file:
            return [list(stamp(path) or ()), file.read(_HEADER_BYTES).hex()]
    except OSError:
        return None
