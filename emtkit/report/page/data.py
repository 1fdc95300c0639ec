"""The frame as a page's script reads it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from emtkit.places import CommandOptions
from emtkit.report.data.packed import packed
from emtkit.report.data.results import Results

LARGE = 1_000_000
"""Bytes of a frame from which on it is packed, numbers with six digits and keys with twelve."""


def data_of(
    results: Results, options: CommandOptions, meanings: Mapping[str, str], axes: Sequence[str]
) -> str:
    """Every number of every cell, and the reason of those that are not there, as JSON.

    The numbers are exact, in `rows`. A large frame is `packed` (base64, gzip, JSON) by columns, and
    the reasons are those of `kinds` whose place each row has.
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
        short = [
            [value[:12] if name == "cell" else _six_digits(value) for value in column]
            for name, column in zip(columns, values, strict=True)
        ]
        kinds = list({_json(found): found for found in reasons.values()}.values())
        places = {_json(found): place for place, found in enumerate(kinds)}
        of = {row: places[_json(found)] for row, found in reasons.items()}
        whole = _json({**known, "packed": packed({"values": short, "kinds": kinds, "of": of})})
    return whole.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _six_digits(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False, default=str)
