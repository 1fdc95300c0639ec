"""The share of networks in which something holds."""

from functools import lru_cache

import numpy as np

from emtkit.plugin.statistic import Interval, Sample, Statistic
from emtkit.report.inference.resampling import CONFIDENCE, Numbers


class ShareOfTruths(Statistic):
    """The mean of zeros and ones.

    Interval: Clopper and Pearson's, each side of which is right for every share; Wilson's misses on
    one side up to 8 % of the time at n = 5. Test: swapped pairs, which is McNemar's exact one.

    References:
        Clopper & Pearson 1934, The use of confidence or fiducial limits.
    """

    reads = "truths"
    least = 2
    noun = "a share"
    method = "share by Clopper and Pearson, exact"

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The share of ones over the last axis."""
        return np.asarray(values.mean(axis=-1))

    def limits(self, sample: Sample) -> Interval:
        """Of the binomial count."""
        return _exact(round(float(sample.values.sum())), len(sample))


@lru_cache(maxsize=1024)
def _exact(count: int, n: int) -> Interval:
    from scipy.stats import binomtest

    found = binomtest(count, n).proportion_ci(CONFIDENCE, method="exact")
    return Interval(float(found.low), float(found.high))
