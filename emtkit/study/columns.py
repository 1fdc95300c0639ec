"""The parameter columns of the frame: the names by which tables, claims and rules speak."""

from collections.abc import Mapping
from typing import Any

from emtkit.methods.method import Method
from emtkit.study.cells import Cell, PluginConfig, Row
from emtkit.study.settings import Training


def columns(row: Row) -> dict[str, Any]:
    """`grid, seed, task, architecture, cell` and every `task.*`, `architecture.*`, `training.*`.

    Nested training values have dotted names (`training.schedule.kind`). Of a constructed network's
    training only the dtype is its own, so only `training.dtype` is given.
    """
    return {
        "grid": row.grid,
        "seed": row.cell.seed,
        "task": row.task,
        "architecture": row.architecture,
        "cell": row.cell.key,
        **cell_columns(row.cell),
    }


def cell_columns(cell: Cell) -> dict[str, Any]:
    """Every parameter of one network under its column's name."""
    return {
        **choice_columns("task", cell.task),
        **choice_columns("architecture", cell.architecture),
        **training_columns(cell.training, trains=cell.trains),
    }


def choice_columns(family: str, config: PluginConfig) -> dict[str, Any]:
    """The parameters of a task or an architecture, as `task.<parameter>`."""
    return {f"{family}.{name}": value for name, value in config.parameters.items()}


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
