"""The area under the receiver operating characteristic of a score."""

import numpy as np

from emtkit.plugin.statistic import Statistic
from emtkit.report.inference.resampling import Numbers


class Auroc(Statistic):
    """P(value of a network with `by` true > that of one with `by` false), ties counted half.

    1 where some threshold tells all networks apart, 1/2 by chance, 0 where they are told apart the
    other way round; NaN where `by` is the same in all. By ranks R, of p true ones and q false ones,

        (sum of R over the true ones - p (p + 1) / 2) / (p q)

    A score speaks of the networks that have one; the others are counted beside it. No interval: it
    would ask for networks that were drawn at random from all those that it is to speak of. Against
    chance a claim has its own pairs permuted.

    References:
        Hanley & McNeil 1982, The meaning and use of the area under a ROC curve, Radiology 143.
    """

    pairs = True
    leaves_out = True
    noun = "an AUROC"
    lack = "an AUROC has no interval: its networks are chosen ones, and no random sample"

    def __call__(self, values: Numbers, by: Numbers | None = None) -> Numbers:
        """The area over the last axis; `by` is true where it is not 0."""
        from scipy.stats import rankdata

        true = (values if by is None else by) != 0
        hits = true.sum(-1)
        above = (rankdata(values, axis=-1) * true).sum(-1) - hits * (hits + 1) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(above / (hits * (true.shape[-1] - hits)))
