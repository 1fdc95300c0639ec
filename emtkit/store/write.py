"""How results become rows: the statements of the one writer, each inside its transaction."""

import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from emtkit.errors import StoreError
from emtkit.store import schema as _schema
from emtkit.store.codec import encodable, name_of, scalars_to_json, seal, sha256, to_json
from emtkit.store.records import Attempt, CellResult, CellState, FindingResult, Progress, Statement

END = -1
"""The step of a blob that is not a snapshot."""


class Writer:
    """Puts records into an open transaction; only here is decided what they replace."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._execute = connection.execute

    def put_cell(self, cell: CellResult, *, replace: bool) -> None:
        """How a cell ended; see `Store.commit` for a cell that is done already."""
        found = self._execute("SELECT status FROM cells WHERE key = ?", (cell.key,))
        if not replace and found.fetchone() == ("done",):
            if cell.status == "done":
                self._add_snapshots(cell)
                self.drop_state(cell.key)
            return
        if replace:
            old = "(SELECT key FROM findings WHERE cell = ?)"
            self._execute(f"DELETE FROM blobs WHERE owner IN {old}", (cell.key,))
            self._execute("DELETE FROM findings WHERE cell = ?", (cell.key,))
        if cell.status != "lost":
            self.drop_state(cell.key)
        self._execute("DELETE FROM blobs WHERE owner = ? AND kind != 'state'", (cell.key,))
        blobs = {"weights": cell.weights, "history": cell.history}
        self._put_record("cells", _schema.CELL, cell, blobs)
        if cell.status == "done":
            self.put_done(cell.key, time.time())
        self._put_snapshots(cell)

    def put_finding(self, finding: FindingResult) -> None:
        """Write a finding; it replaces an earlier one."""
        self._execute("DELETE FROM blobs WHERE owner = ?", (finding.key,))
        self._put_record("findings", _schema.FINDING, finding, {"content": finding.content})

    def put_state(self, state: CellState) -> None:
        """Write the training state of a cell; it replaces an earlier one."""
        meta = to_json(state.meta)
        row = (state.cell, meta, seal((state.cell, meta)))
        self._execute("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", row)
        self._put_blob(state.cell, "state", END, state.data)

    def drop_state(self, cell: str) -> None:
        """Delete the training state of a cell."""
        self._execute("DELETE FROM states WHERE cell = ?", (cell,))
        self._execute("DELETE FROM blobs WHERE owner = ? AND kind = 'state'", (cell,))

    def put_attempt(self, attempt: Attempt) -> None:
        """Write one attempt at a cell."""
        row = {**vars(attempt), "text": encodable(attempt.text)}
        query = "INSERT OR REPLACE INTO attempts VALUES (:cell, :number, :outcome, :text, :seconds)"
        self._execute(query, row)

    def put_progress(self, progress: Progress) -> None:
        """Write the progress of a run; it replaces the earlier one."""
        texts = {"study": encodable(progress.study), "counts": to_json(progress.counts)}
        names = ":run, :study, :state, :started, :updated, :counts"
        query = f"INSERT OR REPLACE INTO progress VALUES ({names})"
        self._execute(query, {**vars(progress), **texts})

    def put_statement(self, statement: Statement) -> None:
        """Write when a claim was first seen; of two times the earlier stays."""
        row = (encodable(statement.study), statement.claim, statement.digest, statement.seen)
        keep = "ON CONFLICT DO UPDATE SET seen = min(seen, excluded.seen)"
        self._execute(f"INSERT INTO statements VALUES (?, ?, ?, ?) {keep}", row)

    def put_done(self, cell: str, at: float) -> None:
        """Write when a cell was first done; of two times the earlier stays."""
        keep = "ON CONFLICT DO UPDATE SET at = min(at, excluded.at)"
        self._execute(f"INSERT INTO done VALUES (?, ?) {keep}", (cell, at))

    def _add_snapshots(self, cell: CellResult) -> None:
        """Snapshots of a cell that is done, after its bytes were found equal."""
        stored = self._execute(
            "SELECT digest FROM blobs WHERE owner = ? AND kind = 'weights'", (cell.key,)
        ).fetchone()
        if cell.weights is not None and stored != (sha256(cell.weights),):
            raise StoreError(
                f"{self._path}: cell {cell.key} was trained again and has other weights than those "
                "stored, which were kept; was it another machine or other code? Train into another "
                "file (--store) and compare with `emtkit merge`"
            )
        self._put_snapshots(cell)

    def _put_record(
        self,
        table: str,
        columns: Sequence[str],
        record: CellResult | FindingResult,
        blobs: Mapping[str, bytes | None],
    ) -> None:
        """Write a row with its blobs, its provenance (of which there are few) and its seal."""
        held = {kind: data for kind, data in blobs.items() if data is not None}
        for kind, data in held.items():
            self._put_blob(record.key, kind, END, data)
        text = to_json(record.provenance)
        source = name_of(text.encode())
        self._execute("INSERT OR IGNORE INTO provenance VALUES (?, ?)", (source, text))
        values = {
            **vars(record),
            "identity": to_json(record.identity),
            "scalars": scalars_to_json(record.scalars),
            "reasons": to_json(record.reasons),
            "seconds": float(record.seconds),
            "error": encodable(record.error),
        }
        parts = to_json({kind: name_of(data) for kind, data in held.items()})
        whole = (*(values[name] for name in columns), parts, source)
        marks = ", ".join("?" * (len(whole) + 1))
        self._execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", (*whole, seal(whole)))

    def _put_snapshots(self, cell: CellResult) -> None:
        for step, data in cell.snapshots.items():
            assert data is not None
            self._put_blob(cell.key, "snapshot", step, data)

    def _put_blob(self, owner: str, kind: str, step: int, data: bytes) -> None:
        row = (owner, kind, step, sha256(data), data)
        self._execute("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?)", row)
