"""The control that a statistic of pairs brings along: the same networks, their pairs permuted.

References:
    Phipson & Smyth 2010, Permutation p-values should never be zero.
"""

import numpy as np

from emtkit.report.inference.aggregate import Aggregate, statistic_of
from emtkit.report.inference.exchanged import PERMUTATIONS
from emtkit.report.inference.mantel import Paired
from emtkit.report.inference.verdict import Control
from emtkit.study.views import Expect

PERMUTED = "permuted pairs"

_KEY = 20_261_128


def has_permuted_control(expect: Expect) -> bool:
    """Whether pairs can be permuted: a statistic of pairs, against a number, on one side of it."""
    return statistic_of(expect).pairs and expect.other is None and expect.equals is None


def permuted_control(found: Aggregate, expect: Expect) -> list[Control]:
    """A negative control where `by` says nothing of the value: it is dealt to the networks anew.

    Of pairs of networks, the networks are exchanged (`mantel`).

    p = (1 + n) / (1 + 9,999), n the permutations whose statistic lies as far on the claimed side as
    that of the networks; they are fixed ones. With p >= alpha they meet the expectation, too. The
    control's value is the one that a share alpha of the permutations reaches.
    """
    if not has_permuted_control(expect) or found.sample is None or found.sample.by is None:
        return []
    values, by, n = found.sample.values, found.sample.by, len(found.sample)
    statistic = statistic_of(expect)
    side = -1.0 if expect.below is not None else 1.0
    own = side * float(statistic(values, by))
    if np.isnan(own):
        return []
    paired = Paired.of(found)
    if paired is not None:
        exchanged = paired.reached(statistic)
        if isinstance(exchanged, str):
            return []
        reached = side * exchanged[1:]
    else:
        random = np.random.Generator(np.random.Philox(key=_KEY + n))
        order = random.permuted(np.tile(np.arange(n), (PERMUTATIONS, 1)), axis=1)
        reached = side * statistic(np.broadcast_to(values, order.shape), by[order])
    p = (1 + np.count_nonzero(reached >= own - 1e-12)) / (1 + PERMUTATIONS)
    limit = side * float(np.quantile(reached, 1.0 - expect.alpha))
    return [Control(PERMUTED, "negative", bool(p >= expect.alpha), limit, cells=found.cells)]
