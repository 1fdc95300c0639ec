"""The mean."""

import numpy as np

from emtkit.plugin.statistic import Statistic
from emtkit.report.inference.resampling import Numbers, least_flip_p, sign_flip_p


class Mean(Statistic):
    """x_1 + ... + x_n over n.

    Test: exact sign flips of the sum of the differences.
    """

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The mean over the last axis."""
        return np.asarray(values.mean(axis=-1))

    def p(self, differences: Numbers) -> float:
        """By sign flips of the sum, which ranks them as the mean does."""
        return sign_flip_p(differences)

    def least_p(self, n: int) -> float:
        """That of all sign flips."""
        return least_flip_p(n)
