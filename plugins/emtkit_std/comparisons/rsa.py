"""Comparison `rsa`: whether the distances between moments have the same order in two networks."""

from typing import Any

import numpy as np

from emtkit import Comparison, ScalarInfo, hookimpl
from emtkit_std._theory.compared import ERROR, StateComparison, rows
from emtkit_std._theory.facts import Array
from emtkit_std._theory.similarity import rank_correlation_of_distances

MOST = 256
"""Moments whose distances are compared."""


class RepresentationalSimilarity(StateComparison):
    """One less the rank correlation of the distances between moments in two networks.

    distance = 1 - Spearman(|x_i - x_j|, |y_i - y_j|),   i < j

    over up to 256 moments: of every sequence as many scored steps, evenly spaced, the last one
    among them. 0: the same order of all distances; 1: unrelated ones.

    References: Kriegeskorte, Mur and Bandettini (2008), doi:10.3389/neuro.06.004.2008.
    """

    name = "rsa"
    scalars = {
        "distance": ScalarInfo(
            "one less the rank correlation of the distances between states, 0 to 2",
            undefined="where all states are equally far apart",
        ),
        "distance_error": ERROR,
    }
    identity = {"distance": 0.0}
    unchanged_by = ("order", "signs", "rotation", "scale")

    def distance(self, first: Array, second: Array) -> float:
        """One less the correlation of the ranks."""
        return 1 - rank_correlation_of_distances(_moments(first), _moments(second))


def _moments(states: Array) -> Array:
    """Some moments of every sequence, `MOST` in all (or one of each)."""
    sequences, steps, _ = states.shape
    count = min(steps, max(1, MOST // sequences))
    kept = np.unique(np.linspace(steps - 1, 0, count).round().astype(int))
    return rows(states[:, kept])


@hookimpl
def emtkit_comparisons() -> list[type[Comparison[Any]]]:
    """Offer `rsa`."""
    return [RepresentationalSimilarity]
