"""Numbers over training: a row per network and iteration, in place of one per network."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from emtkit.report.data.results import Results
from emtkit.store.store import Store
from emtkit.study.cells import Row
from emtkit.study.views import ITERATION, LOSS

WINDOWS = 60
"""A loss is shown as means over so many equal parts of the longest training."""


def training_curves(
    results: Results, rows: Sequence[Row], store: Store, columns: Sequence[str]
) -> dict[str, Results]:
    """By column, the results with a row per network and iteration (column `iteration`).

    `train.loss` is the mean over the iterations since the last point; a scalar of an analysis with
    `at: snapshots` is there at each snapshot. A network that has no curve (it failed, or was not
    trained yet) has a row without a number at every iteration.
    """
    found: dict[str, Results] = {}
    for column in columns:
        curves = dict(enumerate(_curves(rows, store, column)))
        places = sorted({at for curve in curves.values() for at in curve}) or [0]
        blank = dict.fromkeys(places)
        points = [
            (row, at, value)
            for row, curve in curves.items()
            for at, value in (curve or blank).items()
        ]
        kept = results.frame.iloc[[row for row, _, _ in points]].reset_index(drop=True)
        own = {ITERATION: [at for _, at, _ in points], column: [value for *_, value in points]}
        frame = kept.drop(columns=[*own], errors="ignore").assign(
            **{name: pd.Series(values, dtype=float) for name, values in own.items()}
        )
        found[column] = Results(frame, results.reasons, results.conditions)
    return found


def _curves(rows: Sequence[Row], store: Store, column: str) -> Iterator[Mapping[int, float]]:
    if column == LOSS:
        losses = [np.asarray(store.history(row.cell.key).get("loss", [])) for row in rows]
        longest = max((len(one) for one in losses), default=0)
        yield from (_means(one, longest) for one in losses)
        return
    label, _, scalar = column.partition(".")
    for row in rows:
        keys = [m.key for m in row.measures if m.label == label and m.reason is None]
        tables: list[Any] = [store.content(key).tables.get("over_training") for key in keys]
        yield {
            int(step): float(value)
            for table in tables
            if table is not None
            for step, name, value in table[["step", "scalar", "value"]].itertuples(index=False)
            if name == scalar
        }


def _means(losses: "np.ndarray[Any, Any]", longest: int) -> dict[int, float]:
    """By the iteration at its end, the mean of each part that this training reached."""
    edges = np.unique(np.linspace(0, longest, min(WINDOWS, longest) + 1).round().astype(int))
    reached = [(low, high) for low, high in pairwise(edges) if high <= len(losses)]
    return {int(high): float(losses[low:high].mean()) for low, high in reached}
