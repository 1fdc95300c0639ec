"""Comparison `pwcca`: linear maps between states, weighted by what each direction is of them."""

from typing import Any

from emtkit import Comparison, ScalarInfo, hookimpl
from emtkit_std._theory.compared import ERROR, StateComparison, rows
from emtkit_std._theory.facts import Array
from emtkit_std._theory.similarity import weighted_correlation


class ProjectionWeightedCca(StateComparison):
    """One less the projection-weighted canonical correlation of two networks, mean of both ways.

        distance = 1 - (w(X, Y) + w(Y, X)) / 2
        w(X, Y) = sum_i a_i rho_i / sum_i a_i
        a_i = sum_j |<h_i, x_j>|

    for states X (N, H) and Y (N, K) of the same N moments, centred; h_i are the canonical
    directions in X and x_j its units. In `cca` a direction that hardly moves counts as much as any
    other; here it counts by its share of the units' activity. The share depends on the units: no
    order, sign or scale of them matters, a rotation does. Directions of equal correlation have no
    basis of their own, and how their weights add up depends on it a little.

    References: Morcos, Raghu and Bengio (2018), arXiv:1806.05759, section 2.2 (one way only).
    """

    name = "pwcca"
    scalars = {
        "distance": ScalarInfo("one less the weighted canonical correlation of the states, 0 to 1"),
        "distance_error": ERROR,
    }
    identity = {"distance": 0.0}
    unchanged_by = ("order", "signs", "scale")

    def distance(self, first: Array, second: Array) -> float:
        """One less the mean of both ways."""
        x, y = rows(first), rows(second)
        return 1 - (weighted_correlation(x, y) + weighted_correlation(y, x)) / 2


@hookimpl
def emtkit_comparisons() -> list[type[Comparison[Any]]]:
    """Offer `pwcca`."""
    return [ProjectionWeightedCca]
