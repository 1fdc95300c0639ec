"""Maintenance of a store: check every bit, copy what is intact in a damaged one, merge two."""

import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from emtkit.errors import StoreError
from emtkit.store import schema as _schema
from emtkit.store.codec import name_of, object_from_json, seal, sha256
from emtkit.store.records import Bundle, CellResult, FindingResult
from emtkit.store.store import Store
from emtkit.store.write import END

R = TypeVar("R", CellResult, FindingResult)

_BATCH, _BATCH_BYTES = 500, 64 * 2**20
_COPIED = (
    *("cells", "findings", "blobs", "states", "attempts", "provenance"),
    *("statements", "done"),
)
_UNUSED = (
    "DELETE FROM provenance WHERE key NOT IN "
    "(SELECT provenance FROM cells UNION SELECT provenance FROM findings)",
    "DELETE FROM attempts WHERE cell NOT IN (SELECT key FROM cells UNION SELECT cell FROM states)",
)


@dataclass(frozen=True)
class Fault:
    """A row or blob that is not as it was written; `kind` is 'row' or the blob's."""

    table: str
    owner: str
    kind: str
    step: int = END

    def __str__(self) -> str:
        what = f"snapshot {self.step}" if self.kind == "snapshot" else self.kind
        return f"{self.table[:-1]} {self.owner}: its {what} is missing or not as it was written"


@dataclass(frozen=True)
class Verification:
    """How much a store holds, and every fault in it; of a salvage, in that which it came from.

    Rows of which nothing could be read are in no list: the plan of a study names them as missing.
    """

    cells: int
    findings: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class Merge:
    """How many cells and findings came over, and the keys that both hold with other bytes."""

    cells: int
    findings: int
    conflicts: tuple[str, ...]


def verify(path: Path) -> Verification:
    """Check a store completely: each row's seal, each blob's digest, and that nothing is missing.

    Raises:
        StoreError: it is too damaged to be opened; `salvage` may still read parts of it.
    """
    with Store.open(path) as store:
        cells, findings = store.keys()
    with _schema.translated(path), closing(_schema.connect_reader(path)) as connection:
        return Verification(len(cells), len(findings), tuple(_faults(connection)))


def salvage(path: Path, out: Path) -> Verification:
    """Copy every intact cell and finding of a damaged store to a new one; the old is not changed.

    A cell is intact when its row, weights and history are as they were written, a finding when its
    row, tables and arrays are. What is lost is trained or measured again by the next run on `out`.

    Raises:
        StoreError: `out` exists, or nothing at all can be read.
    """
    if out.exists():
        raise StoreError(f"{out}: exists already; salvage into a new file")
    with tempfile.TemporaryDirectory() as folder, _schema.translated(path):
        copy = Path(folder) / "damaged.sqlite"
        shutil.copyfile(path, copy)
        _repair(copy)
        with (
            Store.open(out, writer=True),
            closing(_plain(copy)) as source,
            closing(_plain(out)) as target,
        ):
            target.execute("BEGIN IMMEDIATE")
            for table in _COPIED:
                _copy_rows(table, source, target)
            lost = tuple(_faults(target))
            for fault in lost:
                _remove(fault, target)
            target.execute("COMMIT")
    with Store.open(out) as store:
        cells, findings = store.keys()
    return Verification(len(cells), len(findings), lost)


