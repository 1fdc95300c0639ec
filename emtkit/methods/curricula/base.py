"""What a curriculum is: where it begins, what it watches, and how it moves on."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from emtkit.methods.method import Method


@dataclass(frozen=True)
class CurriculumState:
    """Where one row is: its horizon, kept as a float, and what its curriculum remembers."""

    horizon: float
    memory: Mapping[str, float] = field(default_factory=dict)


class Watched(ABC):
    """What curricula may look at: every row on the training batch of one iteration."""

    @abstractmethod
    def losses(self, scored: int) -> list[float]:
        """Of each row, the mean loss of its first `scored` scored outputs."""

    @abstractmethod
    def metric(self, name: str) -> list[float]:
        """Of each row, the metric over its whole current horizon."""


class Curriculum(Method):
    """How many scored outputs a row trains on; each row looks only at itself.

    `moves` is False where the horizon never does: then nobody looks between iterations.
    `needs_outputs`: whether it asks for metrics, which not every tier can give.
    """

    moves: ClassVar[bool] = True
    needs_outputs: ClassVar[bool] = False

    @abstractmethod
    def longest(self, horizon: int) -> int:
        """The longest horizon that it reaches on a task whose own horizon is `horizon`."""

    @abstractmethod
    def begin(self, horizon: int) -> CurriculumState:
        """Where a row begins on a task of that horizon."""

    @abstractmethod
    def watch(self, seen: Watched) -> list[float]:
        """One number of each row, after each iteration."""

    @abstractmethod
    def advance(
        self, state: CurriculumState, watched: float, iteration: int, horizon: int
    ) -> CurriculumState:
        """Where a row is after `iteration` iterations, in the last of which it `watched`."""

    def refusal(self, horizon: int) -> str | None:
        """None, or why it cannot be used on a task of that horizon."""
        return None
