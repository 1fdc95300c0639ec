"""How well any linear time-invariant network could continue a history: theory, not measurement."""

from typing import Annotated

import numpy as np
from pydantic import Field

from emtkit import Analysis, Findings, ScalarInfo, Subject, hookimpl
from emtkit_std._theory.facts import Array, LinearHistoryLaw, LinearRecurrence


class LinearCeiling(Analysis):
    """The least mean squared error that any linear recurrence can reach on this rule.

    From a zero state, a linear time-invariant system answers input k at step t by a kernel K(t - k)
    whatever k is; the rule asks for the block G(m, k) from input k to scored output m:

        least_loss = min_K  mean_m  sum_k |G(m, k) - K(s + m - k)|_F^2 / d

    over the first `horizon` outputs and independent signs. It is 0 for rules that read the oldest
    item alone, as they keep silent while the history fills. Else the task is impossible for every
    linear recurrence, however it was trained (`possible` is false); silence costs 1. Compare with
    `test.loss` over the same horizon.

    References: Karuvally, Sejnowski and Siegelmann, ICML 2024, for the rules; the bound is ours.
    """

    name = "linear_ceiling"
    requires = (LinearHistoryLaw, LinearRecurrence)
    scalars = {
        "least_loss": ScalarInfo(
            "least mean squared error that any linear recurrence can reach on this rule"
        ),
        "possible": ScalarInfo("whether a linear recurrence can solve the task"),
    }

    def __init__(
        self,
        *,
        horizon: Annotated[
            int, Field(ge=1, description="Number of scored outputs that the loss averages.")
        ] = 20,
    ) -> None:
        self.horizon = horizon

    def measure(self, subject: Subject) -> Findings:
        """The scalars `least_loss` and `possible`."""
        least = least_loss(subject.fact(LinearHistoryLaw), self.horizon)
        return Findings({"least_loss": least, "possible": least < 1e-12})


def least_loss(law: LinearHistoryLaw, horizon: int) -> float:
    """The bound: the best kernel at a lag is the mean of all blocks G(m, k) of that lag."""
    by_lag: dict[int, list[Array]] = {}
    powers = np.eye(len(law.phi))
    for output in range(horizon):
        answers = (law.operator @ powers).reshape(law.dimension, law.history, law.dimension)
        for item in range(law.history):
            by_lag.setdefault(law.history + output - item, []).append(answers[:, item])
        powers = law.phi @ powers
    departures = (np.stack(alike) - np.mean(alike, axis=0) for alike in by_lag.values())
    return float(sum((part**2).sum() for part in departures)) / (horizon * law.dimension)


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """The ceiling of linear recurrences."""
    return [LinearCeiling]
