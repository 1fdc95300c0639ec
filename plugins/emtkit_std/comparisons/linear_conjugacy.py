"""Comparison `linear_conjugacy`: whether the silent maps of two networks turn and shrink alike."""

from typing import Any

import numpy as np

from emtkit import Comparison, Findings, RecurrentModel, ScalarInfo, Subject, hookimpl
from emtkit_std._theory.facts import Array
from emtkit_std._theory.linearise import Point, linearise
from emtkit_std._theory.operators import eigenvalue_distance


class LinearConjugacy(Comparison[Array]):
    """The distance between the eigenvalues of the silent maps of two networks.

    distance = sqrt(min over pairings of sum_i |lambda_i - mu_i|^2 / (sum |lambda|^2 + sum |mu|^2))

    lambda and mu are the eigenvalues of the Jacobian of h -> step(h, 0) at the fixed point that
    `point` chooses, the fewer filled up with 0: what is there for no step. Two maps with distinct
    eigenvalues are the same up to h -> A h where these agree. 0: they do; 1: none of them is near
    another; at most sqrt(2).

    References: own (eigenvalues are the invariants of linear conjugacy; Horn and Johnson (2013),
    Matrix Analysis, section 1.3).
    """

    name = "linear_conjugacy"
    models = RecurrentModel
    scalars = {
        "distance": ScalarInfo(
            "distance between the eigenvalues of the silent maps, 0 to 1.41",
            undefined="where all eigenvalues are 0",
        ),
    }
    identity = {"distance": 0.0}
    unchanged_by = ("order", "signs", "rotation", "scale", "linear")

    def __init__(self, *, point: Point = "auto") -> None:
        self.point = point

    def observe(self, subject: Subject) -> Array:
        """The eigenvalues of one network."""
        return np.linalg.eigvals(linearise(subject, self.point).jacobian).astype(complex)

    def compare(self, first: Array, second: Array) -> Findings:
        """The distance after the best pairing."""
        found = eigenvalue_distance(first, second)
        return Findings({"distance": found}, reasons={"distance": "every eigenvalue is 0"})


@hookimpl
def emtkit_comparisons() -> list[type[Comparison[Any]]]:
    """Offer `linear_conjugacy`."""
    return [LinearConjugacy]
