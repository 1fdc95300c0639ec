"""The difference between two aggregates, their cells paired by seed."""

from dataclasses import dataclass, replace

import numpy as np

from emtkit.plugin.statistic import Statistic
from emtkit.report.inference.aggregate import Aggregate
from emtkit.report.inference.resampling import Difference, difference, holm

ALPHA = 0.05


@dataclass(frozen=True)
class PairedDifference:
    """A minus B over their common seeds.

    `p` is corrected (Holm) once the whole family is known; `separated` says that the interval of
    the difference leaves out 0 and that p, where there is one, is below 0.05. `cause` says why
    there is no comparison.
    """

    difference: Difference | None
    p: float | None = None
    cause: str = ""

    @property
    def separated(self) -> bool:
        """Whether the two differ beyond chance."""
        if self.difference is None:
            return False
        found = self.difference.estimate
        apart = found.low > 0 or found.high < 0
        return apart and (self.p is None or self.p < ALPHA)


def paired_difference(
    a: Aggregate, b: Aggregate, of_a: Statistic, of_b: Statistic, *, fixed: bool = False
) -> PairedDifference:
    """A minus B over the members of `over` that both have.

    `fixed`: B is one constructed network, which no seed changes; it is paired with all of A's.
    """
    if a.sample is None or b.sample is None:
        return PairedDifference(None, cause=a.cause or b.cause or "text has no difference")
    common = {pair: place for place, pair in enumerate(b.pairs)}
    members = [place for place, pair in enumerate(a.pairs) if fixed or pair in common]
    first = a.sample.take(members)
    second = b.sample.take([0 if fixed else common[a.pairs[place]] for place in members])
    if not len(first):
        return PairedDifference(None, cause="no seeds in common")
    for sample, statistic in ((first, of_a), (second, of_b)):
        if np.isnan(statistic(sample.values, sample.by)):
            return PairedDifference(None, cause="undefined in the best of the common seeds")
    found = difference(first, second, of_a, of_b)
    return PairedDifference(found, found.p)


def corrected(family: list[PairedDifference]) -> list[PairedDifference]:
    """The comparisons of one family with their p corrected for how many there are."""
    ps = holm([one.p for one in family])
    return [replace(one, p=p) for one, p in zip(family, ps, strict=True)]
