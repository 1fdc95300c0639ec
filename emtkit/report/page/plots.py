"""Drawings of analyses as a page's script reads them: numbers of four digits, matrices as bytes."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache
from math import isfinite
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from emtkit.plugin.drawing import Drawing, Mark, Matrix
from emtkit.report.figures.palette import named

_LEVELS = 254
"""Of a matrix's colours; one more stands for a number that is not there."""
_STOPS = 17
_SAID = ("values", "low", "high")


def drawing_data(drawing: Drawing) -> dict[str, Any]:
    """What is not as usual in a drawing: `{"plots": [{"marks": [{"mark": "Line", "x": ...}]}]}`."""
    return _record(drawing)


@lru_cache
def colour_scales() -> dict[str, list[str]]:
    """The colours of matrices between which a page mixes, from low to high."""
    maps = {"signed": colormaps["RdBu_r"], "shares": colormaps["viridis"]}
    places = np.linspace(0.0, 1.0, _STOPS)
    return {name: [to_hex(one(place)) for place in places] for name, one in maps.items()}


def _plain(name: str, value: Any) -> Any:
    """A field as JSON holds it."""
    if isinstance(value, str):
        return _ink(value) if name == "colour" else value
    if isinstance(value, float):
        return _short(value)
    if isinstance(value, np.ndarray):
        return list(map(_short, value.tolist()))
    if isinstance(value, Matrix):
        return {"mark": "Matrix", **_matrix(value)}
    if isinstance(value, Mark):
        return {"mark": type(value).__name__, **_record(value)}
    if is_dataclass(value):
        return _record(value)
    if isinstance(value, Mapping):  # ticks
        return [[float(place), str(text)] for place, text in value.items()]
    if isinstance(value, Sequence):
        return [_plain(name, one) for one in value]
    return value


def _record(record: Any, less: Sequence[str] = ()) -> dict[str, Any]:
    """The fields that are required, or not as usual; without those of `less`."""
    return {
        name: _plain(name, value)
        for name, usual in _fields(record.__class__)
        if name not in less
        if isinstance(value := getattr(record, name), np.ndarray) or value != usual
    }


@lru_cache
def _fields(kind: type) -> list[tuple[str, Any]]:
    return [(one.name, one.default) for one in fields(kind)]


def _matrix(matrix: Matrix) -> dict[str, Any]:
    """Levels 0 to 254 from low to high as bytes (base64) by rows, 255 where there is no number."""
    values = np.asarray(matrix.values)
    low, high = matrix.ends
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    levels = np.where(np.isnan(share), _LEVELS + 1, np.nan_to_num(share) * _LEVELS).round()
    return {
        "shape": list(values.shape),
        "levels": base64.b64encode(levels.astype(np.uint8).tobytes()).decode(),
        "low": low,
        "high": high,
        **_record(matrix, _SAID),
    }


def _short(value: float) -> float | int | None:
    """A number of four digits; None where there is none."""
    if not isfinite(value):
        return None
    short = float(f"{value:.4g}")
    return int(short) if short == int(short) else short


def _ink(text: str) -> str:
    """A colour as a page has it: its own for text and for the grey behind."""
    return {"ink": "currentColor", "lightgrey": "var(--grid, #d8dadd)"}.get(text) or named(text)
