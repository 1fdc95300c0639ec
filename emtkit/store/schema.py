"""The tables of a store, and how one is opened: checked before it is used."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from emtkit.errors import StoreError

SCHEMA_VERSION = 2
APPLICATION_ID = 0x656D746B  # "emtk"
PAGE_BYTES = 4096
CHECKED_BYTES = 128 * 2**20
"""The whole structure of a store up to this size is checked when it is opened (0.1 s). Every row
and blob carries a digest of its own, by which larger stores are checked as they are read."""

_BUSY_SECONDS = 30.0

CELL = ("key", "identity", "status", "scalars", "reasons", "tier", "seconds", "digest", "error")
FINDING = ("key", "cell", "identity", "status", "scalars", "reasons", "seconds", "digest", "error")
"""Columns that are fields of the record of a cell and of a finding; parts, provenance and seal
follow them."""

# When each claim was first seen, and when each cell was first done; both in seconds since 1970.
_SINCE_2 = (
    """CREATE TABLE statements (
        study TEXT NOT NULL,
        claim TEXT NOT NULL,
        digest TEXT NOT NULL,
        seen REAL NOT NULL,
        PRIMARY KEY (study, claim, digest)
    )""",
    "CREATE TABLE done (cell TEXT PRIMARY KEY NOT NULL, at REAL NOT NULL)",
)

_LATER = ("statements", "statements_1", "done", "done_1")
"""These tables and the indexes that SQLite makes of their keys."""

# `parts` of a cell and of a finding: kind and digest of the blobs that belong to it, snapshots
# aside; `provenance`: digest of a text of which there are few; `seal`: digest of the whole row.
_TABLES = (
    """CREATE TABLE cells (
        key TEXT PRIMARY KEY NOT NULL,
        identity TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('done', 'failed', 'lost', 'not_applicable')),
        scalars TEXT NOT NULL,
        reasons TEXT NOT NULL,
        tier TEXT NOT NULL,
        seconds REAL NOT NULL,
        digest TEXT NOT NULL,
        error TEXT NOT NULL,
        parts TEXT NOT NULL,
        provenance TEXT NOT NULL,
        seal BLOB NOT NULL
    )""",
    """CREATE TABLE findings (
        key TEXT PRIMARY KEY NOT NULL,
        cell TEXT NOT NULL,
        identity TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('done', 'failed', 'lost', 'not_applicable')),
        scalars TEXT NOT NULL,
        reasons TEXT NOT NULL,
        seconds REAL NOT NULL,
        digest TEXT NOT NULL,
        error TEXT NOT NULL,
        parts TEXT NOT NULL,
        provenance TEXT NOT NULL,
        seal BLOB NOT NULL
    )""",
    # Every blob of the store: `owner` is the key of a cell or of a finding, `step` the iteration
    # of a snapshot and else -1.
    """CREATE TABLE blobs (
        owner TEXT NOT NULL,
        kind TEXT NOT NULL,
        step INTEGER NOT NULL,
        digest BLOB NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (owner, kind, step)
    )""",
    "CREATE TABLE states (cell TEXT PRIMARY KEY NOT NULL, meta TEXT NOT NULL, seal BLOB NOT NULL)",
    """CREATE TABLE attempts (
        cell TEXT NOT NULL,
        number INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        text TEXT NOT NULL,
        seconds REAL NOT NULL,
        PRIMARY KEY (cell, number)
    )""",
    "CREATE TABLE provenance (key TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL)",
    """CREATE TABLE progress (
        run TEXT PRIMARY KEY NOT NULL,
        study TEXT NOT NULL,
        state TEXT NOT NULL,
        started REAL NOT NULL,
        updated REAL NOT NULL,
        counts TEXT NOT NULL
    )""",
    *_SINCE_2,
    # Last, as VACUUM has it: so every store has its tables at the same pages (see `maintenance`).
    "CREATE INDEX findings_by_cell ON findings (cell)",
)


def resolved(path: Path) -> Path:
    """The one name of a store, without symbolic links.

    Raises:
        StoreError: it cannot be a store: a folder, a device, a pipe, or no name of a file at all.
    """
    advice = "give the path of a file with --store, for instance results/emtkit.sqlite"
    try:
        found = path.resolve()
        if found.exists() and not found.is_file():
            what = "a folder" if found.is_dir() else "not a regular file"
            raise StoreError(f"{path}: it is {what}, and a store is a file; {advice}")
        above = next(folder for folder in found.parents if folder.exists())
        if not above.is_dir():
            raise StoreError(f"{path}: {above} is a file, not a folder; {advice}")
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name with a null
        raise StoreError(f"{str(path)!r} is not the path of a store ({error}); {advice}") from error
    return found


def connect_writer(path: Path) -> sqlite3.Connection:
    """A connection that writes; a store that does not exist yet is created, a damaged one refused.

    The caller holds the writer lock.

    Raises:
        StoreError: damaged, not a store of emtkit, of another version, or not writable.
    """
    with translated(path):
        _check_header(path)
        with _opened(path, "rwc") as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("PRAGMA synchronous=FULL")
            if not _schema_of(connection) and _pragma(connection, "application_id") == 0:
                create(connection)
            _check(path, connection)
            if _pragma(connection, "user_version") < SCHEMA_VERSION:
                _extend(connection)
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, to a store that exists.

    Raises:
        StoreError: there is none, it is damaged, or it is not a store of emtkit.
    """
    if not path.is_file() or path.stat().st_size == 0:
        raise StoreError(
            f"{path}: there is no store; `emtkit run STUDY` makes one (another place: --store)"
        )
    with translated(path):
        _check_header(path)
        try:
            return _reader(path)
        except sqlite3.OperationalError as error:
            if not _code(error).startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
                raise
        # A writer was killed while it committed. Opening for writing rolls its half back; a
        # writer still at work keeps SQLite from doing so.
        with closing(_connect(path, "rw")) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master")
        return _reader(path)


