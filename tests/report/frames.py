"""Synthetic frames with known answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

NAN = math.nan


def frame(
    axes: Mapping[str, Sequence[Any]],
    seeds: int,
    scalars: Callable[[dict[str, Any], int], Mapping[str, Any]],
) -> pd.DataFrame:
    """A row per combination of `axes` and seed; `scalars` may give `status`, too."""
    combinations: list[dict[str, Any]] = [{}]
    for name, levels in axes.items():
        combinations = [{**one, name: level} for one in combinations for level in levels]
    rows = []
    for one in combinations:
        for seed in range(seeds):
            base = {
                "cell": f"{len(rows):08x}",
                "grid": "main",
                "status": "done",
                "seed": seed,
                "task": "k_delay",
                "architecture": "elman",
                "training.steps": 100,
            }
            rows.append({**base, **one, **scalars(one, seed)})
    return pd.DataFrame(rows)


def reasons(*rows: tuple[str, str, str | None, str, str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["cell", "label", "scalar", "reason", "status"])
