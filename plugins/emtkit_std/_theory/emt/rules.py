"""The rules of task `hds` by name, each as its matrix f (d, s d)."""

from typing import Literal

import numpy as np
import torch

from emtkit import Stream
from emtkit_std._theory.emt.binding import fibonacci
from emtkit_std._theory.emt.selection import (
    PUBLISHED,
    Array,
    decode,
    diagonal,
    published,
    random_signed,
    repeat,
)

Table = Literal["T1", "T2", "T3", "T4"]
Waves = Literal["waves_t3", "waves_t4"]
Rule = Literal[Table, "repeat", "diagonal", "signed", "fibonacci", "custom", Waves]


def operator_of(
    rule: Rule,
    history: int,
    dimension: int,
    table_id: tuple[int, int, int] | None,
    rows: tuple[tuple[float, ...], ...] | None,
    seed: int,
) -> Array:
    """The matrix f (d, s d) of a rule; raises ValueError with the reason where there is none."""
    given = (table_id is not None) + (rows is not None)
    if given != (1 if rule == "custom" else 0):
        raise ValueError(
            "`rule: custom` takes exactly one of `table_id` and `operator`, and no other rule "
            "takes either"
        )
    if rule in PUBLISHED:
        s, d, _ = PUBLISHED[rule]
        if (history, dimension) != (s, d):
            raise ValueError(
                f"it is published only for history {s} and dimension {d}, not {history} and "
                f"{dimension}; `repeat` and `diagonal` are T1 and T2 at any size"
            )
        return published(rule).operator
    if rule == "repeat":
        return repeat(history, dimension).operator
    if rule == "diagonal":
        return diagonal(history, dimension).operator
    if rule == "signed":
        drawn = Stream(seed, "rule", dtype=torch.float64).uniform((3, dimension))
        return random_signed(history, dimension, drawn.numpy()).operator
    if rule == "fibonacci":
        return fibonacci(history, dimension)
    if table_id is not None:
        return decode(table_id, history, dimension).operator
    rows = rows or ()
    if len(rows) != dimension or any(len(row) != history * dimension for row in rows):
        raise ValueError(
            f"`operator` must have {dimension} rows of {history * dimension} numbers (dimension, "
            f"history x dimension), not {len(rows)} rows of {sorted({len(row) for row in rows})}"
        )
    return np.array(rows, dtype=np.float64)
