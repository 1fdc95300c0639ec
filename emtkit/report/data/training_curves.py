"""Learning curves: numbers over training, a row per network and iteration."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from emtkit.report.data.results import Results
from emtkit.store.store import Store
from emtkit.study.cells import Row
from emtkit.study.views import ITERATION, LOSS, Figure

WINDOWS = 60
"""A loss is shown as means over so many equal parts of the longest training."""


def training_curves(
    results: Results, rows: Sequence[Row], store: Store, figure: Figure
) -> dict[str, Results]:
    """By column of a learning curve, the results over training that have it.

    `train.loss` is the mean over the iterations since the last point; all others have a value at
    each snapshot. A network that was not trained yet has rows without a number.
    """
    snapshots = results.seen_by(figure)
    losses = _losses(results, rows, store) if LOSS in figure.y else snapshots
    return {column: losses if column == LOSS else snapshots for column in figure.y}


def _losses(results: Results, rows: Sequence[Row], store: Store) -> Results:
    found = [np.asarray(store.history(row.cell.key).get("loss", [])) for row in rows]
    longest = max((len(one) for one in found), default=0)
    curves = [_means(one, longest) for one in found]
    blank = dict.fromkeys(sorted({at for curve in curves for at in curve}) or [0])
    points = [
        (row, at, value)
        for row, curve in enumerate(curves)
        for at, value in (curve or blank).items()
    ]
    kept = results.frame.iloc[[row for row, _, _ in points]].reset_index(drop=True)
    own = {ITERATION: [at for _, at, _ in points], LOSS: [value for *_, value in points]}
    frame = kept.drop(columns=[*own], errors="ignore").assign(
        **{name: pd.Series(values, dtype=float) for name, values in own.items()}
    )
    return Results(frame, results.reasons, results.conditions)


def _means(losses: "np.ndarray[Any, Any]", longest: int) -> dict[int, float]:
    """By the iteration at its end, the mean of each part that this training reached."""
    edges = np.unique(np.linspace(0, longest, min(WINDOWS, longest) + 1).round().astype(int))
    reached = [(low, high) for low, high in pairwise(edges) if high <= len(losses)]
    return {int(high): float(losses[low:high].mean()) for low, high in reached}
