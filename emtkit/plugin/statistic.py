"""What a statistic is: one number, or one text, made of what n networks gave."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from emtkit.methods.folder import Methods

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

STATISTICS = Methods("emtkit.report.inference.statistics", "statistic")


NORMAL_95 = 1.959964
"""Standard errors on either side of 95 % of a normal law."""


@dataclass(frozen=True)
class Sample:
    """The n values that a statistic reads, and `by`: it ranks them, the least best, or pairs."""

    values: Numbers
    by: Numbers | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, chosen: NDArray[Any] | list[int]) -> Sample:
        """The sample with its members chosen by index; `chosen` may have leading axes."""
        return Sample(self.values[chosen], None if self.by is None else self.by[chosen])

    def swapped(self, other: Sample, swaps: NDArray[np.bool_]) -> Sample:
        """Its members, those of `other` in their places where `swaps` (R, n) says so."""
        import numpy as np  # takes a tenth of a second, which `--help` need not pay

        by = None
        if self.by is not None and other.by is not None:
            by = np.where(swaps, other.by, self.by)
        return Sample(np.where(swaps, other.values, self.values), by)


@dataclass(frozen=True)
class Interval:
    """The ends of a 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A statistic of n values with its 95 % interval.

    Where there is no interval its ends are NaN, and `why` says what would give one. One value
    alone has the ends `value`: what that says, the reader of n = 1 must decide. `noise` is the
    standard error that the common evaluation set adds to all values; the interval holds it.
    """

    value: float
    low: float
    high: float
    n: int
    why: str = ""
    noise: float = 0.0

    def with_noise(self, noise: float) -> Estimate:
        """The estimate with the standard error of its evaluation set: ends widened in squares."""
        if not noise or self.n == 1:
            return replace(self, noise=noise)
        below = math.hypot(self.value - self.low, NORMAL_95 * noise)
        above = math.hypot(self.high - self.value, NORMAL_95 * noise)
        return replace(self, low=self.value - below, high=self.value + above, noise=noise)

    def of_constructed(self) -> Estimate:
        """The estimate where seeds say nothing: the noise of the evaluation set alone."""
        reach = NORMAL_95 * self.noise
        return replace(self, low=self.value - reach, high=self.value + reach)

    @property
    def bounded(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.low)


class Statistic(ABC):
    """A statistic with its interval over networks and its test in pairs.

    An interval is given only where a simulation shows that it covers (tests/report/
    test_coverage.py); `least` is the number of values from which on, None where it never does, for
    which `lack` is the reason. `reads` says of what it is made: numbers, truths (its value is then
    a share of the networks), texts (it is then called with their codes), or labels (anything that
    can be equal: with codes, which `by` shares). `ranks`: it reads networks in the order of `by`;
    `pairs`: it reads `by` itself beside each value. `leaves_out`: networks without a value are left
    out and counted, where others give a dash. `centres`: it stands for the middle of all. `noun`
    and `method` are what the report writes: "a mean", and how its interval is made.
    """

    reads: ClassVar[Literal["numbers", "truths", "texts", "labels"]] = "numbers"
    ranks: ClassVar[bool] = False
    pairs: ClassVar[bool] = False
    leaves_out: ClassVar[bool] = False
    centres: ClassVar[bool] = False
    counts_runs: ClassVar[bool] = False
    least: ClassVar[int | None] = None
    lack: ClassVar[str] = ""
    noun: ClassVar[str]
    method: ClassVar[str] = ""

    @abstractmethod
    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The statistic over the last axis of `values` (and `by`, of equal shape)."""

    def of(self, runs: int | None) -> Statistic:
        """The statistic of so many runs, where it `counts_runs`."""
        return self

    def limits(self, sample: Sample) -> Interval:
        """The 95 % interval of at least `least` values."""
        raise NotImplementedError

    def interval(self, sample: Sample) -> Estimate:
        """The statistic of a sample, with its interval where it has one."""
        value, n = float(self(sample.values, sample.by)), len(sample)
        if n == 1:
            return Estimate(value, value, value, 1)
        if why := self.no_interval(n):
            return Estimate(value, math.nan, math.nan, n, why)
        ends = self.limits(sample)
        return Estimate(value, min(ends.low, value), max(ends.high, value), n)

    def no_interval(self, n: int) -> str:
        """Why n networks give no interval; empty where they do."""
        if self.least is None:
            return self.lack
        if n < self.least:
            return f"{n} networks give no 95 % interval of {self.noun}; {self.least} do"
        return ""

    def difference(self, a: Sample, b: Sample) -> Estimate:
        """A minus B over pairs, with its interval where there is one."""
        value = float(self(a.values, a.by)) - float(self(b.values, b.by))
        why = f"a difference of two has a test, and no interval ({self.noun})"
        return Estimate(value, math.nan, math.nan, len(a), why)

    def p(self, a: Sample, b: Sample) -> float:
        """Two-sided p of the pairs, if it does not matter which side is which.

        By default the sides of every pair are swapped, and the statistic itself is compared.
        """
        from emtkit.plugin.swaps import swap_p

        return swap_p(self, a, b)

    def least_p(self, n: int) -> float:
        """The least p that n pairs can reach."""
        from emtkit.plugin.swaps import least_swap_p

        return least_swap_p(n)


@cache
def statistic_named(name: str, runs: int | None = None) -> Statistic:
    """The statistic of that name, of so many runs where it counts them; always the same object.

    Raises:
        PluginError: there is none.
    """
    return STATISTICS.load(name, Statistic).of(runs)
