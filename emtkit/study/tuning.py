"""Tuning: settings of training tried for every combination alike, on seeds of their own.

Each combination of task, architecture and training is trained with every setting that is tried, on
seeds and evaluation sequences that no result is judged on. The best one is chosen, and the seeds of
the study are trained with it. So architectures are compared at their best settings, each found with
the same budget, and not at one setting that may suit one of them.

References:
    Dodge et al. 2019, Show Your Work, arXiv 1909.03004.
    Melis et al. 2018, On the State of the Art of Evaluation, arXiv 1707.05589.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from emtkit.methods.settings import Count, Settings
from emtkit.study.cells import Row, digest
from emtkit.study.quantity import Direction, Stat
from emtkit.study.wanted import View
from emtkit.study.yaml_nodes import Trail

FIRST_SEED = 2**31
"""The seeds of tuning begin here, far from those that a study judges on."""


class Objective(Settings):
    """What decides between settings."""

    metric: str = "test.loss"
    """Column that decides; `test.<metric>` is here over sequences of the tuning's own."""
    stat: Stat = "mean"
    """Statistic of the column over the seeds of the tuning."""
    direction: Direction = "min"


class TuneSettings(View):
    """`tune:` of a study, a grid or an architecture."""

    over: Annotated[
        Mapping[str, Annotated[tuple[Any, ...], Field(min_length=1)]], Field(min_length=1)
    ]
    """Settings of training with the values that are tried; every combination of them is tried."""
    by: Objective = Objective()
    """What decides between the settings."""
    seeds: Count = 3
    """Number of seeds that each setting is tried on."""


@dataclass(frozen=True)
class Tuning:
    """What is tuned, and where the file says so; `settings` None: nothing is."""

    settings: TuneSettings | None
    path: Trail

    @property
    def size(self) -> int:
        """Number of settings that are tried."""
        found = 1
        for values in () if self.settings is None else self.settings.over.values():
            found *= len(values)
        return found

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that each setting is tried on."""
        count = 0 if self.settings is None else self.settings.seeds
        return tuple(range(FIRST_SEED, FIRST_SEED + count))


NOT_TUNED = Tuning(None, ())


@dataclass(frozen=True)
class Choice:
    """One setting: the rows that try it, and by seed the rows that are judged if it is chosen."""

    setting: Mapping[str, Any]
    tried: tuple[Row, ...]
    judged: Mapping[int, Row]

    @property
    def text(self) -> str:
        """`lr 0.003, weight_decay 0`."""
        return ", ".join(f"{name} {value}" for name, value in self.setting.items())


@dataclass(frozen=True)
class TunedCombination:
    """A combination that is tuned; `waiting` stand for its judged rows until one is chosen."""

    text: str
    tuning: Tuning
    choices: tuple[Choice, ...]
    waiting: tuple[Row, ...]

    @classmethod
    def of(cls, text: str, tuning: Tuning, choices: Sequence[Choice]) -> "TunedCombination":
        """The combination with rows in the place of those of its first setting."""
        return cls(text, tuning, tuple(choices), tuple(map(_waiting, choices[0].judged.values())))

    def edges(self, choice: Choice) -> Iterator[str]:
        """The settings whose chosen value is the least or the greatest of those tried."""
        assert self.tuning.settings is not None
        for name, values in self.tuning.settings.over.items():
            numbers = all(isinstance(value, int | float) for value in values)
            if numbers and len(values) > 1 and choice.setting[name] in (min(values), max(values)):
                yield name


def with_choices(
    rows: Sequence[Row], chosen: Sequence[tuple[TunedCombination, Choice]]
) -> tuple[Row, ...]:
    """The rows with those judged at the chosen settings in the place of those that waited."""
    judged = {
        row.cell.key: choice.judged.get(row.cell.seed)
        for combination, choice in chosen
        for row in combination.waiting
    }
    found = (judged.get(row.cell.key, row) for row in rows)
    return tuple(row for row in found if row is not None)


def _waiting(row: Row) -> Row:
    """The row of a network whose training is not known yet, under keys that no result has."""

    def other(key: str) -> str:
        # Two grids may tune one network by different criteria.
        return digest(["waits for a tuning", row.grid, row.task, row.architecture, key])

    return replace(
        row,
        cell=replace(row.cell, key=other(row.cell.key)),
        evaluation_spec=replace(row.evaluation_spec, key=other(row.evaluation_spec.key)),
        elsewhere=tuple(replace(one, key=other(one.key)) for one in row.elsewhere),
        measures=tuple(replace(one, key=other(one.key)) for one in row.measures),
    )
