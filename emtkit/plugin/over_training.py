"""What an analysis finds at each snapshot of a training: as one finding, and one of them again."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from emtkit.plugin.analysis import Findings, Scalar

TABLE = "over_training"


def joined(found: Mapping[int, Findings]) -> Findings:
    """The findings by iteration as one.

    Table `over_training` has the scalars (step, scalar, value, text, reason): numbers in `value`,
    texts in `text`, and why a number is undefined in `reason`. Every other table gets a column
    `step`; an array `name` is `name@step`.
    """
    scalars = [
        (
            step,
            name,
            np.nan if isinstance(value, str) else float(value),
            _text(value),
            _why(one, name),
        )
        for step, one in found.items()
        for name, value in one.scalars.items()
    ]
    tables: dict[str, list[pd.DataFrame]] = {}
    for step, one in found.items():
        for name, table in one.tables.items():
            tables.setdefault(name, []).append(table.assign(step=step))
    over = pd.DataFrame(scalars, columns=["step", "scalar", "value", "text", "reason"])
    parts = {name: pd.concat(tables[name], ignore_index=True) for name in tables}
    arrays = {
        f"{name}@{step}": array for step, one in found.items() for name, array in one.arrays.items()
    }
    return Findings({}, {TABLE: over.astype({"value": float}), **parts}, arrays)


def at_step(found: Findings, step: int) -> Findings:
    """The findings at one iteration, of those that `joined` has put together."""
    scalars: dict[str, Scalar] = {}
    reasons: dict[str, str] = {}
    over = found.tables[TABLE]
    columns = ["scalar", "value", "text", "reason"]
    for name, value, text, reason in over[over["step"] == step][columns].itertuples(index=False):
        scalars[name] = text or float(value)
        if reason:
            reasons[name] = reason
    tables = {
        name: table[table["step"] == step].drop(columns="step").reset_index(drop=True)
        for name, table in found.tables.items()
        if name != TABLE
    }
    arrays = {
        name.rpartition("@")[0]: array
        for name, array in found.arrays.items()
        if name.rpartition("@")[2] == str(step)
    }
    return Findings(scalars, tables, arrays, reasons)


def _text(value: Scalar) -> str:
    return value if isinstance(value, str) else ""


def _why(found: Findings, name: str) -> str:
    return found.reasons.get(name, "")