def connect_empty() -> sqlite3.Connection:
    """An empty store in memory, to read from where no run has been."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create(connection)
    connection.execute("PRAGMA query_only=ON")
    return connection


def _extend(connection: sqlite3.Connection) -> None:
    """Add what version 1 lacks, and lay the tables out as in a new store."""
    connection.execute("BEGIN EXCLUSIVE")
    for statement in _SINCE_2:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")
    connection.execute("VACUUM")


def create(connection: sqlite3.Connection) -> None:
    """Create the tables in one transaction: a kill leaves an empty file or a complete store."""
    connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
    connection.execute("BEGIN EXCLUSIVE")
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into sentences that end with what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {_sentence(_code(error), error)}") from error
    except UnicodeDecodeError as error:  # sqlite3, when its message quotes a damaged schema
        raise StoreError(f"{path}: {damaged('a text in it is not UTF-8')}") from error
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be opened ({error.strerror}); give another file with --store"
        ) from error


def _code(error: sqlite3.Error) -> str:
    """SQLite's name of the error; those of the sqlite3 module itself have none."""
    return str(getattr(error, "sqlite_errorname", ""))


def _sentence(name: str, error: sqlite3.Error) -> str:
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"busy for more than {_BUSY_SECONDS:.0f} s in another process; try again"
    if name.startswith("SQLITE_FULL"):
        return "the disk is full; nothing of this commit was stored, all before it is safe"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return f"cannot be written or opened here ({error}); give another file with --store"
    if name.startswith("SQLITE_IOERR"):
        return (
            f"the disk failed ({error}); nothing of this commit was stored, all before it is safe"
        )
    return damaged(str(error))


def damaged(what: str) -> str:
    """The sentence about a store that cannot be trusted."""
    return (
        f"the store is damaged ({what}); it was left as it is. `emtkit verify --salvage OUT` "
        "copies what can be read, and a run on OUT trains the rest again"
    )


def _check_header(path: Path) -> None:
    """Refuse a file that is not SQLite's before SQLite opens it, unless it has a journal."""
    journal = path.with_name(path.name + "-journal")
    if not path.exists() or path.stat().st_size == 0 or journal.exists():
        return
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            raise StoreError(
                f"{path}: {damaged('it does not begin like a store')}; or give another file with "
                "--store"
            )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)


def _reader(path: Path) -> sqlite3.Connection:
    with _opened(path, "ro") as connection:
        connection.execute("PRAGMA query_only=ON")
        _check(path, connection)
    return connection


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """A connection, which is closed if what is done to it first fails."""
    connection = _connect(path, mode)
    try:
        # A store may come from someone else: nothing in its schema runs, cell sizes are checked.
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
        connection.execute("PRAGMA temp_store=MEMORY")
        yield connection
    except BaseException:
        connection.close()
        raise


def _check(path: Path, connection: sqlite3.Connection) -> None:
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise StoreError(f"{path}: a SQLite file, but not a store of emtkit; give another --store")
    version = _pragma(connection, "user_version")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path}: written by a newer emtkit (schema {version}, this one reads up to "
            f"{SCHEMA_VERSION}); update emtkit"
        )
    if version < 1:
        raise StoreError(
            f"{path}: written before the first release (schema {version}, this emtkit reads "
            f"{SCHEMA_VERSION}); give another --store and run again"
        )
    later = {entry for entry in _schema() if entry[1].endswith(_LATER)}
    if _schema_of(connection) != _schema() - (later if version < SCHEMA_VERSION else set()):
        raise StoreError(f"{path}: {damaged('its tables are not those of a store')}")
    if path.stat().st_size <= CHECKED_BYTES:
        answer = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if answer != "ok":
            raise StoreError(f"{path}: {damaged(answer)}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _schema_of(connection: sqlite3.Connection) -> frozenset[tuple[str, str, str | None]]:
    return frozenset(connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall())


@cache
def _schema() -> frozenset[tuple[str, str, str | None]]:
    with closing(connect_empty()) as connection:
        return _schema_of(connection)
