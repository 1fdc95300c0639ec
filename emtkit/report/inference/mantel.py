"""Whether two distances between networks go together: the test of Mantel.

With D_ij the value of a pair of networks, E_ij what it is paired with (`by`), s a statistic of both
and pi a permutation of networks,

    T(pi) = s{(D_ij, E_{pi i, pi j})},   p = (1 + #{|T(pi)| >= |T(id)|}) / (1 + R)

over R random permutations within each group of networks that are all compared with each other:
pairs that share a network are not independent, so pairs cannot be permuted by themselves.

References: Mantel (1967), Cancer Research 27, 209-220; Phipson and Smyth (2010),
doi:10.2202/1544-6115.1585 (p is never 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emtkit.plugin.statistic import Statistic
from emtkit.report.data.sides import BETWEEN, networks_of
from emtkit.report.inference.aggregate import NOT_INDEPENDENT, Aggregate, statistic_of
from emtkit.report.inference.exchanged import MOST_AT_ONCE, PERMUTATIONS, ROUNDING
from emtkit.report.inference.paired import PairedDifference
from emtkit.report.inference.resampling import Difference
from emtkit.study.views import Expect

Indices = NDArray[np.intp]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """`values` and `by` (P) of the pairs (P, 2) of n networks."""

    values: Numbers
    by: Numbers
    pairs: Indices

    @classmethod
    def of(cls, found: Aggregate) -> Paired | None:
        """Those of a statistic of pairs of networks; None where it is of networks."""
        if found.sample is None or found.sample.by is None:
            return None
        if not found.members or BETWEEN not in found.members[0]:
            return None
        names = [networks_of(name) for name in found.members]
        place = {name: at for at, name in enumerate(dict.fromkeys(n for two in names for n in two))}
        pairs = np.array([[place[name] for name in two] for two in names])
        return cls(found.sample.values, found.sample.by, pairs)

    def reached(self, statistic: Statistic) -> Numbers | str:
        """T of the networks as they are, and of every permutation; or why there is none."""
        count = int(self.pairs.max()) + 1
        table = np.full((count, count), np.nan)
        table[self.pairs[:, 0], self.pairs[:, 1]] = self.by
        table[self.pairs[:, 1], self.pairs[:, 0]] = self.by
        groups = self._groups(count)
        for group in groups:
            block = table[np.ix_(group, group)]
            if np.isnan(block[~np.eye(len(group), dtype=bool)]).any():
                return "not every two of these networks are compared, so none can be exchanged"
        random = np.random.default_rng(0)
        chunk, left = max(1, MOST_AT_ONCE // len(self.values)), PERMUTATIONS
        parts = [self._statistics(statistic, table, np.arange(count)[None])]
        while left:
            orders = np.tile(np.arange(count), (min(chunk, left), 1))
            for group in groups:
                orders[:, group] = random.permuted(orders[:, group], axis=1)
            parts.append(self._statistics(statistic, table, orders))
            left -= len(orders)
        return np.concatenate(parts)

    def _groups(self, count: int) -> Sequence[Indices]:
        """Networks that are linked by pairs."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        links = coo_array((np.ones(len(self.pairs)), tuple(self.pairs.T)), shape=(count, count))
        number, label = connected_components(links, directed=False)
        return [np.flatnonzero(label == at) for at in range(number)]

    def _statistics(self, statistic: Statistic, table: Numbers, orders: Indices) -> Numbers:
        by = table[orders[:, self.pairs[:, 0]], orders[:, self.pairs[:, 1]]]
        return np.asarray(statistic(np.broadcast_to(self.values, by.shape), by))


def mantel_difference(found: Aggregate, expect: Expect) -> PairedDifference | None:
    """How far a statistic of pairs is from 0, with its p; None where that is not what is asked."""
    statistic, bound = statistic_of(expect), expect.bound
    paired = Paired.of(found) if statistic.pairs and expect.equals is None else None
    if paired is None or found.estimate is None or bound != 0:
        return None
    reached = paired.reached(statistic)
    if isinstance(reached, str):
        return PairedDifference(Difference(replace(found.estimate, why=reached), None, 0.0), None)
    sizes = np.abs(reached)
    p = float((sizes >= sizes[0] * (1 - ROUNDING)).mean())
    why = f"{NOT_INDEPENDENT}: it has a test, and no interval"
    estimate = replace(found.estimate, why=why)
    return PairedDifference(Difference(estimate, p, estimate.value), p)
