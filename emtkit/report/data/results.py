"""The tidy frame and its reasons, read by column and row position.

The frame has a row per network under its labels: `cell grid role status seed task architecture`,
the parameters `task.* architecture.* training.*` and the scalars `train.* test.* <label>.*`. The
reasons have a row per number that is not there: `cell label scalar reason status`.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from emtkit.errors import EmtkitError, did_you_mean
from emtkit.report.data.causes import DONE, NOT_ASKED, WORDS, Cause, causes_of, plain, state_of
from emtkit.report.data.sides import OTHER, SAME, both_sides
from emtkit.study.roles import is_shown
from emtkit.study.views import ITERATION, Claim, Figure, Table
from emtkit.study.wanted import Criterion, Wanted, label_and_scalar, matching

View = Table | Figure | Claim
AXES = ("task", "architecture", "grid", ITERATION, "seed")
AXIS_FAMILIES = ("task.", "architecture.", "training.")
_LABELS = ("role", "cell", "status", "reason")
"""What else names a network rather than what was found of it; the role follows from the grid."""


class Results:
    """A frame with its reasons; columns are read once, as plain Python values (None for NaN).

    `conditions`: for a column, the columns in which rows must agree for its numbers to be compared.
    `over_training`: the results with a row per network and snapshot, for views that ask for them.
    `of_pairs`: a row is of two networks that were compared.
    `memory` holds what views have computed of them: a figure is drawn twice, once for phones.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        reasons: pd.DataFrame | None = None,
        conditions: Mapping[str, tuple[str, ...]] | None = None,
        over_training: "Results | None" = None,
        *,
        of_pairs: bool = False,
    ) -> None:
        self.frame = frame
        self.conditions = conditions or {}
        self.of_pairs = of_pairs
        self._over_training = over_training
        self._pairs: Callable[[View | None], Results | None] | None = None
        self.reasons = reasons if reasons is not None else pd.DataFrame()
        self.memory: dict[Hashable, Any] = {}
        self._columns: dict[str, list[Any]] = {}
        self._levels: dict[str, list[Any]] = {}
        self._distinct: dict[str, list[Any]] = {}
        self._labels: dict[str, list[str]] = {}
        for name in map(str, frame.columns):
            self._labels.setdefault(label_and_scalar(name)[0], []).append(name)
        self._matching: dict[tuple[str, str], list[bool]] = {}
        self._words: dict[str, list[tuple[str, ...]]] = {}
        self._label_causes: dict[str, dict[int, Cause]] = {}
        self._causes = causes_of(self.reasons)
        self._undefined: dict[str, dict[str, str]] = {}
        for (cell, label, scalar), cause in self._causes.items():
            if scalar:
                self._undefined.setdefault(cell, {})[f"{label}.{scalar}"] = cause.reason

    def __len__(self) -> int:
        return len(self.frame)

    def seen_by(self, view: View) -> "Results":
        """The results that a view reads: over training where it speaks of iterations, of pairs
        where it speaks of comparisons."""
        if self._pairs is not None and (pairs := self._pairs(view)) is not None:
            return pairs
        over = self._over_training
        return over if over is not None and view.over_training else self

    @property
    def pairs(self) -> "Results | None":
        """Every two networks that are compared, from either side; None where none are."""
        return None if self._pairs is None else self._pairs(None)

    def with_pairs(self, pairs: Callable[[View | None], "Results | None"]) -> "Results":
        """The same, with what `pairs` gives for a view that speaks of them, or for all."""
        found = Results(self.frame, self.reasons, self.conditions, self._over_training)
        found._pairs = pairs
        return found

    def sides(self, axes: Iterable[str]) -> tuple[str, ...]:
        """The axes; of pairs, those of both networks."""
        return both_sides(axes) if self.of_pairs else tuple(axes)

    def column(self, name: str) -> Sequence[Any]:
        """The values of a column; all None for a scalar that no cell has (yet).

        Raises:
            EmtkitError: no such column, though its analysis or axis is there.
        """
        if name not in self._columns:
            if name in self.frame.columns:
                self._columns[name] = _values(self.frame[name], name)
            else:
                self._check_absent(name)
                self._columns[name] = [None] * len(self.frame)
        return self._columns[name]

    def keep(self, rows: Iterable[int], where: Mapping[str, Wanted]) -> list[int]:
        """The rows whose columns match every condition of `where`."""
        kept = list(rows)
        for name, wanted in where.items():
            values = self.column(name)
            if isinstance(wanted, Criterion):
                kept = [row for row in kept if wanted.holds(values[row])]
                continue
            key = name, repr(wanted)
            if key not in self._matching:
                self._matching[key] = matching(values, wanted)
            match = self._matching[key]
            kept = [row for row in kept if match[row]]
        return kept

    def shown(self, where: Mapping[str, Wanted], axes: Collection[str] = ()) -> list[int]:
        """The rows that a view of these `axes` shows: those that `where` keeps, without controls.

        A control's are among them only where the view asks for them (`roles.is_shown`).
        """
        rows: Iterable[int] = range(len(self))
        if "role" in self.frame.columns:
            pairs = list(zip(self.column("role"), self.column("grid"), strict=True))
            seen = {pair: is_shown(*pair, where, axes) for pair in dict.fromkeys(pairs)}
            rows = [row for row in rows if seen[pairs[row]]]
        return self.keep(rows, where)

    def met(
        self, rows: Sequence[int], conditions: Iterable[tuple[str, Wanted]]
    ) -> dict[str, Wanted]:
        """Those conditions that `rows` meet, one by one in their order; the others fall."""
        found: dict[str, Wanted] = {}
        for name, wanted in conditions:
            if self.keep(rows, {**found, name: wanted}):
                found[name] = wanted
        return found

    def levels(self, row: int, axes: Sequence[str]) -> tuple[Any, ...]:
        """The row's values on `axes`, hashable."""
        return tuple(self._level_column(axis)[row] for axis in axes)

    def task(self, row: int) -> tuple[Any, ...]:
        """What the row's network was evaluated on, hashable."""
        return self._tasks[row]

    @cached_property
    def _tasks(self) -> list[tuple[Any, ...]]:
        names = [name for name in self.frame.columns if name.partition(".")[0] == "task"]
        columns = [self._level_column(name) for name in names]
        return list(zip(*columns, strict=True)) if columns else [()] * len(self)

    def groups(self, rows: Iterable[int], axes: Sequence[str]) -> dict[tuple[Any, ...], list[int]]:
        """Rows by their values on `axes`, in order of appearance."""
        columns = [self._level_column(axis) for axis in axes]
        found: dict[tuple[Any, ...], list[int]] = {}
        for row in rows:
            found.setdefault(tuple([column[row] for column in columns]), []).append(row)
        return found

    def distinct(self, name: str, rows: Iterable[int] | None = None) -> list[Any]:
        """The levels of an axis over `rows` (all rows), in order of appearance."""
        column = self._level_column(name)
        if rows is None:
            if name not in self._distinct:
                self._distinct[name] = list(dict.fromkeys(column))
            return self._distinct[name]
        if len(whole := self.distinct(name)) == 1:
            return whole if any(True for _ in rows) else []
        return list(dict.fromkeys(map(column.__getitem__, rows)))

    def nested(self, rows: Sequence[int], axes: Sequence[str]) -> list[tuple[Any, ...]]:
        """The combinations that occur, nested as `axes` are, each axis in order of appearance."""
        listed = list(self.groups(rows, axes))
        ranks = [
            {level: place for place, level in enumerate(dict.fromkeys(axis))}
            for axis in zip(*listed, strict=True)
        ]
        return sorted(listed, key=lambda one: [rank[x] for rank, x in zip(ranks, one, strict=True)])

    def varying(self, rows: Sequence[int]) -> list[str]:
        """The axes on which `rows` differ, the most informative first; the seed is included."""
        parameters = [name for name in self.frame.columns if name.startswith(AXIS_FAMILIES)]
        order = self.sides([*AXES[:2], *parameters, *AXES[2:]])
        known = [name for name in order if name in self.frame.columns]
        return [name for name in known if len(self.distinct(name, rows)) > 1]

    def distinguishing(self, rows: Sequence[int], aside: Sequence[str] = ()) -> list[str]:
        """The fewest axes that tell the networks of `rows` apart, those `aside` left out.

        An axis that follows from others (one half of a zip), or from those aside, is not among
        them; the grid is only where nothing else tells two networks apart.
        """
        found: list[str] = []
        apart, count = [0] * len(rows), 1
        aside = self.sides(aside)
        known = (name for name in aside if name in self.frame.columns)
        told = [name for name in known if name.removeprefix(OTHER) != "seed"]
        settings = len(self.groups(rows, told)) if told else 0
        for name in self.varying(rows):
            # What follows from the axes aside, as the activation does from the architecture.
            if name in aside or (told and len(self.groups(rows, [*told, name])) == settings):
                continue
            if name.removeprefix(OTHER) == "grid":
                groups = self.groups(rows, [*found, *aside, "seed"]).values()
                if all(len(self.groups(members, ["cell"])) == 1 for members in groups):
                    continue
            levels = map(self._level_column(name).__getitem__, rows)
            places: dict[tuple[int, Any], int] = {}
            finer = [places.setdefault(one, len(places)) for one in zip(apart, levels, strict=True)]
            if len(places) > count:
                found.append(name)
                apart, count = finer, len(places)
        return found

    def error_of(self, name: str) -> str | None:
        """The column of a sampled number's standard error, where there is one."""
        return f"{name}_error" if f"{name}_error" in self.frame.columns else None

    def has(self, row: int, name: str) -> bool:
        """Whether the number `name` of a row is there."""
        return self.column(name)[row] is not None

    def is_done(self, row: int, name: str) -> bool:
        """Whether a row is of a network that is done, and has the number `name`."""
        return self.column("status")[row] not in WORDS and self.has(row, name)

    def cause(self, row: int, name: str) -> Cause:
        """What became of the number `name` of a row."""
        status = str(self.column("status")[row])
        if status in WORDS:
            return Cause(WORDS[status], self._reason_of(row))
        if self.has(row, name):
            return DONE
        label, scalar = label_and_scalar(name)
        for key in ((cell, label, one) for one in (scalar, "") for cell in self._names(row)):
            if key in self._causes:
                return self._causes[key]
        if any(self.has(row, other) for other in self._labels.get(label, [])):
            return Cause("undefined", f"{name} has no value")
        return Cause("missing", f"{label} has not been measured")

    def labels(self) -> list[str]:
        """Training, test and every analysis that has a number, or a reason why not."""
        read = [name for name in self._labels if f"{name}." not in AXIS_FAMILIES]
        numbers = [name for name in read if any("." in column for column in self._labels[name])]
        return list(dict.fromkeys([*numbers, *(key[1] for key in self._causes if key[1])]))

    def label_cause(self, row: int, label: str) -> Cause:
        """What became of one analysis of one cell; a traceback in full where it failed.

        `not_asked` where the grid of the cell does not have the analysis.
        """
        known = self._label_causes.setdefault(label, {})
        if row not in known:
            known[row] = self._label_cause(row, label)
        return known[row]

    def _label_cause(self, row: int, label: str) -> Cause:
        cell = str(self.column("cell")[row])
        status = str(self.column("status")[row])
        if status in WORDS:
            found = self._causes.get((cell, "train", ""))
            return Cause(WORDS[status], found.reason if found else self._reason_of(row))
        known = [name for name in self._labels.get(label, []) if "." in name]
        explained = self.undefined(row)
        if any(self.has(row, name) or name in explained for name in known):
            return DONE
        return self._causes.get((cell, label, ""), NOT_ASKED)

    def undefined(self, row: int) -> dict[str, str]:
        """The reason of every number that this row's analyses could not define."""
        found = [self._undefined.get(name, {}) for name in self._names(row)]
        return found[0] if len(found) == 1 else {**found[-1], **found[0]}

    def states(self, rows: Iterable[int], columns: Iterable[str]) -> Counter[str]:
        """How many networks the analyses of `columns` name by a state.

        A state is the word before the colon of a reason: `silent: every output is zero`.
        """
        words = [self._words_of(f"{name.partition('.')[0]}.") for name in columns]
        found: Counter[str] = Counter()
        for row in rows:
            found.update({word for column in words for word in column[row]})
        return found

    def _words_of(self, label: str) -> list[tuple[str, ...]]:
        """The states that the reasons of an analysis, by the beginning of its columns, name."""
        if label not in self._words:
            self._words[label] = [
                tuple(
                    word
                    for name, why in self.undefined(row).items()
                    if name.startswith(label) and (word := state_of(why))
                )
                for row in range(len(self))
            ]
        return self._words[label]

    def _names(self, row: int) -> tuple[str, ...]:
        """By what reasons know a row: its cell, over training with the iteration before that."""
        cell = str(self.column("cell")[row])
        if ITERATION not in self.frame.columns:
            return (cell,)
        return f"{cell}@{self.column(ITERATION)[row]}", cell

    def _level_column(self, name: str) -> list[Any]:
        if name not in self._levels:
            values = self.column(name)
            self._levels[name] = [v if type(v) is str else hashable(v) for v in values]
        return self._levels[name]

    def _reason_of(self, row: int) -> str:
        return str(self.column("reason")[row] or "") if "reason" in self.frame.columns else ""

    def _check_absent(self, name: str) -> None:
        label, _ = label_and_scalar(name)
        siblings = [other for other in self._labels.get(label, []) if "." in other]
        explained = any(key[1] == label for key in self._causes)
        bare = "." not in name or f"{label}." in AXIS_FAMILIES
        if bare or (siblings and not explained):
            allowed = siblings or [str(other) for other in self.frame.columns]
            raise EmtkitError(
                f"there is no column '{name}' in the results; {did_you_mean(name, allowed)}"
            )


