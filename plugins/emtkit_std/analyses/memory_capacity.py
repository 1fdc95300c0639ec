"""How much of the past a linear recurrence holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from emtkit import (
    Analysis,
    Control,
    EmtkitError,
    Findings,
    RecurrentModel,
    Subject,
    hookimpl,
)
from emtkit_std._theory.facts import LinearRecurrence
from emtkit_std._theory.superposition.capacity import MemoryCurve, fisher_memory, linear_capacity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_AGES = 400
_SHOWN = 64


def draw_memory(findings: Findings, figure: Figure) -> None:
    """Memory against age, summed over inputs."""
    rows = findings.tables["memory"].groupby("age")[["linear", "fisher"]].sum()
    panel = figure.subplots()
    for name in ("linear", "fisher"):
        panel.plot(rows.index, rows[name], marker=".", label=name)
    panel.set_xlabel("age")
    panel.set_ylabel("memory")
    panel.legend()


class MemoryCapacity(Analysis):
    """Linear memory capacity and Fisher memory of a linear recurrence.

    linear: sum_s w_s' P^-1 w_s with P = sum_s w_s w_s', the number of directions reached (H when
    controllable). fisher: sum_s w_s' C^-1 w_s with C = sum_j W_hh^j W_hh^j', inputs scaled to
    length 1; it is 1 for normal W_hh and one input, at most H in general. Both hold for the linear
    network everywhere: nothing is linearised. Table `memory` (age, feature_in).

    References: White, Lee and Sompolinsky (2004), doi:10.1103/PhysRevLett.92.148102; Ganguli, Huh
    and Sompolinsky (2008), doi:10.1073/pnas.0804451105; Ballarin, Grigoryeva and Ortega,
    arXiv:2305.01457.
    """

    name = "memory_capacity"
    models = RecurrentModel
    requires = (LinearRecurrence,)
    drawings = {"memory": draw_memory}
    controls = (
        Control(
            {"use": "k_delay", "delay": 3, "scored": "last"},
            {"use": "shift_register"},
            "linear",
            least=4 - 1e-9,
            most=4 + 1e-9,
        ),
    )

    def measure(self, subject: Subject) -> Findings:
        """Both memories; undefined where the recurrence does not forget."""
        law = subject.fact(LinearRecurrence)
        try:
            fisher = fisher_memory(law.W_hh, law.W_uh, _AGES)
        except EmtkitError as error:
            reasons = {"linear": str(error), "fisher": str(error)}
            return Findings({"linear": float("nan"), "fisher": float("nan")}, reasons=reasons)
        linear = linear_capacity(law.W_hh, law.W_uh, _AGES)
        return Findings(
            scalars={"linear": linear.total, "fisher": fisher.total},
            tables={"memory": _rows(linear, fisher)},
        )


def _rows(linear: MemoryCurve, fisher: MemoryCurve) -> pd.DataFrame:
    ages, features = np.indices(linear.by_age[:_SHOWN].shape).reshape(2, -1)
    return pd.DataFrame(
        {
            "age": ages,
            "feature_in": features,
            "linear": linear.by_age[:_SHOWN].ravel(),
            "fisher": fisher.by_age[:_SHOWN].ravel(),
        }
    )


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """The analysis of this module."""
    return [MemoryCapacity]