def merge(first: Path, second: Path) -> Merge:
    """Add to `first` what only `second` has; what both have must be equal, bit for bit.

    Where bytes differ, `first` keeps its own, the key is named, and findings of a network with
    other weights stay out. A cell or finding that is done in one store only is taken from there.

    Raises:
        StoreError: either is damaged, or another process writes to `first`.
    """
    cells = findings = 0
    conflicts: list[str] = []
    with Store.open(second) as other, Store.open(first, writer=True) as store:
        cell_keys, finding_keys = other.keys()
        for keys in _batches(other, cell_keys):
            theirs, mine = other.cells_of(keys), store.cells_of(keys)
            unequal = differing(store, other, keys)
            news, both = _compared(theirs, mine)
            timed = {*news, *store.done_at(both)}
            conflicts += [key for key in both if key in unequal]
            longer = [
                key
                for key in both
                if key not in unequal and theirs[key].snapshots.keys() - mine[key].snapshots.keys()
            ]
            new = tuple(_with_bytes(other, theirs[key]) for key in news)
            store.commit(Bundle(cells=new), replace=True)
            store.commit(Bundle(cells=tuple(_with_bytes(other, theirs[key]) for key in longer)))
            # What was done before times were recorded was done before everything.
            done = {key for key, one in theirs.items() if one.status == "done"}
            times = {key: at for key, at in other.done_at(done).items() if key in timed}
            store.set_times((), {key: times.get(key, 0.0) for key in done})
            cells += len(news)
        store.set_times(other.statements())
        refused = set(conflicts)
        for keys in _batches(other, finding_keys):
            yours = {
                key: one for key, one in other.findings_of(keys).items() if one.cell not in refused
            }
            ours = store.findings_of(keys)
            unequal = differing(store, other, keys)
            news, both = _compared(yours, ours)
            conflicts += [
                key
                for key in both
                if key in unequal or repr(ours[key].scalars) != repr(yours[key].scalars)
            ]
            fresh = (replace(yours[key], content=other.blob(key, "content")) for key in news)
            store.commit(Bundle(findings=tuple(fresh)))
            findings += len(news)
    return Merge(cells, findings, tuple(conflicts))


def _compared(theirs: Mapping[str, R], mine: Mapping[str, R]) -> tuple[list[str], list[str]]:
    """Keys of what is done in their store alone, or not known in mine, and of what both did."""
    news = [
        key
        for key, one in theirs.items()
        if key not in mine or (mine[key].status != "done" and one.status == "done")
    ]
    both = [
        key
        for key, one in theirs.items()
        if key in mine and mine[key].status == one.status == "done"
    ]
    return news, both


def _with_bytes(store: Store, cell: CellResult) -> CellResult:
    return replace(
        cell,
        weights=store.weights(cell.key),
        history=store.blob(cell.key, "history"),
        snapshots={step: store.weights(cell.key, step) for step in cell.snapshots},
    )


