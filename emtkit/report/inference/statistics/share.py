"""The share of networks in which something holds."""

import numpy as np

from emtkit.plugin.statistic import Statistic
from emtkit.report.inference.resampling import Numbers


class ShareOfTruths(Statistic):
    """The mean of zeros and ones. No test."""

    reads = "truths"

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The share of ones over the last axis."""
        return np.asarray(values.mean(axis=-1))
