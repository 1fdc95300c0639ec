"""How much a state holds of the variables that a task names, beside its single inputs."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor

from emtkit import Subject
from emtkit_std._findings import Measured, undefined
from emtkit_std._theory.memory_map.held import held, whitened
from emtkit_std._theory.memory_map.observed import Observed
from emtkit_std._theory.networks.recurrence import to_array
from emtkit_std._theory.standard_error import of_mean

NAMES = ("variables_held", "variables_held_error")
COLUMNS = ("step", "variable", "r2")


@dataclass(frozen=True, eq=False)
class HeldVariables:
    """Mean R^2 over times and variables that vary, and the `table` (step, variable, r2) of each."""

    measured: Measured
    table: pd.DataFrame


def held_variables(subject: Subject, seen: Observed) -> HeldVariables:
    """Read off the states of each time on which they vary."""
    found = subject.task.variables(seen.batch.inputs)
    if not found:
        why = f"'{subject.task.name}' names no further variables (`variables`)"
        return HeldVariables(undefined(NAMES, why), pd.DataFrame(columns=list(COLUMNS)))
    rows, apart = [], []
    for k, step in enumerate(seen.times):
        varying = {name: _at(values, step) for name, values in found.items()}
        varying = {name: values for name, values in varying.items() if np.ptp(values) > 0}
        if varying:
            values = np.stack(list(varying.values()), 1)
            read = held(whitened(seen.states[:, k]), values, seen.folds)
            rows += [(step, *row) for row in zip(varying, read.r2.tolist(), strict=True)]
            apart.append(read.apart)
    if not rows:
        return HeldVariables(
            undefined(NAMES, "no variable varies"), pd.DataFrame(columns=list(COLUMNS))
        )
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    each = np.concatenate(apart, 1).mean(1)
    scalars = {"variables_held": float(table["r2"].mean()), "variables_held_error": of_mean(each)}
    return HeldVariables(Measured(scalars, {}), table)


def _at(values: Tensor, step: int) -> np.ndarray:
    return to_array(values[:, step])
