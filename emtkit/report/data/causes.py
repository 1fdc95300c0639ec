"""What became of every number of the frame, and why where there is none."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

ValueStatus = Literal[
    "done", "undefined", "failed", "lost", "not_applicable", "missing", "not_asked"
]
"""What became of one number of one cell; `undefined` is a NaN that its analysis explained."""

_REASONS = ("cell", "label", "scalar", "reason", "status")
WORDS: Mapping[str, ValueStatus] = {
    "failed": "failed",
    "lost": "lost",
    "not_applicable": "not_applicable",
    "missing": "missing",
}
"""Statuses that a cell has, or a finding, and so each of its numbers."""


@dataclass(frozen=True)
class Cause:
    """What became of a number, and why where there is none."""

    status: ValueStatus
    reason: str = ""


DONE = Cause("done")
NOT_ASKED = Cause("not_asked", "not asked")


def causes_of(reasons: pd.DataFrame) -> dict[tuple[str, str, str], Cause]:
    """By cell, label and scalar; an empty scalar means every number of the label."""
    found: dict[tuple[str, str, str], Cause] = {}
    if reasons.empty:
        return found
    known: dict[tuple[str, str], Cause] = {}
    columns = [[str(plain(value) or "") for value in reasons[name].tolist()] for name in _REASONS]
    for cell, label, scalar, reason, status in zip(*columns, strict=True):
        if (status, reason) not in known:
            known[status, reason] = Cause(WORDS.get(status, "undefined"), reason)
        found[cell, label, scalar] = known[status, reason]
    return found


def state_of(reason: str) -> str:
    """The state that a reason names: the word before its colon."""
    word, colon, _ = reason.partition(": ")
    return word if colon and word.isalpha() and word.islower() else ""


def plain(value: Any) -> Any:
    """A cell of a frame as a plain Python value; None for NaN and missing."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value
