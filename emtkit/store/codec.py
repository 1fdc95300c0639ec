"""Plain values as JSON and back, and the digests of what is stored."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emtkit.errors import PluginError, StoreError
from emtkit.store.records import Scalar


def to_json(value: Any) -> str:
    """Canonical JSON: equal values give equal text, and no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def scalars_to_json(scalars: Mapping[str, Scalar]) -> str:
    """Scalars as JSON, in their order, that gives each back with type and every bit; NaN is null.

    An infinity, which JSON lacks, is `{"float": "inf"}`.
    """
    return json.dumps({name: plain(name, value) for name, value in scalars.items()})


def scalars_from_json(text: str) -> dict[str, Scalar]:
    """The scalars again."""
    found = from_json(text)
    try:
        return {name: value_of(value) for name, value in found.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"the store holds no scalars where it should: {text[:80]}") from error


def from_json(text: str) -> Any:
    """The value of JSON text out of a store, which may be a stranger's.

    Raises:
        StoreError: it is no JSON.
    """
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"the store holds no JSON where it should: {str(text)[:80]}") from error


def sha256(blob: bytes) -> bytes:
    """The digest under which a blob is stored."""
    return hashlib.sha256(blob).digest()


def name_of(blob: bytes) -> str:
    """The first half of a blob's digest, as text."""
    return sha256(blob).hex()[:32]


def seal(parts: Sequence[object]) -> bytes:
    """Digest of a row's fields, so that a number changed on the disk does not reach a table."""
    return hashlib.sha256(repr(tuple(parts)).encode("utf-8", "backslashreplace")).digest()[:16]


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
    if isinstance(plain, bool | int | float | str):
        return plain
    raise ValueError(f"a scalar is stored as {type(plain).__name__}")
