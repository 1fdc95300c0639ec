"""The commonest text."""

import numpy as np

from emtkit.plugin.statistic import Statistic
from emtkit.report.inference.resampling import Numbers


class Mode(Statistic):
    """The text that most networks give; of equally frequent ones the one that sorts first."""

    reads = "texts"

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The commonest code over the last axis; the least of equals."""
        codes = np.unique(values)
        counts = (values[..., None] == codes).sum(axis=-2)
        return np.asarray(codes[counts.argmax(axis=-1)])
