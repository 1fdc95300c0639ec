"""Linear readings of states that do not depend on the coordinates of the states.

The centred states of the sequences that are fitted, X (N H) = U S V', keep the directions above
FLOOR S_1; whitened states are u(h) = S^-1 V' (h - mean), so that U'U = 1 and the least-squares
reading of targets Y is U'Y. An invertible change of the states, h -> A h + b, changes none of it.
"""

from dataclasses import dataclass

import numpy as np

from emtkit import NotApplicable
from emtkit_std._theory.facts import Array
from emtkit_std._theory.svd import decompose

FLOOR = 1e-10
"""Directions below this share of the largest are rounding: a reading would amplify them."""
ROWS_PER_DIRECTION = 2
"""With fewer, a reading of unseen sequences is worse than none."""


@dataclass(frozen=True)
class Whitened:
    """States of the sequences that are fitted (N r) and, in the same coordinates, judged (M r).

    u = into (h - mean) and h = mean + back u; into (r, H), back (H, r).
    """

    fitted: Array
    judged: Array
    mean: Array
    into: Array
    back: Array


def whiten(fitted: Array, judged: Array, different: int) -> Whitened:
    """Both (rows H), in the coordinates in which the fitted ones are white.

    Raises:
        NotApplicable: of the rows that are fitted, too few are `different` for the directions.
    """
    mean = fitted.mean(0)
    found = decompose(np.asarray(np.linalg.qr(fitted - mean, mode="r")))
    largest = float(found.values[0])
    kept = found.values > FLOOR * largest if largest > 0 else np.zeros(len(found.values), bool)
    values, right = found.values[kept], found.right[kept]
    if different < ROWS_PER_DIRECTION * len(values):
        raise NotApplicable(
            f"states that fill {len(values)} directions cannot be judged by readings fitted to "
            f"{different} different states; raise `sequences`"
        )
    into = right / values[:, None]
    return Whitened(
        (fitted - mean) @ into.T, (judged - mean) @ into.T, mean, into, right.T * values
    )


def share_explained(true: Array, guess: Array) -> float:
    """R² = 1 - |true - guess|² / |true - mean|², one number for all columns; NaN without variance.

    It is negative where the guess is worse than the mean.
    """
    total = float(np.square(true - true.mean(0)).sum())
    return 1.0 - float(np.square(true - guess).sum()) / total if total > 0 else float("nan")
