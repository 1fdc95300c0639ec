"""The trimmed mean: the mean of the middle three fifths."""

import numpy as np

from emtkit.plugin.statistic import Estimate, Sample, Statistic
from emtkit.plugin.swaps import least_swap_p, swap_p
from emtkit.report.inference.resampling import Numbers


class Trimmed(Statistic):
    """The mean without the floor(n / 5) least and the floor(n / 5) greatest values.

    No interval: that of Tukey and McLaughlin takes a lone branch for the whole. Pairs: the trimmed
    mean of the differences, tested by exact sign flips.

    References:
        Tukey & McLaughlin 1963, Less vulnerable confidence and significance procedures.
        Wilcox 2017, Introduction to Robust Estimation and Hypothesis Testing (20 % on each side).
    """

    centres = True
    noun = "a trimmed mean"
    lack = "no interval of a trimmed mean covers two branches; use `stat: median`"

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The trimmed mean over the last axis."""
        n = values.shape[-1]
        cut = n // 5
        return np.asarray(np.sort(values, axis=-1)[..., cut : n - cut].mean(axis=-1))

    def difference(self, a: Sample, b: Sample) -> Estimate:
        """The trimmed mean of the differences."""
        differences = a.values - b.values
        return Estimate(float(self(differences)), np.nan, np.nan, len(a), self.lack)

    def p(self, a: Sample, b: Sample) -> float:
        """By sign flips of the differences: to swap d and -d is to flip both."""
        differences = a.values - b.values
        return swap_p(self, Sample(differences), Sample(-differences))

    def least_p(self, n: int) -> float:
        """More than that of all swaps: to flip the least floor(n / 5) changes nothing."""
        return max(least_swap_p(n), min(1.0, 2.0 ** (1 + n // 5 - n)))