def is_axis(name: str) -> bool:
    """Whether a column says what a network is, rather than what was found of it."""
    if name.startswith(SAME):
        return True
    name = name.removeprefix(OTHER)
    return name in AXES or name in _LABELS or name.startswith(AXIS_FAMILIES)


def hashable(value: Any) -> Any:
    """A value that may key a dictionary: lists become tuples, whole floats integers."""
    if isinstance(value, list | tuple):
        return tuple(hashable(entry) for entry in value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def level_text(value: Any) -> str:
    """A level as it is read: shortest numbers, yes and no, a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(level_text(entry) for entry in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def where_text(where: Mapping[str, Any]) -> str:
    """A condition as a phrase: `task.delay = 3, test.accuracy above 0.94`."""
    return ", ".join(
        f"{name} {wanted}" if isinstance(wanted, Criterion) else f"{name} = {level_text(wanted)}"
        for name, wanted in where.items()
    )


def on_axes(where: Mapping[str, Wanted]) -> dict[str, Wanted]:
    """The conditions of `where` on what a network is."""
    return {name: wanted for name, wanted in where.items() if is_axis(name)}


def _values(column: "pd.Series[Any]", name: str) -> list[Any]:
    values = column.tolist()
    if column.dtype == np.float64:
        return [None if value != value else value for value in values]
    if column.dtype in (np.int64, np.bool_):
        return values
    read = _parameter if name.removeprefix(OTHER).startswith(AXIS_FAMILIES) else plain
    return [read(value) for value in values]


def _parameter(value: Any) -> Any:
    """A parameter; the frame holds those that are lists as JSON text."""
    if isinstance(value, str) and value.startswith("["):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return plain(value)
