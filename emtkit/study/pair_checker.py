"""Whether the columns of views of two networks exist, and no two pairs are mixed."""

from collections.abc import Mapping, Sequence
from typing import Any

from emtkit.errors import did_you_mean
from emtkit.study.pair_choice import PairChoice
from emtkit.study.view_checker import LABELS, Checker
from emtkit.study.views import PAIRED, Figure, Table, compared_in
from emtkit.study.yaml_nodes import Trail


class PairChecker(Checker):
    """The checks of views that show two networks at a time.

    The axes of the second network begin with `other.`; `over` speaks of both.
    """

    def table(self, path: Trail, table: Table) -> None:
        """Note what is wrong with a table."""
        self._shown = compared_in(table, self._compared)
        super().table(path, table)

    def figure(self, path: Trail, figure: Figure) -> None:
        """Note what is wrong with a figure."""
        self._shown = compared_in(figure, self._compared)
        super().figure(path, figure)

    def _column(self, path: Trail, column: str) -> None:
        side, _, name = column.partition(".")
        if side not in PAIRED:
            super()._column(path, column)
        elif name.partition(".")[0] in self._compared or (side == "same" and not self._own(name)):
            hint = did_you_mean(name, (*LABELS, *sorted(self._parameters)))
            self._say(path, f"'{name}' is not an axis of a network", hint)
        else:
            super()._column(path, name)

    def _is_parameter(self, column: str) -> bool:
        if column.startswith(("same.task", "same.role")):
            return False  # it is always the same
        return self._own(_own_name(column))

    def _own(self, name: str) -> bool:
        return super()._is_parameter(name)

    def _values(self, column: str) -> list[Any]:
        return [True, False] if column.startswith("same.") else super()._values(_own_name(column))

    def _sides(self, over: tuple[str, ...]) -> tuple[str, ...]:
        return (*over, *(f"other.{name}" for name in over))

    def _mixes(
        self, path: Trail, title: str, used: Sequence[str], where: Mapping[str, Any], remedy: str
    ) -> None:
        """Note the axes of either network that vary and are not named."""
        first = [name for name in used if name.partition(".")[0] not in PAIRED]
        wanted = {name: one for name, one in where.items() if name.partition(".")[0] not in PAIRED}
        super()._mixes(path, title, first, wanted, remedy)
        names = {name for axis in self._axes for name in axis.names} | {*first, *wanted}
        choices = [self._compared[label] or PairChoice() for label in self._shown]
        alike = {
            name
            for name in names
            if name == "grid" or not any(choice.frees(name) for choice in choices)
        }
        second = [name.removeprefix("other.") for name in used if name.startswith("other.")]
        others = {
            name.removeprefix("other."): one
            for name, one in where.items()
            if name.startswith("other.")
        }
        others = {**{name: one for name, one in wanted.items() if name in alike}, **others}
        named = [*second, *(name for name in first if name in alike)]
        super()._mixes(path, f"{title}, of the second network,", named, others, remedy)


def _own_name(column: str) -> str:
    """The column of one network that a column of two is about."""
    side, _, name = column.partition(".")
    return name if side in PAIRED else column
