"""Comparison `dsa`: whether the states of two networks move alike, by operators of trajectories."""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from emtkit import Comparison, Findings, NotApplicable, ScalarInfo, Subject, hookimpl
from emtkit_std._parameters import Sequences, Steps
from emtkit_std._theory.facts import Array
from emtkit_std._theory.networks.recurrence import to_array
from emtkit_std._theory.observe import in_double, trajectories
from emtkit_std._theory.operators import (
    delay_operator,
    eigenvalue_distance,
    rotated_bound,
    rotated_distance,
)

LEAST = 2
"""Transitions of the embedded state that a sequence has to show."""


class DynamicalSimilarity(Comparison[Array]):
    """Dynamical similarity analysis: the distance between the operators of two networks' states.

        z_{t+1} = A z_t + B u_{t+1} + c
        distance = min_C |A_a - C A_b C'| / sqrt(|A_a|^2 + |A_b|^2)

    over orthogonal C (`score: rotation`), z_t = (h_t, h_{t-1}, ..) in `rank` whitened directions,
    the smaller A filled up with zeros: 0 for one flow in two coordinates, at
    most sqrt(2). The minimum is not convex: the best of many starts is taken, and `bound` is what
    no C can be below. `score: eigenvalues` pairs the eigenvalues of the two instead: a lower bound
    of the other one for normal operators, and for others neither: a shift register and a cycle
    differ by one entry, and all their eigenvalues are 1 apart.

    Trajectories are the steps after the inputs where a network goes on by itself, else all steps;
    the inputs' own part is taken out (B u), as the paper, which looks at flows without inputs, does
    not. With all directions kept (`rank` H delays) no h -> A h matters; with fewer, rotations and
    scale do not.

    References: Ostrow et al. (2023), arXiv:2306.10168, Eq. 6; Redman et al. (2024),
    arXiv:2302.01993 (eigenvalues by Wasserstein distance).
    """

    name = "dsa"
    scalars = {
        "distance": ScalarInfo(
            "distance between the operators of the trajectories, 0 to 1.41",
            undefined="where both operators are 0",
        ),
        "bound": ScalarInfo(
            "what the distance cannot be below, by singular values and symmetric parts",
            undefined="where both operators are 0, or only eigenvalues are compared",
        ),
    }
    identity = {"distance": 0.0}
    unchanged_by = ("order", "signs", "rotation", "scale")

    def __init__(
        self,
        *,
        delays: Annotated[
            int, Field(ge=1, description="Number of steps, the present one among them, in z.")
        ] = 4,
        rank: Annotated[
            int, Field(ge=1, le=64, description="Number of directions of z that are kept.")
        ] = 8,
        score: Annotated[
            Literal["rotation", "eigenvalues"],
            Field(
                description="Whether the best rotation is sought, or eigenvalues are paired, which "
                "takes a hundredth of the time."
            ),
        ] = "rotation",
        sequences: Sequences = 64,
        steps: Steps = None,
    ) -> None:
        self.delays, self.rank, self.score = delays, rank, score
        self.sequences, self.steps = sequences, steps

    def observe(self, subject: Subject) -> Array:
        """The operator A (r, r) of one network."""
        run = trajectories(subject, in_double(subject.model), self.sequences, self.steps)
        batch = run.batch
        first = batch.input_steps - 1 if subject.task.horizons else 0
        states, inputs = to_array(run.states[:, first:]), to_array(batch.inputs[:, first:])
        inputs = np.pad(inputs, ((0, 0), (0, states.shape[1] - inputs.shape[1]), (0, 0)))
        if not np.isfinite(states).all():
            raise NotApplicable("diverges: its states are not finite numbers")
        if (shown := states.shape[1] - self.delays) < LEAST:
            raise NotApplicable(
                f"{states.shape[1]} steps show {max(0, shown)} transitions of {self.delays} "
                f"delays; {LEAST} are needed: set fewer `delays` or more `steps`"
            )
        if not np.ptp(states, axis=(0, 1)).any():
            raise NotApplicable("the state does not move at all")
        return delay_operator(states, inputs, self.delays, self.rank)

    def compare(self, first: Array, second: Array) -> Findings:
        """The distance of two operators, and what it cannot be below."""
        if self.score == "rotation":
            found, bound = rotated_distance(first, second), rotated_bound(first, second)
        else:
            values = (np.linalg.eigvals(operator) for operator in (first, second))
            found, bound = eigenvalue_distance(*values), float("nan")
        why = "both operators are 0"
        reasons = {"distance": why, "bound": why if found != found else "no rotation is sought"}
        return Findings({"distance": found, "bound": bound}, reasons=reasons)


@hookimpl
def emtkit_comparisons() -> list[type[Comparison[Any]]]:
    """Offer `dsa`."""
    return [DynamicalSimilarity]
