"""The trimmed mean: the mean of the middle three fifths."""

import numpy as np

from emtkit.plugin.statistic import Statistic
from emtkit.report.inference.resampling import Numbers, least_flip_p, sign_flip_p


class Trimmed(Statistic):
    """The mean without the floor(n / 5) least and the floor(n / 5) greatest values.

    Test: exact sign flips of the trimmed mean of the differences.

    References:
        Tukey & McLaughlin 1963, Less vulnerable confidence and significance procedures.
        Wilcox 2017, Introduction to Robust Estimation and Hypothesis Testing (20 % on each side).
    """

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The trimmed mean over the last axis."""
        n = values.shape[-1]
        cut = n // 5
        return np.asarray(np.sort(values, axis=-1)[..., cut : n - cut].mean(axis=-1))

    def p(self, differences: Numbers) -> float:
        """By sign flips."""
        return sign_flip_p(differences, self)

    def least_p(self, n: int) -> float:
        """More than that of all sign flips: to flip the least floor(n / 5) changes nothing."""
        return max(least_flip_p(n), min(1.0, 2.0 ** (1 + n // 5 - n)))
