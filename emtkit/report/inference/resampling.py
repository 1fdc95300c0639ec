"""Differences of pairs, order statistics, and Holm.

References:
    Holm 1979, A simple sequentially rejective multiple test procedure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emtkit.plugin.statistic import Estimate

Numbers = NDArray[np.float64]

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True)
class Difference:
    """a minus b over n pairs: estimate, two-sided p (None where none is defined), effect size.

    `effect` is Cohen's d of the paired differences: their mean over their standard deviation.
    """

    estimate: Estimate
    p: float | None
    effect: float


@lru_cache(maxsize=256)
def lower_rank(n: int, quantile: float) -> int:
    """The rank, from 1, of the order statistic below a quantile at 97.5 %; 0 where none is.

    The greatest i with P(Binomial(n, quantile) < i) <= 0.025. Ranked from the top it is the upper
    limit of the quantile 1 - `quantile`.
    """
    from scipy.stats import binom  # takes a second to import, which a plan need not pay

    return int(binom.ppf(TAIL, n, quantile))


def effect_size(differences: Numbers) -> float:
    """Cohen's d of paired differences; 0 when all are 0, infinite when all are equal, not 0."""
    differences = differences[~np.isnan(differences)]
    mean = float(differences.mean())
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if spread > 1e-12 * abs(mean):
        return mean / spread
    return 0.0 if mean == 0 else float(np.copysign(np.inf, mean))


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction over those that are not None; order is kept."""
    known = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    running = 0.0
    for rank, (p, place) in enumerate(known):
        running = max(running, min(1.0, (len(known) - rank) * p))
        corrected[place] = running
    return corrected


def share_near_best(by: Numbers, within: float) -> float:
    """Share of networks whose `by` lies within the relative distance `within` of the best one."""
    best = float(by.min())
    return float(np.mean(np.abs(by - best) <= within * abs(best)))
