"""The median."""

import numpy as np

from emtkit.plugin.statistic import Estimate, Interval, Sample, Statistic
from emtkit.report.inference.resampling import Numbers, lower_rank


class Median(Statistic):
    """The middle value, or the mean of the two in the middle.

    Interval: order statistics, exact for every distribution. Pairs: the median of the differences,
    its interval, and the sign test, which that interval inverts; Wilcoxon's signed ranks would ask
    for symmetric differences.

    References:
        Conover 1999, Practical Nonparametric Statistics (3.2 quantiles, 3.4 sign test).
    """

    least = 6
    centres = True
    noun = "a median"
    method = "median by order statistics, exact"

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The median over the last axis."""
        return np.asarray(np.median(values, axis=-1))

    def limits(self, sample: Sample) -> Interval:
        """The order statistics between which the median lies."""
        rank, ordered = lower_rank(len(sample), 0.5), np.sort(sample.values)
        return Interval(float(ordered[rank - 1]), float(ordered[-rank]))

    def difference(self, a: Sample, b: Sample) -> Estimate:
        """The median of the differences."""
        return self.interval(Sample(a.values - b.values))

    def p(self, a: Sample, b: Sample) -> float:
        """The sign test of the differences; those that are 0 speak for either side."""
        from scipy.stats import binom

        differences = a.values - b.values
        fewer = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
        return float(min(1.0, 2 * binom.cdf(fewer, len(differences), 0.5)))

    def least_p(self, n: int) -> float:
        """That of n signs that agree."""
        return min(1.0, 2.0 ** (1 - n))
