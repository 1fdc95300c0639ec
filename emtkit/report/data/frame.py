"""From the store to a tidy frame: a row per cell, a column per parameter and scalar."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from emtkit.report.data.results import Results
from emtkit.store.records import CellResult, FindingResult
from emtkit.store.store import Store
from emtkit.study.cells import Row
from emtkit.study.columns import columns

Reason = tuple[str, str, str, str, str]
_REASONS = ["cell", "label", "scalar", "reason", "status"]
_EXACT = 2**53
"""Integers beyond are not exact in float64: they name things, and are shown as text."""


def read_results(
    rows: Sequence[Row], store: Store, conditions: Mapping[str, tuple[str, ...]] | None = None
) -> Results:
    """The frame of these rows, and with it the reason of everything that has no value.

    `frame`: cell, grid, status (done, failed, lost, not_applicable, missing), reason, seed, task,
    architecture, parameters, `train.<scalar>`, `test.<metric>`, `<analysis>.<scalar>`.
    `reasons`: cell, label, scalar, reason, status; an empty scalar speaks of the whole finding,
    the label `train` of the cell itself. `conditions` are those of the plan.

    Raises:
        StoreError: the store is damaged where it was read.
    """
    cells = store.cells_of(row.cell.key for row in rows)
    findings = store.findings_of(key for row in rows for _, key, _ in _findings_on(row))
    records = [_record(row, cells.get(row.cell.key), findings) for row in rows]
    found = [reason for row in rows for reason in _reasons(row, cells, findings)]
    reasons = pd.DataFrame(found, columns=_REASONS, dtype=str)
    return Results(_table(records), reasons.drop_duplicates(ignore_index=True), conditions)


def _findings_on(row: Row) -> Iterator[tuple[str, str, str | None]]:
    """Label and key of every finding on the row's network, and why it does not apply, if so."""
    for spec in row.evaluation_specs:
        yield spec.label, spec.key, spec.reason
    for measure in row.measures:
        yield measure.label, measure.key, measure.reason


def _status_of(row: Row, stored: CellResult | None) -> str:
    """What became of the row's cell: not applicable by the plan, else as the store has it."""
    if row.cell.reason is not None:
        return "not_applicable"
    return "missing" if stored is None else stored.status


def _record(
    row: Row, stored: CellResult | None, findings: Mapping[str, FindingResult]
) -> dict[str, Any]:
    record = {
        "cell": row.cell.key,
        "grid": row.grid,
        "status": _status_of(row, stored),
        "reason": _cause(row, stored),
        **columns(row),
    }
    if stored is not None and row.cell.reason is None:
        record |= {f"train.{name}": value for name, value in stored.scalars.items()}
    for label, key, _ in _findings_on(row):
        if key in findings:
            record |= {f"{label}.{name}": v for name, v in findings[key].scalars.items()}
    return record


def _cause(row: Row, stored: CellResult | None) -> str:
    """One line on why the cell is not done; a traceback's last."""
    if row.cell.reason is not None:
        return row.cell.reason
    if stored is None or stored.status == "done":
        return ""
    return next((line for line in reversed(stored.error.splitlines()) if line.strip()), "")


def _reasons(
    row: Row, cells: Mapping[str, CellResult], findings: Mapping[str, FindingResult]
) -> Iterator[Reason]:
    key = row.cell.key
    stored = cells.get(key)
    status = _status_of(row, stored)
    if stored is None or status != "done":
        error = stored.error if stored is not None and row.cell.reason is None else ""
        text = row.cell.reason or error or "not trained yet; `emtkit run` trains it"
        yield key, "train", "", text, status
        return
    for scalar, reason in stored.reasons.items():
        yield key, "train", scalar, reason, "done"
    for label, at, refusal in _findings_on(row):
        found = findings.get(at)
        if refusal is not None:
            yield key, label, "", refusal, "not_applicable"
        elif found is None:
            yield key, label, "", "not measured yet; `emtkit run` measures it", "missing"
        elif found.status != "done":
            yield key, label, "", found.error, found.status
        else:
            blank = [name for name, value in found.scalars.items() if value != value]
            unsaid = [name for name in blank if name not in found.reasons]
            said = dict.fromkeys(unsaid, "undefined; the analysis does not say why")
            for scalar, reason in {**found.reasons, **said}.items():
                yield key, label, scalar, reason, "done"


def _table(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    names = dict.fromkeys(name for record in records for name in record)
    return pd.DataFrame({name: column_of([r.get(name) for r in records]) for name in names})


def column_of(values: list[Any]) -> Any:
    """A column whose dtype is the same whatever is missing: numbers stay numbers, text text."""
    present = [value for value in values if value is not None]
    kinds = set(map(type, present))

    def has(*wanted: type) -> bool:
        return any(issubclass(kind, wanted) for kind in kinds)

    if has(list, tuple, Mapping):
        values = [v if v is None else json.dumps(v) for v in values]
        return pd.Series(values, dtype="str")
    if has(str):
        text = all(issubclass(kind, str) for kind in kinds)
        return pd.Series(values, dtype="str" if text else object)
    if has(bool):
        whole = len(present) == len(values)
        return pd.Series(
            [math.nan if v is None else v for v in values], dtype="bool" if whole else object
        )
    if has(int) and any(isinstance(value, int) and abs(value) > _EXACT for value in present):
        return pd.Series([v if v is None else str(v) for v in values], dtype="str")
    if present and len(present) == len(values) and all(issubclass(kind, int) for kind in kinds):
        return np.array(values, dtype=np.int64)
    return np.array([math.nan if v is None else v for v in values], dtype=np.float64)
