"""The mean."""

import numpy as np
from numpy.typing import NDArray

from emtkit.plugin.statistic import Estimate, Interval, Sample, Statistic
from emtkit.plugin.swaps import p_of_swaps, side_swaps
from emtkit.report.inference.resampling import TAIL, Numbers, lower_rank

_LOWEST = 0.3
_T_FROM = 20
_NORMAL = 0.25


class Mean(Statistic):
    """x_1 + ... + x_n over n.

    No interval holds for the mean of every distribution (Bahadur & Savage 1956); Student's t misses
    skewed values and two branches, BCa even normal ones below n = 24. This one is made of order
    statistics, and covers wherever the mean lies between the 3rd and the 7th decile, as it does for
    exponential (.63) and lognormal values (.69 at sigma 1) and branches of 30 and 70 %. From n = 20
    it is Student's t where nothing speaks against normal values (Shapiro & Wilk: p >= 0.25).

    Pairs: the 2^n - 1 means of subsets of the differences are typical values of their centre
    (Hartigan 1969), which inverts the test: exact sign flips of the differences, from 6 pairs.
    """

    least = 11
    centres = True
    noun = "a mean"
    method = (
        "mean by order statistics, which hold where it lies between the 3rd and 7th decile, and by "
        "Student's t from 20 networks that look normal"
    )

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The mean over the last axis."""
        return np.asarray(values.mean(axis=-1))

    def limits(self, sample: Sample) -> Interval:
        """By order statistics, or by Student's t."""
        from scipy.stats import shapiro, ttest_1samp

        ordered, n = np.sort(sample.values), len(sample)
        if n >= _T_FROM and np.ptp(ordered) > 0 and shapiro(ordered).pvalue >= _NORMAL:
            found = ttest_1samp(ordered, 0.0).confidence_interval(1 - 2 * TAIL)
            return Interval(float(found.low), float(found.high))
        rank = lower_rank(n, _LOWEST)
        return Interval(float(ordered[rank - 1]), float(ordered[-rank]))

    def difference(self, a: Sample, b: Sample) -> Estimate:
        """By means of subsets: the interval that leaves out 0 where p < 0.05."""
        differences = a.values - b.values
        value, n = float(differences.mean()), len(differences)
        if 2 * 2.0**-n > 2 * TAIL:
            why = f"{n} pairs give no 95 % interval of a difference; 6 do"
            return Estimate(value, np.nan, np.nan, n, why)
        means = np.sort(np.concatenate([_subset_means(differences, s) for s in side_swaps(n)]))
        aside = int(TAIL * (len(means) + 1))
        return Estimate(value, float(means[aside - 1]), float(means[-aside]), n)

    def p(self, a: Sample, b: Sample) -> float:
        """By sign flips of the differences, all at once."""
        flipped = (a.values - b.values) / len(a)
        whole, size = flipped.sum(), float(np.abs(flipped).sum())
        return p_of_swaps(len(a), lambda swaps: whole - 2 * (swaps @ flipped), size)


def _subset_means(values: Numbers, chosen: NDArray[np.bool_]) -> Numbers:
    """The mean of every subset (R, n) that is not empty."""
    sizes = chosen.sum(axis=-1)
    return np.asarray((chosen @ values)[sizes > 0] / sizes[sizes > 0])
