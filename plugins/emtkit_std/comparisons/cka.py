"""Comparison `cka`: whether two networks hold moments near and far alike, by centred kernels."""

from typing import Any

from emtkit import Comparison, ScalarInfo, hookimpl
from emtkit_std._theory.compared import ERROR, StateComparison, rows
from emtkit_std._theory.facts import Array
from emtkit_std._theory.similarity import angle, debiased_cka


class CentredKernelAlignment(StateComparison):
    """The angle between the centred linear kernels of the states of two networks.

    distance = arccos CKA,   CKA = HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y))

    with the unbiased estimator of HSIC (`_theory/similarity.py`) and the states X (N, H), Y (N, K)
    at the N moments of all scored steps. 0: kernels of one form; pi / 2: unrelated ones, beyond it
    by chance. No rotation or scale of the states matters, other linear maps do.

    References: Kornblith et al. (2019), arXiv:1905.00414; Song et al. (2012), JMLR 13 (the
    estimator); Williams et al. (2021), arXiv:2110.14739 (the angle is a metric). Moments of one
    sequence are not independent, so the bias is taken out of single moments only.
    """

    name = "cka"
    scalars = {
        "distance": ScalarInfo(
            "angle between the centred kernels of the states, radians",
            undefined="where the states hardly move",
        ),
        "distance_error": ERROR,
    }
    identity = {"distance": 0.0}
    unchanged_by = ("order", "signs", "rotation", "scale")

    def distance(self, first: Array, second: Array) -> float:
        """The angle."""
        return angle(debiased_cka(rows(first), rows(second)))


@hookimpl
def emtkit_comparisons() -> list[type[Comparison[Any]]]:
    """Offer `cka`."""
    return [CentredKernelAlignment]
