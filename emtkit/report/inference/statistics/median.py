"""The median."""

import numpy as np

from emtkit.plugin.statistic import Statistic
from emtkit.report.inference.resampling import Numbers, least_flip_p, sign_flip_p


class Median(Statistic):
    """The middle value, or the mean of the two in the middle.

    Test: Wilcoxon's signed ranks, as robust as the median is.

    References:
        Wilcoxon 1945, Individual comparisons by ranking methods.
    """

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The median over the last axis."""
        return np.asarray(np.median(values, axis=-1))

    def p(self, differences: Numbers) -> float:
        """By sign flips of the sum of signed ranks."""
        return sign_flip_p(np.sign(differences) * ranks(np.abs(differences)))

    def least_p(self, n: int) -> float:
        """That of all sign flips."""
        return least_flip_p(n)


def ranks(sizes: Numbers) -> Numbers:
    """Ranks from 1; equal sizes share their mean rank, and zeros, which have no sign, have none."""
    ordered = np.sort(sizes[sizes > 0])
    first, last = np.searchsorted(ordered, sizes), np.searchsorted(ordered, sizes, "right")
    return (first + last + 1) / 2
