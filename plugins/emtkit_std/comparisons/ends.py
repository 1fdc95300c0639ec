"""Comparison `ends`: whether the same histories end in the same kind of motion in two networks."""

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from emtkit import MAX_STEPS, Comparison, Findings, RecurrentModel, ScalarInfo, Subject, hookimpl
from emtkit_std._parameters import Sequences
from emtkit_std.analyses.attractors import Attractors

FLAT = 1e-12
"""A multiplier of nothing, of which there is no logarithm."""


class Ends(Comparison[Findings]):
    """The disagreement of two networks on where histories end (analysis `attractors`).

        distance = share of histories of which kind or period differ
        rate     = mean |log r_a - log r_b|

    over histories that are the same in both, for the rate over those on a cycle, or in a point, in
    both; r is the largest modulus of a cycle's multipliers per step, its
    logarithm the rate at which it attracts, and 1e-12 stands for less. Kinds, periods and
    multipliers are those of the map, and no h -> A h matters.

    References: own (the sources of kinds and multipliers are in `attractors`).
    """

    name = "ends"
    models = RecurrentModel
    scalars = {
        "distance": ScalarInfo("share of histories that end in different kinds or periods"),
        "rate": ScalarInfo(
            "mean distance of the rates at which cycles attract",
            unit="per step",
            undefined="where no history is on a cycle in both",
        ),
    }
    identity = {"distance": 0.0}
    unchanged_by = ("order", "signs", "rotation", "scale")

    def __init__(
        self,
        *,
        sequences: Sequences = 32,
        steps: Annotated[
            int, Field(ge=1, le=MAX_STEPS, description="Number of outputs after the last input.")
        ] = 1_000,
        longest: Annotated[
            int, Field(ge=2, le=MAX_STEPS, description="Longest period that is looked for.")
        ] = 100,
    ) -> None:
        self.analysis = Attractors(sequences=sequences, steps=steps, longest=longest)

    def observe(self, subject: Subject) -> Findings:
        """Where the histories of one network end."""
        return self.analysis.measure(subject)

    def compare(self, first: Findings, second: Findings) -> Findings:
        """The share that differs, and how much faster cycles attract in one."""
        one, other = (found.tables["histories"] for found in (first, second))
        apart = (one["kind"] != other["kind"]) | (one["period"] != other["period"])
        both = (one["period"] > 0) & (other["period"] > 0)
        rates = [np.log(np.maximum(table["radius"][both], FLAT)) for table in (one, other)]
        rate = float(np.abs(rates[0] - rates[1]).mean()) if both.any() else float("nan")
        return Findings(
            {"distance": float(apart.mean()), "rate": rate},
            reasons={"rate": "no history is on a cycle, or in a point, in both"},
        )


@hookimpl
def emtkit_comparisons() -> list[type[Comparison[Any]]]:
    """Offer `ends`."""
    return [Ends]