def _batches(store: Store, keys: Sequence[str]) -> Iterator[list[str]]:
    """Keys of records that are stored in one transaction: few enough to be held in memory."""
    sizes = store.sizes(keys)
    batch: list[str] = []
    total = 0
    for key in keys:
        if batch and (len(batch) == _BATCH or total + sizes.get(key, 0) > _BATCH_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(key)
        total += sizes.get(key, 0)
    if batch:
        yield batch


def gc(path: Path, cells: Collection[str], findings: Collection[str]) -> int:
    """Delete all but these cells and findings; returns by how many bytes the file shrank.

    Raises:
        StoreError: the store is damaged, or another process writes to it.
    """
    with Store.open(path, writer=True) as store, _schema.translated(path):
        before = path.stat().st_size
        known_cells, known_findings = store.keys()
        with closing(_plain(path)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for table, known, kept in (
                ("cells", known_cells, set(cells)),
                ("findings", known_findings, set(findings)),
            ):
                gone = [(key,) for key in known if key not in kept]
                connection.executemany(f"DELETE FROM {table} WHERE key = ?", gone)
                connection.executemany("DELETE FROM blobs WHERE owner = ?", gone)
            for query in _UNUSED:
                connection.execute(query)
            connection.execute("COMMIT")
            connection.execute("VACUUM")
    return before - path.stat().st_size


def differing(one: Store, two: Store, owners: Sequence[str]) -> set[str]:
    """Those of these cells or findings of which a blob that both stores have differs."""
    first, second = one.digests(owners), two.digests(owners)
    both = first.keys() & second.keys()
    return {at[0] for at in both if at[1] != "state" and first[at] != second[at]}


def _faults(connection: sqlite3.Connection) -> Iterator[Fault]:
    sources = {
        key
        for key, text in connection.execute("SELECT key, text FROM provenance")
        if name_of(str(text).encode("utf-8", "replace")) == key
    }
    for table in ("cells", "findings"):
        for row in connection.execute(f"SELECT * FROM {table}").fetchall():
            key, (parts, source, stamp) = row[0], row[-3:]
            try:
                named = object_from_json(parts, str)
                intact = seal(row[:-1]) == stamp and source in sources
            except StoreError:
                intact = False
            if not intact:
                yield Fault(table, str(key), "row")
                continue
            for kind, name in named.items():
                blob = _blob(connection, key, kind, END)
                if blob is None or name_of(blob) != name:
                    yield Fault(table, key, kind)
    rest = "SELECT owner, kind, step FROM blobs WHERE kind IN ('snapshot', 'state')"
    for owner, kind, step in connection.execute(rest).fetchall():
        if _blob(connection, owner, kind, step) is None:
            yield Fault("states" if kind == "state" else "cells", owner, kind, step)
    for cell, meta, stamp in connection.execute("SELECT * FROM states").fetchall():
        if seal((cell, meta)) != stamp or _blob(connection, cell, "state", END) is None:
            yield Fault("states", cell, "state")


def _blob(connection: sqlite3.Connection, owner: str, kind: str, step: int) -> bytes | None:
    """The blob, if it is as it was written."""
    query = "SELECT digest, data FROM blobs WHERE owner = ? AND kind = ? AND step = ?"
    row = connection.execute(query, (owner, kind, step)).fetchone()
    return row[1] if row and isinstance(row[1], bytes) and sha256(row[1]) == row[0] else None


def _remove(fault: Fault, target: sqlite3.Connection) -> None:
    """Take out what the fault spoils: one snapshot, one state, or the row with all its blobs."""
    blobs, values = "DELETE FROM blobs WHERE owner = ?", [fault.owner]
    if fault.kind == "snapshot":
        target.execute(f"{blobs} AND kind = 'snapshot' AND step = ?", [*values, fault.step])
    elif fault.kind == "state":
        target.execute("DELETE FROM states WHERE cell = ?", values)
        target.execute(f"{blobs} AND kind = 'state'", values)
    else:
        target.execute(f"DELETE FROM {fault.table} WHERE key = ?", values)
        target.execute(f"{blobs} AND kind != 'state'", values)


def _repair(copy: Path) -> None:
    """Repair a copy of a damaged file so that it opens: whole pages, and a valid first page.

    Every store lays its tables at the same pages, so the first page of a new one, which holds the
    schema, can replace a lost one. Nothing on the other pages is used before its seal and digest
    are checked.
    """
    fresh = copy.with_name("fresh.sqlite")
    with closing(_plain(fresh)) as connection:
        _schema.create(connection)
    empty = fresh.read_bytes()
    first, size = empty[: _schema.PAGE_BYTES], copy.stat().st_size
    pages = max(-(-size // _schema.PAGE_BYTES), len(empty) // _schema.PAGE_BYTES)
    whole = size // _schema.PAGE_BYTES * _schema.PAGE_BYTES
    with copy.open("r+b") as file:
        file.truncate(pages * _schema.PAGE_BYTES)
        file.write(first[:28] + pages.to_bytes(4, "big") + first[32:])
        if whole < len(empty):  # cut before the tables' first pages: those of empty tables will do
            file.seek(max(whole, _schema.PAGE_BYTES))
            file.write(empty[max(whole, _schema.PAGE_BYTES) :])


def _copy_rows(table: str, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copy every row that can be read, one query each: an unreadable page hides no other."""
    for number in range(1, _last(table, source) + 1):
        try:
            row = source.execute(f"SELECT * FROM {table} WHERE rowid = ?", (number,)).fetchone()
            if row is not None:
                marks = ", ".join("?" * len(row))
                target.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
        except (sqlite3.Error, UnicodeDecodeError):
            continue


def _last(table: str, source: sqlite3.Connection) -> int:
    """The last row's number, or a bound on it where that cannot be read."""
    try:
        return int(source.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0] or 0)
    except sqlite3.Error:
        pages = int(source.execute("PRAGMA page_count").fetchone()[0])
        return 100 * pages


def _plain(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA cell_size_check=ON")
    return connection
