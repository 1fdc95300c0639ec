"""Tables and arrays of a finding as one safetensors blob, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from emtkit.errors import PluginError, StoreError
from emtkit.store.codec import plain, value_of
from emtkit.store.records import Content

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]

_FRACTIONS = ("f2", "f4", "f8")
_COMPLEX = {"c8": (np.complex64, np.float32), "c16": (np.complex128, np.float64)}


def pack(tables: Mapping[str, pd.DataFrame], arrays: Mapping[str, Array]) -> bytes:
    """Tables and arrays as one safetensors blob; equal content gives equal bytes.

    Numeric columns and arrays are tensors (complex ones with a last axis: real, imaginary); text
    and mixed columns are in the metadata, as is the order of the columns. A named index
    becomes a column; an unnamed one is dropped.

    Raises:
        PluginError: a value is neither number, truth value, text nor None.
    """
    tensors: dict[str, Array] = {}
    notes: dict[str, Any] = {"arrays": {}, "tables": {}}
    for name, array in arrays.items():
        place = f"array/{len(notes['arrays'])}"
        notes["arrays"][name] = [place, _put(np.asarray(array), place, f"array '{name}'", tensors)]
    for name, table in tables.items():
        place = f"table/{len(notes['tables'])}"
        named = [level for level in table.index.names if level is not None]
        table = table.reset_index(level=named).reset_index(drop=True) if named else table
        if len(set(table.columns)) < len(table.columns):  # faster than the index of `is_unique`
            raise PluginError(f"table '{name}' has two columns of one name; rename one")
        notes["tables"][name] = {
            "rows": len(table),
            "columns": [
                _column(str(label), column, f"{place}/{n}", f"table '{name}'", tensors)
                for n, (label, column) in enumerate(table.items())
            ],
        }
    # One metadata key only: safetensors writes several in no fixed order.
    return save_tensors(tensors, metadata={"emtkit": json.dumps(notes, allow_nan=False)})


def unpack(blob: bytes) -> Content:
    """The tables and arrays that `pack` wrote.

    Raises:
        StoreError: the bytes are not what `pack` writes.
    """
    import pandas as pd

    try:
        tensors = load_tensors(blob)
        length = int.from_bytes(blob[:8], "little")
        notes = json.loads(json.loads(blob[8 : 8 + length])["__metadata__"]["emtkit"])
        arrays = {name: _get(tensors[at], kind) for name, (at, kind) in notes["arrays"].items()}
        tables = {}
        for name, table in notes["tables"].items():
            series = [_series(column, tensors) for column in table["columns"]]
            frame = (
                pd.concat(series, axis=1) if series else pd.DataFrame(index=range(table["rows"]))
            )
            frame.columns = pd.Index([column["name"] for column in table["columns"]], dtype=object)
            tables[name] = frame
        return Content(tables, arrays)
    except (SafetensorError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise StoreError(f"tables and arrays of a finding cannot be read: {error}") from error


def to_safetensors(arrays: Mapping[str, Array]) -> bytes:
    """Arrays by their own names, for other programs; complex ones get a last axis (re, im).

    Raises:
        PluginError: an array does not hold numbers.
    """
    tensors: dict[str, Array] = {}
    for name, array in arrays.items():
        _put(np.asarray(array), name, f"array '{name}'", tensors)
    return save_tensors(tensors)


def _put(array: Array, place: str, owner: str, tensors: dict[str, Array]) -> str:
    """Add an array to the tensors; returns how to read it back."""
    # In C order: safetensors writes the memory of a strided array as if it had none.
    array = array.astype(array.dtype.newbyteorder("="), order="C", copy=False)
    kind = array.dtype.str[1:]
    if kind in _COMPLEX:
        parts = [array.real, array.imag]
        tensors[place] = np.stack(parts, axis=-1).astype(_COMPLEX[kind][1], copy=False)
    elif array.dtype.kind in "bui" or kind in _FRACTIONS:
        tensors[place] = array
    else:
        raise PluginError(
            f"{owner} has dtype {array.dtype}; allowed are truth values, integers, float16 to "
            "float64, complex64 and complex128 (text goes into a table)"
        )
    return kind


def _get(tensor: Array, kind: str) -> Array:
    if kind not in _COMPLEX:
        return tensor
    whole = np.empty(tensor.shape[:-1], dtype=_COMPLEX[kind][0])
    whole.real, whole.imag = tensor[..., 0], tensor[..., 1]
    return whole


def _column(
    name: str, column: pd.Series[Any], place: str, owner: str, tensors: dict[str, Array]
) -> dict[str, Any]:
    """One column: a tensor where numpy has its dtype, else plain values in the metadata."""
    import pandas as pd

    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "buifc":
        return {
            "name": name,
            "at": place,
            "kind": _put(column.to_numpy(), place, f"column '{name}' of {owner}", tensors),
        }
    values = [_cell(value, f"column '{name}' of {owner}") for value in column]
    return {"name": name, "values": values, "text": isinstance(column.dtype, pd.StringDtype)}


def _cell(value: object, owner: str) -> Any:
    import pandas as pd

    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    with suppress(PluginError):
        return plain(owner, value)
    kind = type(value).__name__
    raise PluginError(f"{owner} holds a {kind}; a table holds numbers, truth values, text and None")


def _series(column: dict[str, Any], tensors: Mapping[str, Array]) -> pd.Series[Any]:
    import pandas as pd

    if "at" in column:
        return pd.Series(_get(tensors[column["at"]], column["kind"]))
    values = [None if value is None else value_of(value) for value in column["values"]]
    return pd.Series(values, dtype="str" if column["text"] else object)
