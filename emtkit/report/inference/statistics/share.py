"""The share of networks in which something holds."""

import numpy as np

from emtkit.plugin.statistic import Estimate, Sample, Statistic
from emtkit.report.inference.resampling import Numbers, bootstrap


class ShareOfTruths(Statistic):
    """The mean of zeros and ones. Interval: bootstrap percentile. No test."""

    reads = "truths"

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The share of ones over the last axis."""
        return np.asarray(values.mean(axis=-1))

    def interval(self, sample: Sample) -> Estimate:
        """Bootstrap percentile."""
        return bootstrap(self, sample)
