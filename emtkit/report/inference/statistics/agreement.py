"""The share of networks to which two columns give the same value."""

import numpy as np

from emtkit.plugin.statistic import Interval, Sample, Statistic, statistic_named
from emtkit.report.inference.resampling import Numbers


class Agreement(Statistic):
    """The share of networks whose value is that of `by`: texts, numbers or truths.

    Networks in which either is undefined are left out and counted.
    What chance gives depends on how often each value occurs; a claim has its own pairs permuted
    beside it. Interval: that of a share.
    """

    reads = "labels"
    pairs = True
    leaves_out = True
    least = 2
    noun = "an agreement"
    method = "agreement of two columns as a share, exact"

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The share of equal codes over the last axis."""
        return np.asarray((values == (values if by is None else by)).mean(axis=-1))

    def limits(self, sample: Sample) -> Interval:
        """Of the binomial count."""
        return statistic_named("share").limits(Sample((sample.values == sample.by).astype(float)))
