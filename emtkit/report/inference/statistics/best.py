"""The value of the best network."""

import numpy as np

from emtkit.plugin.statistic import Statistic
from emtkit.report.inference.resampling import Numbers


class Best(Statistic):
    """The value of the network whose `by` is least.

    No interval: no resample finds what lies below the observed least, and a bootstrap interval of
    it covers half the time. Test: the sides of pairs are swapped, the bests compared.
    """

    ranks = True
    noun = "a best"
    lack = (
        "an observed best has no interval: how good fresh runs would be it does not say; "
        "claim the share of networks that get there"
    )

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The value where `by` is least, over the last axis; the first of equals."""
        chosen = np.argmin(values if by is None else by, axis=-1)
        return np.take_along_axis(values, chosen[..., None], axis=-1)[..., 0]
