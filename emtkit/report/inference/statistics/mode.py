"""The commonest text."""

import numpy as np

from emtkit.plugin.statistic import Statistic
from emtkit.report.inference.resampling import TAIL, Numbers


class Mode(Statistic):
    """The text that most networks give; of equally frequent ones the one that sorts first.

    A text has no interval. That one is commonest, or is not, is shown by the sign test between it
    and the most frequent of the others, at 2.5 % one-sided.
    """

    reads = "texts"
    noun = "a commonest text"
    lack = "a text has no interval"

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The commonest code over the last axis; the least of equals."""
        codes = np.unique(values)
        counts = (values[..., None] == codes).sum(axis=-2)
        return np.asarray(codes[counts.argmax(axis=-1)])


def is_commonest(own: int, others: list[int]) -> bool | None:
    """Whether a text that `own` networks give is the commonest; None where chance may decide.

    `others` are the counts of the other texts; to find one of k above it, each is tested at 1 / k
    of the level.
    """
    from scipy.stats import binom

    rival = max(others, default=0)
    if binom.cdf(rival, own + rival, 0.5) <= TAIL and own > rival:
        return True
    if rival > own and len(others) * binom.cdf(own, own + rival, 0.5) <= TAIL:
        return False
    return None
