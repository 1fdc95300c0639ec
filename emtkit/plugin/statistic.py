"""What a statistic is: one number, or one text, made of what n networks gave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from emtkit.methods.folder import Methods

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

STATISTICS = Methods("emtkit.report.inference.statistics", "statistic")


@dataclass(frozen=True)
class Sample:
    """The n values that a statistic reads; where it ranks networks, the least `by` is the best."""

    values: Numbers
    by: Numbers | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, chosen: NDArray[Any] | list[int]) -> Sample:
        """The sample with its members chosen by index; `chosen` may have leading axes."""
        return Sample(self.values[chosen], None if self.by is None else self.by[chosen])


@dataclass(frozen=True)
class Estimate:
    """A statistic with its 95 % interval; `low` and `high` equal `value` when n is 1."""

    value: float
    low: float
    high: float
    n: int


class Statistic(ABC):
    """A statistic and, where it has one, its paired test; its interval is by resampling.

    `reads` says of what it is made: numbers, truths (its value is then a share of the networks), or
    texts (it is then called with their codes). `ranks`: it reads one network, chosen by `by`.
    """

    reads: ClassVar[Literal["numbers", "truths", "texts"]] = "numbers"
    ranks: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The statistic over the last axis of `values` (and `by`, of equal shape)."""

    def p(self, differences: Numbers) -> float | None:
        """Two-sided p of n paired differences, if it does not matter which side is which."""
        return None

    def least_p(self, n: int) -> float | None:
        """The least p that n pairs can reach; None where there is no test."""
        return None


@cache
def statistic_named(name: str) -> Statistic:
    """The statistic of that name.

    Raises:
        PluginError: there is none.
    """
    return STATISTICS.load(name, Statistic)
