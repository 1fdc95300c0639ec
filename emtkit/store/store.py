"""The store: one SQLite file that holds every network, history and finding of a project.

Rows are the truth, tables and figures are views of them. One process writes, any number read.
A commit is one transaction, and every row and blob carries a digest that is checked on reading.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from emtkit.errors import StoreError
from emtkit.store import codec, records
from emtkit.store import schema as _schema
from emtkit.store.codec import has_types, object_from_json, seal
from emtkit.store.content import unpack
from emtkit.store.lock import WriterLock
from emtkit.store.write import END, Writer

_ROW = (str, str, str, str, str, str, float, str, str, str, str)
"""Types of the columns of a cell and of a finding, seals aside; seconds are the seventh of both."""


class Store:
    """An open store; made by `Store.open` or `Store.empty`, closed by `close` or a `with`."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, lock: WriterLock | None = None
    ) -> None:
        self.path = path
        self._connection = connection
        self._lock = lock
        self._provenance: dict[str, dict[str, Any]] = {}

    @classmethod
    def open(cls, path: Path, *, writer: bool = False) -> Self:
        """Open a store; a writer creates it where there is none, and is the only one.

        Raises:
            StoreError: another process writes to it (host and process are named), it is damaged,
                no store, of another version, or (for a reader) not there.
        """
        path = _schema.resolved(path)
        if not writer:
            return cls(path, _schema.connect_reader(path))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{path}: its folder cannot be made ({error.strerror}); give another --store"
            ) from error
        # Also for a user who may write to a read-only file all the same (root).
        if path.exists() and not path.stat().st_mode & 0o222:
            raise StoreError(
                f"{path}: the file is read-only; allow writing (chmod u+w) or give another file "
                "with --store"
            )
        lock = WriterLock(path)
        try:
            return cls(path, _schema.connect_writer(path), lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def empty(cls) -> Self:
        """A store in which nothing is done yet, for a plan before the first run."""
        return cls(Path("nowhere"), _schema.connect_empty())

    def close(self) -> None:
        """Close the file and release the lock."""
        self._connection.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def commit(self, bundle: records.Bundle, *, replace: bool = False) -> None:
        """Store these results in one transaction.

        A cell that is done keeps its bytes: equal ones may come again with more snapshots, and a
        failure of a later try does not undo it. With `replace` the new result wins, and what was
        found of the old network goes with it. A cell that ends (not: is lost) drops its state.

        Raises:
            StoreError: a cell came out with other weights than are stored, or the disk failed.
        """
        if not any(vars(bundle).values()):
            return
        with self._transaction() as rows:
            for cell in bundle.cells:
                rows.put_cell(cell, replace=replace)
            for finding in bundle.findings:
                rows.put_finding(finding)
            for state in bundle.states:
                rows.put_state(state)
            for attempt in bundle.attempts:
                rows.put_attempt(attempt)

    def drop_states(self, cells: Iterable[str]) -> None:
        """Delete the training states of these cells."""
        with self._transaction() as rows:
            for cell in cells:
                rows.drop_state(cell)

    def set_progress(self, progress: records.Progress) -> None:
        """Store the progress of a run; at most once a second, since each call is a commit."""
        with self._transaction() as rows:
            rows.put_progress(progress)

    def keys(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Keys of all cells and of all findings, in the order in which they were stored."""
        cells, findings = (
            [key for (key,) in self._all(f"SELECT key FROM {table} ORDER BY rowid")]
            for table in ("cells", "findings")
        )
        for key in (*cells, *findings):
            if not isinstance(key, str):
                raise self._corrupt(f"the key {key!r}")
        return tuple(cells), tuple(findings)

    def digests(self, owners: Iterable[str]) -> dict[tuple[str, str, int], bytes]:
        """Digest of each blob of these cells or findings, by owner, kind and step (-1: the end)."""
        query = "SELECT owner, kind, step, digest FROM blobs WHERE owner"
        return {
            (owner, kind, step): found for owner, kind, step, found in self._select(query, owners)
        }

    def sizes(self, owners: Iterable[str]) -> dict[str, int]:
        """Bytes of all blobs of each of these cells or findings, together."""
        query = "SELECT owner, length(data) FROM blobs WHERE owner"
        found: dict[str, int] = {}
        for owner, size in self._select(query, owners):
            found[owner] = found.get(owner, 0) + size
        return found

    def status_of(self, keys: Iterable[str]) -> dict[str, records.Status]:
        """Status of each of these cells that the store knows."""
        return {key: cell.status for key, cell in self.cells_of(keys).items()}

    def cells_of(self, keys: Iterable[str]) -> dict[str, records.CellResult]:
        """Each of these cells that the store knows, by key, without its bytes.

        Raises:
            StoreError: a row is not as it was written.
        """
        keys = list(keys)
        snapshots: dict[str, list[int]] = {}
        steps = "SELECT owner, step FROM blobs WHERE kind = 'snapshot' AND owner"
        for owner, step in self._select(steps, keys):
            if not isinstance(step, int):
                raise self._corrupt(f"a snapshot of cell {owner}")
            snapshots.setdefault(owner, []).append(step)
        found = {}
        for row in self._select("SELECT * FROM cells WHERE key", keys):
            steps_of = dict.fromkeys(sorted(snapshots.get(row[0], ())))
            record = self._record("cell", _schema.CELL, row)
            found[row[0]] = records.CellResult(**record, snapshots=steps_of)
        return found

    def findings_of(self, keys: Iterable[str]) -> dict[str, records.FindingResult]:
        """Each of these findings that the store knows, by key, without tables and arrays.

        Raises:
            StoreError: a row is not as it was written.
        """
        return {
            row[0]: records.FindingResult(**self._record("finding", _schema.FINDING, row))
            for row in self._select("SELECT * FROM findings WHERE key", keys)
        }

    def weights(self, cell: str, step: int | None = None) -> bytes | None:
        """The cell's weights, at the end or at a snapshot, as safetensors; None if not stored."""
        if step is None:
            return self.blob(cell, "weights")
        return self.blob(cell, "snapshot", step)

    def history(self, cell: str) -> dict[str, Any]:
        """Arrays of the cell's training by name (`loss` per iteration); empty if not stored."""
        blob = self.blob(cell, "history")
        return {} if blob is None else dict(unpack(blob).arrays)

    def content(self, finding: str) -> records.Content:
        """Tables and arrays of a finding; both empty if it has none."""
        blob = self.blob(finding, "content")
        return records.Content({}, {}) if blob is None else unpack(blob)

    def blob(self, owner: str, kind: str, step: int = END) -> bytes | None:
        """A blob by owner and kind (weights, snapshot, history, state, content), checked."""
        query = "SELECT digest, data FROM blobs WHERE owner = ? AND kind = ? AND step = ?"
        rows = self._all(query, (owner, kind, step))
        if not rows:
            return None
        digest, data = rows[0]
        if not isinstance(data, bytes) or codec.sha256(data) != digest:
            raise self._corrupt(f"the {kind} of {owner}")
        return data

    def states_of(self, cells: Iterable[str]) -> dict[str, records.CellState]:
        """The training states of these cells, of those that are being trained."""
        found = {}
        for cell, meta, stamp in self._select("SELECT * FROM states WHERE cell", cells):
            data = self.blob(cell, "state")
            if data is None:
                raise self._corrupt(f"the state of cell {cell}")
            found[cell] = records.CellState(cell, self._meta(cell, meta, stamp), data)
        return found

    def state_metas(self, cells: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The metadata (tier, iteration) of the training states of these cells."""
        query = "SELECT * FROM states WHERE cell"
        return {
            cell: self._meta(cell, meta, stamp) for cell, meta, stamp in self._select(query, cells)
        }

    def attempts_of(self, cells: Iterable[str]) -> dict[str, tuple[records.Attempt, ...]]:
        """The attempts at each of these cells, in order."""
        found: dict[str, tuple[records.Attempt, ...]] = {}
        rows = self._select("SELECT * FROM attempts WHERE cell", cells)
        for row in sorted(row for row in rows if has_types(row, str, int, str, str, float)):
            found[row[0]] = (*found.get(row[0], ()), records.Attempt(*row))
        return found

    def progress(self) -> tuple[records.Progress, ...]:
        """Every run of this store, the one that was updated last at the end.

        Progress has no seal, and no result depends on it: an entry that no run writes is left out.
        """
        found = []
        for row in self._all("SELECT * FROM progress ORDER BY updated"):
            with suppress(StoreError):
                counts = object_from_json(row[-1], int)
                kinds = (str, str, str, float, float, str, *[int] * len(counts))
                if has_types((*row, *counts.values()), *kinds):
                    run, study, state, started, updated, _ = row
                    found.append(records.Progress(run, study, state, started, updated, counts))
        return tuple(found)

    def set_times(
        self, statements: Iterable[records.Statement], done: Mapping[str, float] | None = None
    ) -> None:
        """Store when claims were first seen, and cells first done; earlier times stay."""
        with self._transaction() as rows:
            for statement in statements:
                rows.put_statement(statement)
            for cell, at in (done or {}).items():
                rows.put_done(cell, at)

    def statements(self) -> tuple[records.Statement, ...]:
        """Every claim of every study that was planned or run, as often as it was changed.

        Like progress, without a seal: an entry that no run writes is left out.
        """
        rows = self._all("SELECT * FROM statements") if self._has_times() else []
        return tuple(
            records.Statement(*row) for row in rows if has_types(row, str, str, str, float)
        )

    def done_at(self, cells: Iterable[str]) -> dict[str, float]:
        """When each of these cells was first done; not of those stored before that was recorded."""
        query = "SELECT * FROM done WHERE cell"
        rows = self._select(query, cells) if self._has_times() else []
        return {row[0]: row[1] for row in rows if has_types(row, str, float)}

    def _has_times(self) -> bool:
        """Whether it is not of version 1, which is extended when it is first written to."""
        return bool(self._all("SELECT name FROM sqlite_master WHERE name = 'done'"))

    @contextmanager
    def _transaction(self) -> Iterator[Writer]:
        if self._lock is None:
            raise StoreError(f"{self.path}: open for reading; nothing can be stored in it")
        with _schema.translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield Writer(self.path, self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself rolls back on a full disk
                    self._connection.execute("ROLLBACK")
                raise

    def _meta(self, cell: str, meta: str, stamp: bytes) -> dict[str, Any]:
        """The metadata of a training state, after its seal is checked."""
        if seal((cell, meta)) == stamp:
            found = object_from_json(meta)
            if isinstance(found.get("tier", ""), str):
                return found
        raise self._corrupt(f"the state of cell {cell}")

    def _record(self, what: str, columns: Sequence[str], row: tuple[Any, ...]) -> dict[str, Any]:
        """The fields that a row holds, after its seal is checked."""
        *whole, _, source, stamp = row
        if seal(row[:-1]) != stamp or not has_types(row[:-1], *_ROW):
            raise self._corrupt(f"{what} {row[0]}")
        if source not in self._provenance:
            found = self._all("SELECT text FROM provenance WHERE key = ?", (source,))
            if not found or codec.name_of(str(found[0][0]).encode()) != source:
                raise self._corrupt(f"the provenance of {what} {row[0]}")
            self._provenance[source] = object_from_json(found[0][0])
        held = dict(zip(columns, whole, strict=True))
        return {
            **held,
            "identity": codec.shared_from_json(held["identity"]),
            "scalars": codec.scalars_from_json(held["scalars"]),
            "reasons": codec.texts_from_json(held["reasons"]),
            "provenance": self._provenance[source],
        }

    def _select(self, query: str, keys: Iterable[str]) -> list[Any]:
        """Rows of `query`, which ends in a column's name, for these values of that column."""
        wanted = list(dict.fromkeys(keys))
        rows: list[Any] = []
        for start in range(0, len(wanted), 500):  # SQLite bounds the number of placeholders
            some = wanted[start : start + 500]
            rows += self._all(f"{query} IN ({', '.join('?' * len(some))})", some)
        return rows

    def _all(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        """All rows at once: an open cursor would keep the writer from committing."""
        with _schema.translated(self.path):
            return self._connection.execute(query, values).fetchall()

    def _corrupt(self, what: str) -> StoreError:
        return StoreError(f"{self.path}: {_schema.damaged(f'{what} is not as it was written')}")
