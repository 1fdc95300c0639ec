"""The value of the best network."""

import numpy as np

from emtkit.plugin.statistic import Statistic
from emtkit.report.inference.resampling import Numbers


class Best(Statistic):
    """The value of the network whose `by` is least.

    No test: to swap the members of a pair says little about an
    extreme.
    """

    ranks = True

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The value where `by` is least, over the last axis; the first of equals."""
        chosen = np.argmin(values if by is None else by, axis=-1)
        return np.take_along_axis(values, chosen[..., None], axis=-1)[..., 0]
