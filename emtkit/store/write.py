"""How results become rows: the statements of the one writer, each inside its transaction."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emtkit.errors import StoreError
from emtkit.store.codec import encodable, name_of, scalars_to_json, seal, sha256, to_json
from emtkit.store.records import Attempt, CellResult, CellState, FindingResult, Progress

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
        fields = (
            cell.key,
            to_json(cell.identity),
            cell.status,
            scalars_to_json(cell.scalars),
            to_json(cell.reasons),
            cell.tier,
            float(cell.seconds),
            cell.digest,
            encodable(cell.error),
        )
        blobs = {"weights": cell.weights, "history": cell.history}
        self._put_row("cells", fields, blobs, cell.provenance)
        for step, data in cell.snapshots.items():
            self._put_blob(cell.key, "snapshot", step, data)

    def put_finding(self, finding: FindingResult) -> None:
        """Write a finding; it replaces an earlier one."""
        fields = (
            finding.key,
            finding.cell,
            to_json(finding.identity),
            finding.status,
            scalars_to_json(finding.scalars),
            to_json(finding.reasons),
            float(finding.seconds),
            finding.digest,
            encodable(finding.error),
        )
        self._execute("DELETE FROM blobs WHERE owner = ?", (finding.key,))
        self._put_row("findings", fields, {"content": finding.content}, finding.provenance)

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
        row = (
            attempt.cell,
            attempt.number,
            attempt.outcome,
            encodable(attempt.text),
            attempt.seconds,
        )
        self._execute("INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?)", row)

    def put_progress(self, progress: Progress) -> None:
        """Write the progress of a run; it replaces the earlier one."""
        row = (
            progress.run,
            encodable(progress.study),
            progress.state,
            progress.started,
            progress.updated,
            to_json(progress.counts),
        )
        self._execute("INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?, ?)", row)

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
        for step, data in cell.snapshots.items():
            self._put_blob(cell.key, "snapshot", step, data)

    def _put_row(
        self,
        table: str,
        fields: tuple[Any, ...],
        blobs: Mapping[str, bytes | None],
        provenance: Mapping[str, Any],
    ) -> None:
        """Write a row with its blobs, its provenance (of which there are few) and its seal."""
        held = {kind: data for kind, data in blobs.items() if data is not None}
        for kind, data in held.items():
            self._put_blob(fields[0], kind, END, data)
        parts = to_json({kind: name_of(data) for kind, data in held.items()})
        text = to_json(provenance)
        source = name_of(text.encode())
        self._execute("INSERT OR IGNORE INTO provenance VALUES (?, ?)", (source, text))
        whole = (*fields, parts, source)
        marks = ", ".join("?" * (len(whole) + 1))
        self._execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", (*whole, seal(whole)))

    def _put_blob(self, owner: str, kind: str, step: int, data: bytes) -> None:
        row = (owner, kind, step, sha256(data), data)
        self._execute("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?)", row)
