"""Differences between groups of pairs of networks, tested by exchanging the networks.

Distances that share a network are not independent, so neither the pairs nor their seeds can be
exchanged. With D (n, n) the distances, W and B two sets of pairs and pi a permutation of networks,

    T(pi) = s{D[pi i, pi j] : (i, j) in W} - s{D[pi i, pi j] : (i, j) in B},  s a statistic
    p     = (1 + #{|T(pi)| >= |T(id)|}) / (1 + R)

over R random permutations within each task.

References: Anderson 2001, A new method for non-parametric multivariate analysis of variance,
doi:10.1111/j.1442-9993.2001.01070.pp.x (permutation of the objects of a distance matrix).
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emtkit.plugin.statistic import Estimate, Statistic
from emtkit.report.data.results import Results
from emtkit.report.data.sides import networks_of
from emtkit.report.inference.aggregate import NOT_INDEPENDENT, Aggregate
from emtkit.report.inference.paired import PairedDifference, paired_difference
from emtkit.report.inference.resampling import Difference

PERMUTATIONS = 9999
MOST_AT_ONCE = 2**22
"""Distances that are held at once."""
ROUNDING = 1e-12

Indices = NDArray[np.intp]
Numbers = NDArray[np.float64]


def difference_of(
    results: Results,
    columns: tuple[str, str],
    sides: tuple[Aggregate, Aggregate],
    statistics: tuple[Statistic, Statistic],
    *,
    fixed: bool = False,
) -> PairedDifference:
    """The first side minus the second: paired by seed, or, of comparisons, by permutation."""
    if results.of_pairs:
        return exchanged_difference(results, columns, sides, statistics)
    return paired_difference(*sides, *statistics, fixed=fixed)


def exchanged_difference(
    results: Results,
    columns: tuple[str, str],
    sides: tuple[Aggregate, Aggregate],
    statistics: tuple[Statistic, Statistic],
) -> PairedDifference:
    """A minus B over the pairs of either side; without an interval, with p where there is one."""
    a, b = sides
    if a.sample is None or b.sample is None:
        return PairedDifference(None, cause=a.cause or b.cause or "text has no difference")
    values = [
        float(of(one.values, one.by))
        for of, one in zip(statistics, (a.sample, b.sample), strict=True)
    ]
    spread = float(np.concatenate([a.sample.values, b.sample.values]).std())
    apart = values[0] - values[1]
    p, why = None, ""
    if columns[0] != columns[1]:
        why = f"{columns[0]} less {columns[1]} of the same networks has no test"
    elif statistics[0] is not statistics[1] or statistics[0].ranks or statistics[0].pairs:
        why = f"{statistics[0].noun} less {statistics[1].noun} of pairs has no test"
    else:
        found = Distances.of(results, columns[0], sides)
        p, why = found.p(statistics[0]), found.why
    said = why or f"{NOT_INDEPENDENT}: the difference has a test, and no interval"
    estimate = Estimate(apart, math.nan, math.nan, len(a.sample), said)
    return PairedDifference(Difference(estimate, p, apart / spread if spread else 0.0), p)


@dataclass(frozen=True)
class Distances:
    """All distances (n, n) between the networks of two sets of pairs, and the sets as indices.

    `blocks` are the networks that may be exchanged; `why` says why none may.
    """

    distances: Numbers
    first: Indices
    second: Indices
    blocks: tuple[Indices, ...]
    why: str

    @classmethod
    def of(cls, results: Results, column: str, sides: tuple[Aggregate, Aggregate]) -> "Distances":
        """Those of a column of comparisons; (P, 2) indices of the pairs of either side."""
        pairs = [[networks_of(name) for name in side.members] for side in sides]
        names = list(dict.fromkeys(key for side in pairs for pair in side for key in pair))
        place = {name: at for at, name in enumerate(names)}
        table = np.full((len(names), len(names)), np.nan)
        tasks: dict[str, Hashable] = {}
        keys, values = results.column("cell"), results.column(column)
        others = results.column("other.cell")
        for row, (name, other) in enumerate(zip(keys, others, strict=True)):
            one = next(key for key in networks_of(str(name)) if key != other)
            if one in place and other in place and isinstance(values[row], int | float):
                table[place[one], place[other]] = values[row]
            tasks[one] = results.task(row)
        groups: dict[Hashable, list[int]] = {}
        for name, at in place.items():
            groups.setdefault(tasks.get(name), []).append(at)
        blocks = tuple(np.array(group) for group in groups.values())
        known = all(_is_whole(table[np.ix_(block, block)]) for block in blocks)
        first, second = (
            np.array([[place[key] for key in pair] for pair in side]) for side in pairs
        )
        missing = "not every two of these networks have a distance, so none can be exchanged"
        return cls(table, first, second, blocks, "" if known else missing)

    def p(self, statistic: Statistic) -> float | None:
        """Two-sided p; None where networks cannot be exchanged."""
        if self.why:
            return None
        rng, n = np.random.default_rng(0), len(self.distances)
        chunk = max(1, MOST_AT_ONCE // (len(self.first) + len(self.second)))
        seen = abs(self._apart(statistic, np.arange(n)[None])[0])
        beyond, left = 1, PERMUTATIONS
        while left:
            orders = np.tile(np.arange(n), (min(chunk, left), 1))
            for block in self.blocks:
                orders[:, block] = rng.permuted(orders[:, block], axis=1)
            found = np.abs(self._apart(statistic, orders))
            beyond += int((found >= seen * (1 - ROUNDING)).sum())
            left -= len(orders)
        return beyond / (1 + PERMUTATIONS)

    def _apart(self, statistic: Statistic, orders: Indices) -> Numbers:
        """T of every permutation (R, n)."""
        sides: Sequence[Numbers] = [
            np.asarray(statistic(self.distances[orders[:, side[:, 0]], orders[:, side[:, 1]]]))
            for side in (self.first, self.second)
        ]
        return sides[0] - sides[1]


def _is_whole(table: Numbers) -> bool:
    return not np.isnan(table[~np.eye(len(table), dtype=bool)]).any()
