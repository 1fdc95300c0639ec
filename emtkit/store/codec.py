"""Results to bytes and back: JSON for plain values, safetensors for tensors, never pickle."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from emtkit.errors import PluginError, StoreError
from emtkit.store.records import (
    Attempt,
    Bundle,
    CellResult,
    CellState,
    FindingResult,
    Scalar,
    Seen,
)

R = TypeVar("R", CellResult, FindingResult, CellState, Attempt, Seen)

_MAGIC = b"emtkit-bundle-1\n"

_MOST = 1e12
MAX_BLOB = 2**29
"""The largest result that is stored; SQLite itself takes blobs up to about twice of it."""


def encode(bundle: Bundle) -> bytes:
    """The bytes of a message: magic, length of the head, a JSON head, then the blobs in order."""
    blobs: list[bytes] = []
    head = {
        part.name: [_flat(record, blobs) for record in getattr(bundle, part.name)]
        for part in fields(bundle)
    }
    text = to_json({**head, "sizes": [len(blob) for blob in blobs]}).encode()
    return b"".join([_MAGIC, len(text).to_bytes(8, "little"), text, *blobs])


def decode(data: bytes) -> Bundle:
    """The message that `encode` wrote.

    Raises:
        StoreError: the bytes are not a complete message of this version.
    """
    start = len(_MAGIC) + 8
    if not data.startswith(_MAGIC) or len(data) < start:
        raise StoreError(
            "a message does not begin like an emtkit bundle; do worker and coordinator run the "
            "same emtkit?"
        )
    end = start + int.from_bytes(data[len(_MAGIC) : start], "little")
    try:
        head = json.loads(data[start:end])
        sizes = head["sizes"]
        if end + sum(sizes) != len(data):
            raise ValueError(f"{len(data)} bytes, where the head announces {end + sum(sizes)}")
        blobs = _cut(data, end, sizes)
        return Bundle(
            cells=tuple(_record(CellResult, plain, blobs) for plain in head["cells"]),
            findings=tuple(_record(FindingResult, plain, blobs) for plain in head["findings"]),
            states=tuple(_record(CellState, plain, blobs) for plain in head["states"]),
            attempts=tuple(_record(Attempt, plain, blobs) for plain in head["attempts"]),
            seen=tuple(_record(Seen, plain, blobs) for plain in head["seen"]),
        )
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise StoreError(f"a message from a worker cannot be read: {error}") from error


def to_json(value: Any) -> str:
    """Canonical JSON: equal values give equal text, and no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def scalars_to_json(scalars: Mapping[str, Scalar]) -> str:
    """Scalars as JSON, in their order, that gives each back with type and every bit; NaN is null.

    An infinity, which JSON lacks, is `{"float": "inf"}`.
    """
    return json.dumps({name: plain(name, value) for name, value in scalars.items()})


def scalars_from_json(text: str) -> dict[str, Scalar]:
    """The scalars that `scalars_to_json` wrote."""
    found = from_json(text)
    try:
        return {name: value_of(value) for name, value in found.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"the store has something else where scalars belong: {text[:80]}"
        ) from error


def from_json(text: str) -> Any:
    """The value of JSON text from a store, which may come from someone else.

    Raises:
        StoreError: it is not JSON.
    """
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(
            f"the store has something else where JSON belongs: {str(text)[:80]}"
        ) from error


def object_from_json(text: str, *kinds: type) -> dict[str, Any]:
    """The JSON object that `text` is, each of its values of one of `kinds` (of any, without).

    Raises:
        StoreError: it is something else.
    """
    found = from_json(text)
    values = found.values() if isinstance(found, dict) else (found,)
    if not isinstance(found, dict) or (kinds and any(type(value) not in kinds for value in values)):
        raise StoreError(f"the store has something else where JSON belongs: {str(text)[:80]}")
    return found


def has_types(row: Sequence[object], *kinds: type) -> bool:
    """Whether a row's values have these types, as only a foreign store's may not.

    Numbers are also within a bound that no measurement passes: seconds, counts and times.
    """
    return len(row) == len(kinds) and all(
        type(value) is kind and (kind not in (int, float) or abs(value) < _MOST)  # type: ignore[arg-type]
        for value, kind in zip(row, kinds, strict=True)
    )


def encodable(text: str) -> str:
    """Text that UTF-8 can encode: a traceback, or a foreign store, may hold lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()


def sha256(blob: bytes) -> bytes:
    """The digest under which a blob is stored."""
    return hashlib.sha256(blob).digest()


def name_of(blob: bytes) -> str:
    """The first half of a blob's digest, as text."""
    return sha256(blob).hex()[:32]


def seal(parts: Sequence[object]) -> bytes:
    """Digest of a row's fields, so that a number changed on the disk does not reach a table."""
    return hashlib.sha256(repr(tuple(parts)).encode("utf-8", "backslashreplace")).digest()[:16]


def _flat(record: object, blobs: list[bytes]) -> dict[str, Any]:
    """A record as plain values; bytes move to `blobs` and are replaced by their number."""

    def number(blob: bytes | None) -> int | None:
        if blob is None:
            return None
        if len(blob) > MAX_BLOB:
            raise PluginError(
                f"a result of {len(blob) / 2**30:.1f} GiB; one network, history or finding has at "
                f"most {MAX_BLOB / 2**30:.1f} GiB (give fewer arrays, or smaller ones)"
            )
        blobs.append(blob)
        return len(blobs) - 1

    rules: dict[str, Callable[[Any], Any]] = {
        "weights": number,
        "history": number,
        "content": number,
        "data": number,
        "snapshots": lambda held: [[step, number(held[step])] for step in sorted(held)],
        "scalars": scalars_to_json,
    }
    values = {entry.name: getattr(record, entry.name) for entry in fields(record)}  # type: ignore[arg-type]
    return {name: rules[name](value) if name in rules else value for name, value in values.items()}


def _record(kind: type[R], plain: dict[str, Any], blobs: Sequence[bytes]) -> R:
    def blob(number: int | None) -> bytes | None:
        return None if number is None else blobs[number]

    rules: dict[str, Callable[[Any], Any]] = {
        "weights": blob,
        "history": blob,
        "content": blob,
        "data": blob,
        "snapshots": lambda held: {step: blobs[number] for step, number in held},
        "scalars": scalars_from_json,
    }
    values = {name: rules[name](value) if name in rules else value for name, value in plain.items()}
    return kind(**values)


def _cut(data: bytes, start: int, sizes: Sequence[int]) -> list[bytes]:
    blobs = []
    for size in sizes:
        blobs.append(data[start : start + size])
        start += size
    return blobs


def plain(name: str, value: object) -> Any:
    """A scalar as JSON has it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else {"float": repr(value)}
    if isinstance(value, bool | int | float | str):
        return value
    raise PluginError(
        f"the scalar '{name}' is a {type(value).__name__}; a scalar is a float, int, bool or str"
    )


def value_of(plain: Any) -> Scalar:
    """The scalar that JSON has as `plain`."""
    if plain is None:
        return math.nan
    if isinstance(plain, dict):
        return float(plain["float"])
    if isinstance(plain, str):
        return encodable(plain)
    if isinstance(plain, bool | int | float):
        return plain
    raise ValueError(f"a scalar is stored as {type(plain).__name__}")
