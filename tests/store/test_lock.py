"""A store has one writer, by whatever name it is opened, whatever happens to its lock file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emtkit.errors import StoreError
from emtkit.store.maintenance import verify
from emtkit.store.records import Bundle, CellResult
from emtkit.store.store import Store

WRITER = """
import os, sys, time
from pathlib import Path
from emtkit.store.records import Bundle, CellResult
from emtkit.store.store import Store

with Store.open(Path(sys.argv[1]), writer=True) as store:
    store.commit(Bundle(cells=(CellResult("first", {}, "done"),)))
    if sys.argv[2] == "in a commit":
        # A tiny cache: pages of the open transaction reach the file, their journal beside it.
        store._connection.execute("PRAGMA cache_size=1")
        store._connection.execute("BEGIN IMMEDIATE")
        store._connection.executemany(
            "INSERT INTO provenance VALUES (?, ?)", [(f"{n}", "x" * 3000) for n in range(500)]
        )
    print("open", flush=True)
    time.sleep(60)
"""


class Names:
    """A store below `real/`, and other names of it."""

    def __init__(self, folder: Path) -> None:
        self.real = folder / "real" / "r.sqlite"
        self.real.parent.mkdir()
        with Store.open(self.real, writer=True):
            pass

    def symlink(self) -> Path:
        path = self.real.parent.parent / "s.sqlite"
        path.symlink_to(self.real)
        return path

    def folder(self) -> Path:
        path = self.real.parent.parent / "folder"
        path.symlink_to(self.real.parent)
        return path / self.real.name

    def hard_link(self) -> Path:
        path = self.real.parent.parent / "h.sqlite"
        os.link(self.real, path)
        return path

    def lock_removed(self) -> Path:
        self.real.with_name("r.sqlite.lock").unlink()
        return self.real

    def lock_replaced(self) -> Path:
        lock = self.real.with_name("r.sqlite.lock")
        lock.rename(self.real.parent / "old.lock")
        lock.touch()
        return self.real

    def relative(self) -> Path:
        return Path(os.path.relpath(self.real))


OTHER_NAMES = (
    Names.symlink,
    Names.folder,
    Names.hard_link,
    Names.lock_removed,
    Names.lock_replaced,
    Names.relative,
)


@pytest.fixture
def names(tmp_path: Path) -> Names:
    return Names(tmp_path)


@pytest.fixture
def writer() -> Iterator[Callable[[Path, str], subprocess.Popen[str]]]:
    """Starts a process that holds a store open for writing."""
    begun: list[subprocess.Popen[str]] = []

    def start(path: Path, state: str = "between commits") -> subprocess.Popen[str]:
        words = [sys.executable, "-c", WRITER, str(path), state]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        begun.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="the lock on the inode is Linux's")
@pytest.mark.parametrize("other", OTHER_NAMES, ids=lambda other: other.__name__)
@pytest.mark.parametrize("state", ["between commits", "in a commit"])
def test_a_second_writer_is_refused_by_any_name_and_let_in_after_a_kill(
    names: Names, writer: Callable[..., subprocess.Popen[str]], other: object, state: str
) -> None:
    process = writer(names.real, state)
    path = other(names)  # type: ignore[operator]
    for _ in range(2):  # a refusal leaves no hole for the next
        with pytest.raises(StoreError, match=r"is writing to it|names \(hard links\)"):
            Store.open(path, writer=True)
    process.kill()
    process.wait()
    if other is Names.hard_link:
        with pytest.raises(StoreError, match="has 2 names"):
            Store.open(names.real, writer=True)
        path.unlink()
        path = names.real
    with Store.open(path, writer=True) as store:
        store.commit(Bundle(cells=(CellResult("second", {}, "done"),)))
    found = verify(names.real)
    assert (found.cells, found.faults) == (2, ())
    with Store.open(names.real) as store:
        assert store._all("SELECT count(*) FROM provenance") == [(1,)]  # the half is rolled back


def test_a_writer_by_a_link_names_its_lock_after_the_store(
    names: Names, writer: Callable[..., subprocess.Popen[str]]
) -> None:
    process = writer(names.symlink())
    with pytest.raises(StoreError, match=f"process {process.pid} on host"):
        Store.open(names.real, writer=True)
    with Store.open(names.real) as store:
        assert store.keys() == (("first",), ())


@pytest.mark.parametrize("kind", ["symlink", "hard link", "folder", "pipe"])
def test_a_lock_file_that_is_something_else_is_left_as_it_is(names: Names, kind: str) -> None:
    precious, lock = names.real.parent / "precious", names.real.with_name("r.sqlite.lock")
    precious.write_text("mine")
    if kind == "symlink":
        lock.symlink_to(precious)
    elif kind == "hard link":
        os.link(precious, lock)
    elif kind == "folder":
        lock.mkdir()
    else:
        os.mkfifo(lock)
    with pytest.raises(StoreError, match="--store"):
        Store.open(names.real, writer=True)
    assert precious.read_text() == "mine"
    assert os.path.lexists(lock)


def test_sqlites_own_work_does_not_release_the_lock(names: Names) -> None:
    with Store.open(names.real, writer=True) as store:
        store.commit(Bundle(cells=(CellResult("c", {}, "done"),)))
        with Store.open(names.real) as reader:  # closing it drops SQLite's locks of this process
            reader.keys()
        names.real.read_bytes()
        names.lock_removed()
        with pytest.raises(StoreError, match="its lock file was removed"):
            Store.open(names.real, writer=True)
