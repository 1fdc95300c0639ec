"""A study's results in open formats, for those who go on without emtkit."""

import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emtkit.errors import EmtkitError
from emtkit.report.data.frame import read_results
from emtkit.report.data.pairs import pair_reasons
from emtkit.report.data.sides import BETWEEN
from emtkit.store.content import to_safetensors
from emtkit.store.store import Store
from emtkit.study.cells import Row
from emtkit.study.network_pairs import NetworkPair
from emtkit.text import csv_cell


def export(
    rows: Sequence[Row], store: Store, out: Path, pairs: Sequence[NetworkPair] = ()
) -> tuple[Path, ...]:
    """Write what the store has of these rows and pairs; the answer lists the files.

    `frame.csv` (a row per cell, floats in shortest exact form) and, where pyarrow is installed,
    `frame.parquet`; `reasons.csv` (why a value is missing); `tables/<label>.<table>.csv` (all
    cells below each other, columns `cell` and `grid` first); `arrays/<grid>/<cell>.safetensors`
    (arrays of analyses as `<label>.<array>`, complex ones with a last axis of real and imaginary
    part, and the history as `train.<name>`); `weights/<cell>.safetensors`. Of pairs: `pairs.csv` (a
    row per two networks that are compared, `cell` and `other.cell`, and a column per scalar), their
    reasons under both keys, `pair_tables/` and `pair_arrays/<cell>~<other>.safetensors`.

    Raises:
        StoreError: the store is damaged where it was read.
        EmtkitError: `out` cannot be written.
    """
    try:
        return tuple(_export(rows, store, out, pairs))
    except OSError as error:
        raise EmtkitError(
            f"cannot export to {out} ({error.strerror}: {error.filename}); choose another --out"
        ) from error


def _export(
    rows: Sequence[Row], store: Store, out: Path, pairs: Sequence[NetworkPair]
) -> Iterator[Path]:
    out.mkdir(parents=True, exist_ok=True)
    found = read_results(rows, store)
    reasons: list[tuple[str, ...]] = []
    _write(out / "frame.csv", _csv(found.frame))
    yield out / "frame.csv"
    if pairs:
        frame, reasons = _compared(pairs, store)
        yield _write(out / "pairs.csv", _csv(frame))
    whole = pd.DataFrame(reasons, columns=found.reasons.columns, dtype=str)
    yield _write(out / "reasons.csv", _csv(pd.concat([found.reasons, whole], ignore_index=True)))
    if find_spec("pyarrow") is not None:
        # A mixed column (truth values with gaps) has no parquet type: it goes as text.
        frame = found.frame.copy()
        for name in frame.columns[[dtype.kind == "O" for dtype in frame.dtypes]]:
            frame[name] = frame[name].map(str, na_action="ignore")
        frame.to_parquet(out / "frame.parquet", index=False)
        yield out / "frame.parquet"
    yield from _contents(rows, store, out)
    yield from _contents_of_pairs(pairs, store, out)


def _compared(
    pairs: Sequence[NetworkPair], store: Store
) -> tuple[pd.DataFrame, list[tuple[str, ...]]]:
    """A row per pair, and the reasons of what is not there."""
    known = store.findings_of(measure.key for pair in pairs for measure in pair.measures)
    records, reasons = [], list[tuple[str, ...]]()
    for pair in pairs:
        keys = pair.first.cell.key, pair.second.cell.key
        record: dict[str, object] = {"cell": keys[0], "other.cell": keys[1]}
        for measure in pair.measures:
            found = known.get(measure.key)
            scalars = found.scalars if found else {}
            record |= {f"{measure.label}.{name}": value for name, value in scalars.items()}
            reasons += pair_reasons(BETWEEN.join(keys), measure, found)
        records.append(record)
    return pd.DataFrame(records), reasons


def _contents_of_pairs(pairs: Sequence[NetworkPair], store: Store, out: Path) -> Iterator[Path]:
    tables: dict[str, list[pd.DataFrame]] = {}
    for pair in pairs:
        keys = pair.first.cell.key, pair.second.cell.key
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for measure in pair.measures:
            content = store.content(measure.key)
            arrays |= {f"{measure.label}.{name}": a for name, a in content.arrays.items()}
            for name, table in content.tables.items():
                whose = pd.DataFrame({"cell": [keys[0]] * len(table), "other.cell": keys[1]})
                own = table.rename(columns={"cell": "table.cell"})
                tables.setdefault(f"{measure.label}.{name}", []).append(
                    pd.concat([whose, own], axis=1)
                )
        if arrays:
            place = out / "pair_arrays" / f"{BETWEEN.join(keys)}.safetensors"
            yield _write(place, to_safetensors(arrays))
    for name, parts in tables.items():
        data = _csv(pd.concat(parts, ignore_index=True))
        yield _write(out / "pair_tables" / f"{_file_name(name)}.csv", data)


def _contents(rows: Sequence[Row], store: Store, out: Path) -> Iterator[Path]:
    """Weights, arrays and tables; a cell's arrays once per grid, since labels are a grid's own."""
    tables: dict[str, list[pd.DataFrame]] = {}
    labels: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        known = labels.setdefault((row.grid, row.cell.key), {})
        known |= {measure.label: measure.key for measure in row.measures}
    for cell in dict.fromkeys(cell for _, cell in labels):
        weights = store.weights(cell)
        if weights is not None:
            yield _write(out / "weights" / f"{cell}.safetensors", weights)
    for (grid, cell), keys in labels.items():
        arrays = {f"train.{name}": array for name, array in store.history(cell).items()}
        for label, key in keys.items():
            content = store.content(key)
            arrays |= {f"{label}.{name}": array for name, array in content.arrays.items()}
            for name, table in content.tables.items():
                whose = pd.DataFrame({"cell": [cell] * len(table), "grid": grid})
                table = table.rename(columns={"cell": "table.cell", "grid": "table.grid"})
                tables.setdefault(f"{label}.{name}", []).append(pd.concat([whose, table], axis=1))
        if arrays:
            place = out / "arrays" / _file_name(grid) / f"{cell}.safetensors"
            yield _write(place, to_safetensors(arrays))
    for name, parts in tables.items():
        data = _csv(pd.concat(parts, ignore_index=True))
        yield _write(out / "tables" / f"{_file_name(name)}.csv", data)


def _csv(frame: pd.DataFrame) -> bytes:
    """CSV in which no text is a formula: see `csv_cell`."""
    safe = {
        at: column.map(csv_cell) if column.dtype.kind == "O" else column
        for at, (_, column) in enumerate(frame.items())
    }
    heads = [csv_cell(str(name)) for name in frame.columns]
    return pd.DataFrame(safe).set_axis(heads, axis=1).to_csv(index=False).encode()


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _file_name(name: str) -> str:
    """A name out of a study or plugin, which must not lead out of the folder."""
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "_"
