"""The best of m runs, in the mean."""

from dataclasses import dataclass
from math import comb

import numpy as np

from emtkit.plugin.statistic import Statistic
from emtkit.report.inference.resampling import Numbers


@dataclass(frozen=True)
class ExpectedBest(Statistic):
    """E[value of the best of m runs] = sum_i x_(i) C(n - i, m - 1) / C(n, m), without bias.

    x_(i) is the value of the network that `by` ranks i-th; m = 1 is the mean. NaN where m > n. No
    interval: the simulation refuses jackknife and bootstrap up to n = 48, even at m = n / 3. Test:
    the sides of pairs are swapped.

    References:
        Dodge et al. 2019, arXiv 1909.03004 (the plug-in form, which is biased).
        Tang et al. 2020, Showing your work doesn't always work (this form).
    """

    runs: int = 1

    ranks = True
    counts_runs = True
    noun = "an expected best"
    lack = (
        "no interval of an expected best covers at these numbers of networks; compare two, or "
        "claim the share of networks that get there"
    )

    def of(self, runs: int | None) -> Statistic:
        """The best of `runs`."""
        return ExpectedBest(runs or 1)

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The expectation over the last axis."""
        n = values.shape[-1]
        order = np.argsort(values if by is None else by, axis=-1, kind="stable")
        ranked = np.take_along_axis(values, order, axis=-1)
        if self.runs > n:
            return np.full(values.shape[:-1], np.nan)
        chosen = comb(n, self.runs)
        weights = np.array([comb(n - i, self.runs - 1) / chosen for i in range(1, n + 1)])
        counted = weights > 0
        return np.asarray(ranked[..., counted] @ weights[counted])
