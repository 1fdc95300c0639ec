"""Comparison `cca`: whether the states of two networks are linear maps of each other."""

from typing import Any

from emtkit import Comparison, ScalarInfo, hookimpl
from emtkit_std._theory.compared import ERROR, StateComparison, rows
from emtkit_std._theory.facts import Array
from emtkit_std._theory.similarity import canonical_correlations


class CanonicalCorrelation(StateComparison):
    """One less the mean canonical correlation of the states of two networks.

    distance = 1 - (rho_1 + ... + rho_r) / r,   r = max(rank X, rank Y)

    for states X (N, H) and Y (N, K) of the same N moments. 0: each is an invertible linear map of
    the other. Every direction counts alike, however little it moves (above 1e-6 of the largest).

    References: Hotelling (1936), doi:10.1093/biomet/28.3-4.321; Raghu et al. (2017),
    arXiv:1706.05806 (who leave out directions of little variance first; this does not, since it
    would then change with the coordinates).
    """

    name = "cca"
    scalars = {
        "distance": ScalarInfo("one less the mean canonical correlation of the states, 0 to 1"),
        "distance_error": ERROR,
    }
    identity = {"distance": 0.0}
    unchanged_by = ("order", "signs", "rotation", "scale", "linear")

    def distance(self, first: Array, second: Array) -> float:
        """One less the mean correlation."""
        return float(1 - canonical_correlations(rows(first), rows(second)).mean())


@hookimpl
def emtkit_comparisons() -> list[type[Comparison[Any]]]:
    """Offer `cca`."""
    return [CanonicalCorrelation]
