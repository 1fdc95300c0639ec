"""Where results go unless a command says otherwise, and how a command is told where they are."""

import json
import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from emtkit.errors import EmtkitError

RESULTS = Path("results")
"""A study's report, tables and figures go to a folder of its name below."""

STORE = RESULTS / "emtkit.sqlite"
"""All networks and findings of a project."""

Option = tuple[str, Path | str | None, Path | str | None]
"""Name, value, and the value that goes without saying."""


@dataclass(frozen=True)
class CommandOptions:
    """A study, with what finds its results; the usual places go without saying."""

    study: str
    store: Path = STORE
    out: Path = RESULTS
    only: str | None = None
    seeds: str | None = None

    @property
    def alone(self) -> str:
        """For a shell, of commands that need no results."""
        return shlex.quote(self.study)

    @property
    def reads(self) -> str:
        """Of commands that read a store: `study.yaml --store other.sqlite`."""
        return self._said((("store", self.store, STORE), *self._part))

    @property
    def writes(self) -> str:
        """Of commands that write a report as well."""
        return self._said((*self._places, *self._part))

    @property
    def whole(self) -> str:
        """The same without the part of the study that was chosen."""
        return self._said(self._places)

    @property
    def apart(self) -> str:
        """Of a report on a part that leaves the report on the whole as it is."""
        places = replace(self, out=self.out / "parts", only=None, seeds=None)
        return places.whole

    @property
    def _places(self) -> tuple[Option, ...]:
        return (("store", self.store, STORE), ("out", self.out, RESULTS))

    @property
    def _part(self) -> tuple[Option, ...]:
        return (("only", self.only, None), ("seeds", self.seeds, None))

    def _said(self, options: Iterable[Option]) -> str:
        given = ((name, str(value)) for name, value, usual in options if value != usual)
        return " ".join([self.alone, *(f"--{name} {shlex.quote(text)}" for name, text in given)])


def keep_apart(folder: Path, study: str) -> None:
    """Note whose results go to a folder, and refuse one that is another study's.

    The other study's file is known by its path from the folder, so that both may move together.

    Raises:
        EmtkitError: the folder holds the report of another file of this name, which still exists,
            or cannot be written.
    """
    own, note = Path(study), folder / "study.json"
    if not own.is_file():
        return  # a study without a file
    try:
        other = folder / str(json.loads(note.read_bytes())["study"])
        taken = other.is_file() and not other.samefile(own)
    except (OSError, ValueError, KeyError, TypeError):
        taken = False
    if taken:
        raise EmtkitError(
            f"{folder} holds the results of {other.resolve()}, and {own} has the same name; "
            "rename one of them, or give this one a folder of its own with `--out`"
        )
    path = os.path.relpath(own.resolve(), folder.resolve())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"study": path}) + "\n")
    except OSError as error:
        raise EmtkitError(
            f"{folder} cannot be written ({error.strerror}); `--out` names another folder, and "
            "`--store` another file for the networks"
        ) from error
