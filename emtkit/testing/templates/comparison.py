"""Comparison `template_name`: whether two networks move in equally many directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from emtkit import (
    Change,
    Comparison,
    Findings,
    NotApplicable,
    ScalarInfo,
    Scalars,
    Subject,
    hookimpl,
)


class TemplateName(Comparison[float]):
    """How far apart the participation ratios of the states of two networks are.

    distance = |log n_a - log n_b|,   n = (sum_i v_i)^2 / sum_i v_i^2

    v_i are the eigenvalues of the covariance of the states h (H, H) at the scored steps.

    References: none yet (say here where the measure comes from).
    """

    name = "template_name"
    version = 1  # raise it when equal parameters give other numbers
    # What each scalar means, for tables, reports and help; a study may ask for these names alone.
    scalars: ClassVar[Scalars] = {
        "distance": ScalarInfo("difference of the logarithms of the numbers of directions"),
    }
    # What `emtkit check` holds it to: a network against itself, both ways, in other coordinates.
    identity: ClassVar[Mapping[str, float]] = {"distance": 0.0}
    symmetric = True
    unchanged_by: ClassVar[tuple[Change, ...]] = ("order", "signs", "rotation", "scale")

    def __init__(
        self,
        *,
        sequences: Annotated[int, Field(ge=2, description="Number of fresh sequences.")] = 256,
    ) -> None:
        self.sequences = sequences

    def observe(self, subject: Subject) -> float:
        """The number of directions of one network; both networks get the same sequences."""
        batch = subject.task.sample(self.sequences, subject.stream.fork("sequences"))
        trace = subject.model.trace(batch.inputs[:, : batch.input_steps], batch.steps)
        states = trace.states[:, batch.mask.bool()].flatten(0, 1).double().numpy()
        variances = np.linalg.eigvalsh(np.cov(states.T).reshape(states.shape[1], -1))
        if not variances.sum() > 0:
            raise NotApplicable("the state does not move at all")
        return float(variances.sum() ** 2 / np.square(variances).sum())

    def compare(self, first: float, second: float) -> Findings:
        """Two numbers of directions."""
        return Findings({"distance": float(abs(np.log(first / second)))})


@hookimpl
def emtkit_comparisons() -> list[type[Comparison[Any]]]:
    """What this file offers."""
    return [TemplateName]
