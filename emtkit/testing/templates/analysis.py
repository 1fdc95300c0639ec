"""Analysis `template_name`: in how many directions the state moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from emtkit import (
    Analysis,
    Control,
    Draw,
    Drawing,
    Findings,
    Line,
    NotApplicable,
    Plot,
    ScalarInfo,
    Scalars,
    Subject,
    hookimpl,
)


def draw_variances(findings: Findings) -> Drawing:
    """Variance by principal direction; drawn from stored findings alone."""
    table = findings.tables["variances"]
    line = Line(table["direction"], table["variance"], markers=True)
    labels = ("principal direction", "variance of the state")
    return Drawing([Plot([line], "", *labels, y_log=True)])


class TemplateName(Analysis):
    """The participation ratio of the states at the scored steps.

    dimension = (sum_i v_i)^2 / sum_i v_i^2,   v_i the eigenvalues of the covariance of h (H, H)

    It is 1 when the state moves along a line, and n when it moves alike in n directions.
    Table: `variances` (direction, variance).

    References: none yet (say here where the measure comes from).
    """

    name = "template_name"
    version = 1  # raise it when equal parameters give other numbers
    # What each scalar means, for tables, reports and help; a study may ask for these names alone.
    scalars: ClassVar[Scalars] = {
        "dimension": ScalarInfo("number of directions in which the state moves alike"),
        "share": ScalarInfo("the same as a share of all directions H"),
    }
    drawings: ClassVar[Mapping[str, Draw]] = {"variances": draw_variances}
    # Networks with a known answer: a register that holds the last four inputs moves in four ways.
    controls = (
        Control(
            {"use": "k_delay", "delay": 3},
            {"use": "shift_register"},
            "dimension",
            least=3.8,
            most=4.0,
        ),
    )

    def __init__(
        self,
        *,
        sequences: Annotated[
            int, Field(ge=2, description="Number of fresh sequences that are measured.")
        ] = 256,
    ) -> None:
        self.sequences = sequences

    def measure(self, subject: Subject) -> Findings:
        """Run the network on fresh sequences of its task; randomness comes from the stream."""
        batch = subject.task.sample(self.sequences, subject.stream)
        trace = subject.model.trace(batch.inputs[:, : batch.input_steps], batch.steps)
        scored = trace.states[:, batch.mask > 0].double().flatten(0, 1).numpy()
        variances = np.linalg.eigvalsh(np.cov(scored.T).reshape(scored.shape[1], -1))[::-1]
        if not variances.sum() > 0:
            raise NotApplicable("the state does not move at all")
        dimension = float(variances.sum() ** 2 / np.square(variances).sum())
        table = pd.DataFrame({"direction": np.arange(len(variances)), "variance": variances})
        share = dimension / len(variances)
        return Findings({"dimension": dimension, "share": share}, {"variances": table})


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """What this file offers."""
    return [TemplateName]
