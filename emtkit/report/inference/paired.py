"""The difference between two aggregates, their cells paired by seed."""

import math
from dataclasses import dataclass, replace

import numpy as np

from emtkit.plugin.statistic import NORMAL_95, Estimate, Statistic
from emtkit.report.inference.aggregate import Aggregate
from emtkit.report.inference.resampling import Difference, effect_size, holm

ALPHA = 0.05


@dataclass(frozen=True)
class PairedDifference:
    """A minus B over their common seeds.

    `p` is corrected (Holm) once the whole family is known; `separated` says that p is below 0.05
    and that the interval of the difference, where there is one, leaves out 0; without a p the
    interval decides. A difference without an interval must exceed the noise of two evaluation sets.
    `cause` says why there is no comparison.
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
        if self.p is None or found.bounded:
            return apart and (self.p is None or self.p < ALPHA)
        return self.p < ALPHA and abs(found.value) > NORMAL_95 * found.noise


def paired_difference(
    a: Aggregate, b: Aggregate, of_a: Statistic, of_b: Statistic, *, fixed: bool = False
) -> PairedDifference:
    """A minus B over the members of `over` that both have.

    `fixed`: B is one constructed network, which no seed changes; A's interval is then read from it.
    Two different statistics have neither interval nor test. On the same task the evaluation set is
    common, and its noise leaves the difference; on two tasks that of both enters.
    """
    if a.sample is None or b.sample is None:
        return PairedDifference(None, cause=a.cause or b.cause or "text has no difference")
    common = {pair: place for place, pair in enumerate(b.pairs)}
    members = [place for place, pair in enumerate(a.pairs) if fixed or pair in common]
    first = a.sample.take(members)
    second = b.sample.take([0 if fixed else common[a.pairs[place]] for place in members])
    if not len(first):
        return PairedDifference(None, cause="no seeds in common")
    values = [float(of(one.values, one.by)) for of, one in ((of_a, first), (of_b, second))]
    if np.isnan(values).any():
        return PairedDifference(None, cause="undefined in the best of the common seeds")
    p = None
    if fixed:
        estimate = _shifted(of_a.interval(first), values[1])
    elif of_a is of_b:
        estimate, p = of_a.difference(first, second), of_a.p(first, second)
    else:
        why = f"{of_a.noun} less {of_b.noun} has neither interval nor test"
        estimate = Estimate(values[0] - values[1], math.nan, math.nan, len(first), why)
    if a.task != b.task:
        noises = [side.estimate.noise if side.estimate is not None else 0.0 for side in (a, b)]
        estimate = estimate.with_noise(math.hypot(*noises))
    effect = effect_size(first.values - second.values)
    return PairedDifference(Difference(estimate, p, effect), p)


def corrected(family: list[PairedDifference]) -> list[PairedDifference]:
    """The comparisons of one family with their p corrected for how many there are."""
    ps = holm([one.p for one in family])
    return [replace(one, p=p) for one, p in zip(family, ps, strict=True)]


def _shifted(found: Estimate, by: float) -> Estimate:
    """The estimate less a constant."""
    return replace(found, value=found.value - by, low=found.low - by, high=found.high - by)
