"""What several tests need and takes long to make: the smoke study, run once."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from emtkit.cli.main import main

# The same draws in every run: what lands is not decided by chance.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Said:
    """What a command left: exit code, and what it wrote to both streams."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Terminal:
    """A folder in which `emtkit` commands are given; in this process, which has torch loaded."""

    folder: Path

    def emtkit(self, *words: str) -> Said:
        """The command `emtkit ...` as a user gives it."""
        out, err, before = io.StringIO(), io.StringIO(), signal.getsignal(signal.SIGTERM)
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["emtkit", *words])
            try:
                with pytest.raises(SystemExit) as end:
                    main()
            finally:
                signal.signal(signal.SIGTERM, before)
        return Said(int(end.value.code or 0), out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Smoke:
    """The smoke study after `emtkit run`: where it stands, and what the command said."""

    terminal: Terminal
    study: Path
    said: Said

    @property
    def folder(self) -> Path:
        """Where its report lies."""
        return self.terminal.folder / "results" / "smoke"


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests leave the user's cache folder alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMTKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """`emtkit run studies/smoke.yaml --json --events events.jsonl`, once for all tests."""
    terminal = Terminal(tmp_path_factory.mktemp("smoke"))
    study = ROOT / "studies" / "smoke.yaml"
    said = terminal.emtkit("run", str(study), "--json", "--events", "events.jsonl", "-j", "2")
    return Smoke(terminal, study, said)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """An empty folder to give commands in."""
    return Terminal(tmp_path)
