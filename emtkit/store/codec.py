"""Plain values as JSON and back, and the digests of what is stored."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from emtkit.errors import PluginError, StoreError
from emtkit.store.records import Scalar

_MOST = 1e12
_NUMBERS = frozenset({bool, int, float})


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
    found = object_from_json(text)
    try:
        return {
            name: value if type(value) in _NUMBERS else value_of(value)
            for name, value in found.items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"the store has something else where scalars belong: {text[:80]}"
        ) from error


def object_from_json(text: str, *kinds: type) -> dict[str, Any]:
    """The JSON object that `text` is, each of its values of one of `kinds` (of any, without).

    The text is from a store, which may come from someone else.

    Raises:
        StoreError: it is something else.
    """
    try:
        found = json.loads(text)
        if isinstance(found, dict) and (not kinds or all(type(v) in kinds for v in found.values())):
            return found
    except (TypeError, ValueError, RecursionError):
        pass
    raise StoreError(f"the store has something else where JSON belongs: {str(text)[:80]}")


@lru_cache(maxsize=1024)
def texts_from_json(text: str) -> Mapping[str, str]:
    """An object of texts: the same one for equal JSON, as the reasons of many networks are."""
    return {name: encodable(why) for name, why in object_from_json(text, str).items()}


@lru_cache(maxsize=1024)
def shared_from_json(text: str) -> Mapping[str, Any]:
    """The JSON object that `text` is: the same one for equal JSON."""
    return object_from_json(text)


def has_types(row: Sequence[object], *kinds: type) -> bool:
    """Whether a row's values have these types, as only a foreign store's may not.

    Numbers are also within a bound that no measurement passes: seconds, counts and times.
    """
    if tuple(map(type, row)) != kinds:
        return False
    numbers = [value for value in row if isinstance(value, int | float)]
    return all(abs(value) < _MOST for value in numbers)


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
