"""Comparison `procrustes`: the angle between two sets of states after the best rotation."""

from typing import Any

from emtkit import Comparison, ScalarInfo, hookimpl
from emtkit_std._theory.compared import ERROR, StateComparison, rows
from emtkit_std._theory.facts import Array
from emtkit_std._theory.similarity import procrustes_angle


class Procrustes(StateComparison):
    """The angular shape distance of the states of two networks.

    distance = min over orthogonal Q of arccos <X, Y Q>

    for states X (N, H) and Y (N, K) of the same N moments, centred and of Frobenius norm 1, the
    narrower filled up with zeros. 0: one is a rotated, mirrored, scaled copy of the other; at most
    pi / 2.

    References: Williams et al. (2021), arXiv:2110.14739, Eq. 6.
    """

    name = "procrustes"
    scalars = {
        "distance": ScalarInfo(
            "angle between the states after the best rotation, 0 to 1.57 radians"
        ),
        "distance_error": ERROR,
    }
    identity = {"distance": 0.0}
    unchanged_by = ("order", "signs", "rotation", "scale")

    def distance(self, first: Array, second: Array) -> float:
        """The angle after the best rotation."""
        return procrustes_angle(rows(first), rows(second))


@hookimpl
def emtkit_comparisons() -> list[type[Comparison[Any]]]:
    """Offer `procrustes`."""
    return [Procrustes]
