"""Comparison `behaviour`: how differently two networks answer the same sequences."""

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from emtkit import Comparison, Findings, ScalarInfo, Subject, hookimpl
from emtkit_std._parameters import Sequences, Steps
from emtkit_std._theory.compared import ERROR, ONE_SEQUENCE, scored_answers
from emtkit_std._theory.facts import Array
from emtkit_std._theory.standard_error import Ratio

Noise = Annotated[
    float,
    Field(
        ge=0,
        description="Standard deviation of the independent normal noise on every driven input.",
    ),
]


class Behaviour(Comparison[Array]):
    """The distance between the answers of two networks to the same sequences.

    distance = |y_a - y_b| / sqrt(|y_a|^2 + |y_b|^2)

    over the outputs y (B T O) at the scored steps: 0 for equal answers, 1 for unrelated ones,
    sqrt(2) for opposite ones. `steps` asks for sequences of another length than those of training,
    and `noise` for inputs that are disturbed, in both networks alike.

    References: behavioural degeneracy, Huang et al. (2025), arXiv:2410.03972, compares the losses
    on other inputs; this compares the answers themselves.
    """

    name = "behaviour"
    scalars = {
        "distance": ScalarInfo("distance between the answers, 0 to 1.41"),
        "distance_error": ERROR,
    }
    identity = {"distance": 0.0}
    unchanged_by = ("order", "signs", "rotation", "scale", "linear")

    def __init__(
        self, *, sequences: Sequences = 256, steps: Steps = None, noise: Noise = 0.0
    ) -> None:
        self.sequences, self.steps, self.noise = sequences, steps, noise

    def observe(self, subject: Subject) -> Array:
        """The answers at the scored steps (B T O)."""
        return scored_answers(subject, self.sequences, self.steps, self.noise)

    def compare(self, first: Array, second: Array) -> Findings:
        """Relative distance of the answers."""
        apart = np.square(first - second).sum((1, 2))
        size = (np.square(first) + np.square(second)).sum((1, 2))
        found = Ratio(apart, size if size.any() else np.ones_like(size), 0.5)  # silent: equal
        reasons = {"distance_error": ONE_SEQUENCE} if len(first) < 2 else {}
        return Findings({"distance": found.value, "distance_error": found.error}, reasons=reasons)


@hookimpl
def emtkit_comparisons() -> list[type[Comparison[Any]]]:
    """Offer `behaviour`."""
    return [Behaviour]
