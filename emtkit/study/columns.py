"""The parameter columns of the frame: the names by which tables, claims and rules speak."""

from collections.abc import Mapping
from typing import Any

from emtkit.methods.method import Method
from emtkit.study.cells import Row
from emtkit.study.settings import Training


def columns(row: Row) -> dict[str, Any]:
    """`seed`, `cell`, and what seeds do not change, under the names of their columns."""
    return {"seed": row.cell.seed, **shared_columns(row), "cell": row.cell.key}


def shared_columns(row: Row) -> dict[str, Any]:
    """`grid, task, architecture, role` and every `task.*`, `architecture.*`, `training.*`.

    Nested training values have dotted names (`training.schedule.kind`). Of a constructed network's
    training only the dtype is its own, so only `training.dtype` is given. `training.tried` is the
    number of settings that a tuning has chosen from.
    """
    cell = row.cell
    return {
        "grid": row.grid,
        "task": row.task,
        "architecture": row.architecture,
        "role": row.role,
        **{f"task.{name}": value for name, value in cell.task.parameters.items()},
        **{f"architecture.{name}": value for name, value in cell.architecture.parameters.items()},
        **training_columns(cell.training, trains=cell.trains),
        **({"training.tried": row.tried} if row.tried > 1 else {}),
    }


def training_columns(training: Training, *, trains: bool = True) -> dict[str, Any]:
    """The settings of training, nested ones with dotted names.

    A method has a column of its own too: `training.optimizer` is its name, with the options that
    are not at their defaults.
    """
    if not trains:
        return {"training.dtype": training.dtype}
    found: dict[str, Any] = {}
    for key, value in training.model_dump(mode="json", by_alias=True).items():
        _flatten(f"training.{key}", value, found)
    for key, value in vars(training).items():
        if isinstance(value, Method):
            found[f"training.{key}"] = _spelled(value)
    return found


def _spelled(method: Method) -> str:
    """`adam`, or `rmsprop(alpha=0.9)`."""
    options = method.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"kind"})
    shown = ", ".join(f"{name}={value}" for name, value in options.items())
    return f"{method.kind}({shown})" if shown else method.kind


def _flatten(name: str, value: Any, found: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            _flatten(f"{name}.{key}", entry, found)
    else:
        found[name] = value
