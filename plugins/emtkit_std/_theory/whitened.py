"""Linear readings of states that do not depend on the coordinates of the states.

The centred states of the sequences that are fitted, X (N H) = U S V', keep the directions above
FLOOR S_1; whitened states are u(h) = S^-1 V' (h - mean), so that U'U = 1 and the least-squares
reading of targets Y is U'Y. An invertible change of the states, h -> A h + b, changes none of it.
"""

from dataclasses import dataclass

import numpy as np

from emtkit import NotApplicable
from emtkit_std._theory.facts import Array
from emtkit_std._theory.standard_error import apart
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


@dataclass(frozen=True)
class Explained:
    """R^2 = 1 - sum missed / sum total of a reading, by sequence.

    `missed` |true - guess|^2, `total` |true - mean|^2, both (N); R^2 is negative where the guess is
    worse than the mean.
    """

    missed: Array
    total: Array

    @property
    def r2(self) -> float:
        """One number for all columns; NaN without variance."""
        total = float(self.total.sum())
        return 1.0 - float(self.missed.sum()) / total if total > 0 else float("nan")

    @property
    def apart(self) -> Array:
        """How far each sequence, alone, moves it (N)."""
        return apart(self.missed, self.total)


def explained(true: Array, guess: Array, sequences: int) -> Explained:
    """Of readings and targets (N T, m): the rows are the T steps of N sequences in turn."""
    missed, total = np.square(true - guess), np.square(true - true.mean(0))
    return Explained(missed.reshape(sequences, -1).sum(1), total.reshape(sequences, -1).sum(1))
