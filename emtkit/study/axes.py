"""The axes of a study: what varies from row to row, and under which columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emtkit.study.cells import Row, digest
from emtkit.study.columns import shared_columns
from emtkit.study.entries import Axes
from emtkit.study.file import Grid, Study


@dataclass(frozen=True)
class Axis:
    """One axis; a `zip` has several names, any one of which tells its values apart.

    `values` has one tuple per point of the axis, aligned with `names`.
    """

    names: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Condition:
    """Rows that differ in nothing but the seed: their columns, and their seeds."""

    columns: Mapping[str, Any]
    seeds: tuple[int, ...]

    def get(self, name: str) -> tuple[Any, ...]:
        """The value under `name`, or all values nested under it, as something that compares."""
        if name in self.columns:
            return (_comparable(self.columns[name]),)
        inside = sorted(self.inside(name).items())
        return tuple((key, _comparable(value)) for key, value in inside)

    def inside(self, name: str) -> dict[str, Any]:
        """The values nested under `name`, by what follows it."""
        start = f"{name}."
        found = self.columns.items()
        return {key.removeprefix(start): value for key, value in found if key.startswith(start)}


@dataclass(frozen=True)
class Declared:
    """An axis that the study file spans: its names, in one grid, under one entry's label.

    `family` is the column that holds the label; of training and of the study's own axes it is ''.
    """

    names: tuple[str, ...]
    grid: str
    family: str
    label: str

    def covers(self, condition: Condition) -> bool:
        """Whether the condition lies on this axis."""
        if self.grid and condition.columns["grid"] != self.grid:
            return False
        return not self.family or condition.columns[self.family] == self.label


def conditions(rows: Iterable[Row]) -> tuple[Condition, ...]:
    """The rows without their seeds, in the order in which they come."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        parts = map(id, (row.cell.task, row.cell.architecture, row.cell.training))
        found.setdefault((row.grid, row.task, row.architecture, *parts), []).append(row)
    return tuple(
        Condition(shared_columns(alike[0]), tuple(row.cell.seed for row in alike))
        for alike in found.values()
    )


def values_of(column: str, groups: Iterable[Condition]) -> list[Any]:
    """Every value that a column has, once each."""
    having = (condition for condition in groups if column in condition.columns)
    return list({condition.get(column): condition.columns[column] for condition in having}.values())


def declared(study: Study) -> tuple[Declared, ...]:
    """Every axis of the study, whether or not it varies."""
    found = [Declared((name,), "", "", "") for name in ("grid", "task", "architecture")]
    for grid in study.grids:
        found.extend(_of_grid(grid))
    return tuple(found)


def axes_of(study: Study, rows: Sequence[Row]) -> tuple[Axis, ...]:
    """Every axis with the values that it takes in `rows`; axes of equal names are one."""
    found: dict[tuple[str, ...], dict[Any, tuple[Any, ...]]] = {}
    groups = conditions(rows)
    for axis in declared(study):
        values = found.setdefault(axis.names, {})
        for condition in groups:
            if axis.covers(condition):
                point = tuple(condition.get(name) for name in axis.names)
                values.setdefault(point, tuple(_shown(condition, name) for name in axis.names))
    seeds = sorted({seed for condition in groups for seed in condition.seeds})
    axes = [Axis(names, tuple(values.values())) for names, values in found.items()]
    return (*axes, Axis(("seed",), tuple((seed,) for seed in seeds)))


def _of_grid(grid: Grid) -> list[Declared]:
    found: list[Declared] = []
    for family, entries in (("task", grid.tasks), ("architecture", grid.architectures)):
        for entry in entries:
            names = _names(family, entry.axes)
            found.extend(Declared(axis, grid.name, family, entry.label) for axis in names)
    training = _names("training", grid.training)
    return found + [Declared(axis, grid.name, "", "") for axis in training]


def _names(family: str, axes: Axes) -> list[tuple[str, ...]]:
    crossed: list[tuple[str, ...]] = [(f"{family}.{key}",) for key in axes.grid]
    paired = tuple(f"{family}.{key}" for key in axes.zip)
    return [*crossed, paired] if paired else crossed


def _shown(condition: Condition, name: str) -> Any:
    return condition.columns.get(name, condition.inside(name) or None)


def _comparable(value: Any) -> Any:
    return digest(value) if isinstance(value, list | dict) else (type(value) is bool, value)
