"""The frame as a page's script reads it."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from emtkit.places import CommandOptions
from emtkit.report.data.results import Results

LARGE = 1_000_000
"""Bytes of a frame from which on it is packed, its numbers with six digits."""


def data_of(
    results: Results, options: CommandOptions, meanings: Mapping[str, str], axes: Sequence[str]
) -> str:
    """Every number of every cell, and the reason of those that are not there, as JSON.

    The numbers are exact, in `rows`. A large frame is `packed` (base64, gzip, JSON) by columns.
    """
    columns = [str(name) for name in results.frame.columns]
    values = [results.column(name) for name in columns]
    reasons = {row: found for row in range(len(results)) if (found := results.undefined(row))}
    known = {
        "study": options.whole,
        "apart": options.apart,
        "columns": columns,
        "only": [axis for axis in axes if axis != "seed"],
        "axes": axes,
        "meanings": {name: meanings[name] for name in columns if name in meanings},
    }
    whole = _json({**known, "rows": list(zip(*values, strict=True)), "reasons": reasons})
    if len(whole) > LARGE:
        short = [[_six_digits(value) for value in column] for column in values]
        text = _json({"values": short, "reasons": reasons})
        whole = _json({**known, "packed": packed(text)})
    return whole.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def packed(text: str) -> str:
    """A text as a page can hold it in the least room; equal texts give equal bytes."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _six_digits(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False, default=str)
