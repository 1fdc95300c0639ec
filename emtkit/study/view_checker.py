"""The checks of views that show networks one by one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from emtkit.errors import did_you_mean
from emtkit.plugin.analysis import Analysis
from emtkit.study.axes import Condition, declared, values_of
from emtkit.study.checked import Problems, shown
from emtkit.study.file import Study
from emtkit.study.math_text import math_mistake
from emtkit.study.quantity import Quantity, Scale
from emtkit.study.resolve import Setting
from emtkit.study.roles import is_shown
from emtkit.study.scalars import ScalarColumns
from emtkit.study.views import (
    CHARTS,
    FIGURE_KINDS,
    ITERATION,
    LOSS,
    OF_NETWORKS,
    Claim,
    Figure,
    Table,
)
from emtkit.study.wanted import Criterion, matches
from emtkit.study.yaml_nodes import Trail
from emtkit.text import spans

LABELS = ("grid", "task", "architecture", "seed", "role")
MEASURED = ("train", "test")
FAMILIES = ("task", "architecture", "training")


class Checker:
    """What is wrong with tables, figures and claims, noted one view after the other."""

    def __init__(
        self,
        study: Study,
        groups: tuple[Condition, ...],
        scalars: ScalarColumns,
        analyses: Iterable[Setting],
        problems: Problems,
        complete: bool,
    ) -> None:
        self._groups, self._scalars = groups, scalars
        self._axes = declared(study)
        self._say = problems.say
        self._complete = complete
        self._grids = [grid.name for grid in study.grids]
        self._parameters = {name for condition in self._groups for name in condition.columns}
        self._labels = {entry.label for grid in study.grids for entry in grid.analyses}
        self._compared = {entry.label: entry.pairs for entry in study.comparisons}
        entries = [entry for grid in study.grids for entry in grid.analyses]
        self._snapshots = {entry.label for entry in entries if entry.at == "snapshots"}
        self._ended = {entry.label for entry in entries if entry.at != "snapshots"}
        taken = values_of("training.snapshots", groups)
        self._iterations = sorted({step for steps in taken for step in steps})
        self._over_training = False
        self._drawings = {
            setting.label: tuple(setting.plugin.cls.drawings)
            for setting in analyses
            if issubclass(setting.plugin.cls, Analysis)
        }

    def labels(self, study: Study) -> None:
        """One label of an analysis means one plugin in the whole study: it names columns."""
        meaning: dict[str, str] = {}
        every = [entry for grid in study.grids for entry in grid.analyses]
        for entry in (*every, *study.comparisons):
            first = meaning.setdefault(entry.label, entry.use)
            if first != entry.use:
                text = f"the label '{entry.label}' means '{first}' elsewhere"
                self._say(entry.path, text, "give one of them its own `label`")

    def tunings(self, study: Study) -> None:
        """What decides between settings is a column; `rows.py` has checked how it begins."""
        entries = (entry for grid in study.grids for entry in grid.architectures)
        for tuning in {e.tuning.path: e.tuning for e in entries if e.tuning}.values():
            column = "" if tuning.settings is None else tuning.settings.by.metric
            if self._complete and (mistake := self._scalars.mistake(column)):
                self._say((*tuning.path, "by", "metric"), *mistake)

    def table(self, path: Trail, table: Table) -> None:
        """Note what is wrong with a table."""
        self._over_training = table.over_training
        self._axis_names(path, {"rows": table.rows, "columns": table.columns, "over": table.over})
        self._where((*path, "where"), table.where)
        if table.baseline is not None:
            self._where((*path, "baseline"), table.baseline)
        part = "values" if table.values else "cell"
        used = (*table.rows, *table.columns, *self._sides(table.over))
        for position, value in enumerate(table.shown):
            self._quantity((*path, part, position), value)
            for end in Scale.model_fields if value.scale is not None else ():
                self._where((*path, part, position, "scale", end), getattr(value.scale, end))
            where = {**table.where, **value.where}
            remedy = "rows, columns, where or over"
            self._mixes(path, f"table '{table.name}'", used, where, remedy)

    def figure(self, path: Trail, figure: Figure) -> None:
        """Note what is wrong with a figure."""
        self._over_training = figure.over_training
        self._formula((*path, "title"), figure.title or "")
        for column, label in figure.labels.items():
            self._formula((*path, "labels", column), label)
        self._where((*path, "where"), figure.where)
        if figure.is_drawing:
            self._drawing(path, figure)
            return
        hue = (figure.hue,) if figure.hue else ()
        self._axis_names(path, {"hue": hue, "facet": figure.facet, "over": figure.over})
        x = (figure.x,) if figure.x else ()
        coordinates = x if figure.use in CHARTS.names else (*x, *figure.y)
        if figure.is_curve:
            self._curves(path, figure)
            x = ()
        for column in (*x, *figure.y, *filter(None, (figure.value, figure.by))):
            key = "x" if column in x else "y" if column in figure.y else None
            self._column((*path, key or ("value" if column == figure.value else "by")), column)
        for position, line in enumerate(figure.lines):
            self._quantity((*path, "lines", position), line)
        if figure.use in OF_NETWORKS:
            return  # every network is a mark of its own
        used = (*coordinates, *hue, *figure.facet, *self._sides(figure.over))
        self._where((*path, "less"), figure.less or {})
        remedy = "x, hue, facet, where or over"
        self._mixes(path, f"figure '{figure.name}'", used, figure.where, remedy)

    def _curves(self, path: Trail, figure: Figure) -> None:
        """Note what has no value during training."""
        for position, column in enumerate(figure.y):
            if column == LOSS or column.partition(".")[0] in self._snapshots:
                continue
            known = ", ".join([LOSS, *(f"{label}.*" for label in sorted(self._snapshots))])
            hint = f"allowed: {known}; an analysis with `at: snapshots` adds its scalars"
            self._say((*path, "y", position), f"'{column}' has no value during training", hint)

    def claim(self, path: Trail, claim: Claim) -> None:
        """Note what is wrong with a claim."""
        self._over_training = claim.over_training
        self._controls(path, claim)
        self._where((*path, "given"), claim.given)
        path, expect = (*path, "expect"), claim.expect
        self._quantity(path, expect)
        self._axis_names(path, {"over": expect.over})
        side = next(key for key in ("below", "above", "equals") if key in expect.model_fields_set)
        if isinstance(expect.bound, Quantity):
            self._quantity((*path, side), expect.bound)
        self._match(path[:-1], claim)

    def _match(self, path: Trail, claim: Claim) -> None:
        """Note settings that should be equal and are not: on both sides, or in all networks."""
        self._axis_names(path, {"match": claim.match})
        quantities = [one for one in (claim.expect, claim.expect.other) if one is not None]
        sides = [[c for c in self._groups if self._passes(c, one.where)] for one in quantities]
        for position, name in enumerate(claim.match if self._complete else ()):
            levels = [_texts(name, side) for side in sides]
            if (len(sides) == 2 and levels[0] == levels[1]) or len(sides) == len(levels[0]) == 1:
                continue
            listed = " against ".join(", ".join(one) for one in levels)
            text = f"the networks of claim '{claim.id}' do not match in '{name}': {listed}"
            hint = "make it equal, choose fewer networks with `where`, or leave it out of `match`"
            self._say((*path, "match", position), text, hint)

    def _controls(self, path: Trail, claim: Claim) -> None:
        """Note controls that are neither a grid nor a condition that some network meets."""
        for key, given in (("control", claim.control), ("positive", claim.positive)):
            if isinstance(given, Mapping):
                self._where((*path, key), given)
                continue
            for position, name in enumerate(given or ()):
                if name not in self._grids:
                    hint = f"{did_you_mean(name, self._grids)}; or a condition, {{column: value}}"
                    self._say((*path, key, position), f"there is no grid '{name}'", hint)

    def _formula(self, path: Trail, text: str) -> None:
        if mistake := math_mistake(text):
            hint = r"a formula is between two `$`, as LaTeX has it; a dollar sign is `\$`"
            self._say(path, f"{shown(text)} cannot be drawn: {mistake}", hint)

    def _drawing(self, path: Trail, figure: Figure) -> None:
        label, _, drawing = figure.use.partition(".")
        here = (*path, "use")
        if label not in self._labels:
            hint = did_you_mean(label, (*FIGURE_KINDS, *self._labels))
            self._say(here, f"no analysis has the label '{label}'", hint)
        elif label in self._drawings and drawing not in self._drawings[label]:
            hint = did_you_mean(drawing, self._drawings[label])
            self._say(here, f"'{label}' has no drawing '{drawing}'", hint)
        self._axis_names(path, {"facet": figure.facet})
        self._where((*path, "cells", "where"), figure.cells.where)
        if figure.cells.by is not None:
            self._column((*path, "cells", "by"), figure.cells.by)

    def _quantity(self, path: Trail, quantity: Quantity) -> None:
        for key, column in (("value", quantity.value), ("by", quantity.by)):
            if column is not None:
                self._column((*path, key), column)
        if quantity.share is not None:
            self._column((*path, "share", "of"), quantity.share.of)
        self._where((*path, "where"), quantity.where)

    def _axis_names(self, path: Trail, names: Mapping[str, tuple[str, ...]]) -> None:
        for key, columns in names.items():
            for position, column in enumerate(columns):
                here: Trail = (*path, key, position)
                if column in {"status", "cell"} or self._is_parameter(column):
                    continue
                if column == ITERATION:
                    self._column(here, column)
                    continue
                if column.partition(".")[0] in FAMILIES:
                    self._column(here, column)
                else:
                    hint = did_you_mean(column, (*LABELS, *self._parameters))
                    self._say(here, f"'{column}' is not an axis", hint)

    def _is_parameter(self, column: str) -> bool:
        inside = f"{column}."
        return (
            column in LABELS
            or column in self._parameters
            or any(name.startswith(inside) for name in self._parameters if "." in column)
        )

    def _column(self, path: Trail, column: str) -> None:
        """Note a column that cannot be, as far as plugins say what they find."""
        prefix, dot, rest = column.partition(".")
        if column in {*LABELS, "status", "cell"} or self._is_parameter(column):
            return
        if column == ITERATION:
            if not self._snapshots:
                hint = "an analysis with `at: snapshots` does"
                self._say(path, "no analysis looks at snapshots of training", hint)
            return
        if prefix in self._snapshots - self._ended and not self._over_training:
            known = ", ".join(map(str, self._iterations))
            hint = f"name `{ITERATION}` as an axis, or in `where`; its values are {known}"
            self._say(path, f"'{column}' has a value at each snapshot of training", hint)
            return
        if dot and rest and prefix in {*MEASURED, *self._labels, *self._compared}:
            mistake = self._scalars.mistake(column)
            if mistake and (self._complete or prefix not in MEASURED):
                self._say(path, *mistake)
            return
        if prefix in FAMILIES:
            if self._complete:
                near = [name for name in self._parameters if name.startswith(f"{prefix}.")]
                self._say(path, f"no {prefix} has '{column}'", did_you_mean(column, near))
            return
        begin = sorted({*MEASURED, *self._labels, *self._compared, *FAMILIES})
        known = ", ".join([*LABELS, *(f"{name}.*" for name in begin)])
        if path[-1] == "x":
            known = f"{known}, or {ITERATION} (over training)"
        near_hint = did_you_mean(prefix, begin).partition("allowed:")[0]
        self._say(path, f"there is no column '{column}'", f"{near_hint}allowed: {known}")

    def _sides(self, over: tuple[str, ...]) -> tuple[str, ...]:
        """The axes along which rows are taken together."""
        return over

    def _where(self, path: Trail, where: Mapping[str, Any]) -> None:
        """Note unknown columns, and values that no network has."""
        for column, wanted in where.items():
            self._column((*path, column), column)
            values = self._values(column)
            if not self._complete or not values:
                continue
            whole = any(isinstance(value, list) and matches(value, wanted) for value in values)
            several = wanted if isinstance(wanted, tuple) and not whole else (wanted,)
            for one in several:
                if not any(matches(value, one) for value in values):
                    known = ", ".join(shown(value) for value in values[:20])
                    said = f" {one}" if isinstance(one, Criterion) else f" = {shown(one)}"
                    text = f"no network has {column}{said}"
                    self._say((*path, column), text, f"its values are {known}")

    def _values(self, column: str) -> list[Any]:
        if column == ITERATION:
            return list(self._iterations)
        if column == "seed":
            return sorted({seed for condition in self._groups for seed in condition.seeds})
        return values_of(column, self._groups)

    def _mixes(
        self, path: Trail, title: str, used: Sequence[str], where: Mapping[str, Any], remedy: str
    ) -> None:
        """Note every axis that varies among the rows and is not named."""
        if not self._complete:
            return
        named = {*used, *where}
        left = [one for one in self._groups if self._passes(one, where, used)]
        mixed: list[tuple[str, ...]] = []
        if "seed" not in named and any(len(condition.seeds) > 1 for condition in left):
            mixed.append(("seed",))
        for axis in self._axes:
            if any(_is_named(name, named) for name in axis.names):
                continue
            on_axis = (condition for condition in left if axis.covers(condition))
            if len({tuple(map(condition.get, axis.names)) for condition in on_axis}) > 1:
                mixed.append(axis.names)
        for names in mixed:
            listed = " or ".join(f"'{name}'" for name in names)
            text = f"{listed} varies, and the {title} does not say what to do with it"
            self._say(path, text, f"put it into {remedy}")

    def _passes(
        self, condition: Condition, where: Mapping[str, Any], axes: Sequence[str] = ()
    ) -> bool:
        """Whether a view with these `axes` shows these rows, as far as parameters can tell."""
        own = condition.columns
        return is_shown(own["role"], own["grid"], where, axes) and all(
            column in condition.columns and matches(condition.columns[column], wanted)
            for column, wanted in where.items()
            if column in self._parameters
        )


def _texts(name: str, side: Iterable[Condition]) -> list[str]:
    """The values of a setting on one side of a claim, or its seeds."""
    if name == "seed":
        return spans({seed for condition in side for seed in condition.seeds})
    return sorted({shown(value) for value in values_of(name, side)})


def _is_named(axis: str, named: Iterable[str]) -> bool:
    return any(name == axis or name.startswith(f"{axis}.") for name in named)
