"""Minima of the loss of a rectified readout, followed along densities.

A search from many starts finds minima at some densities; each is followed to sparser and then to
denser inputs, and what is a minimum at one density is so tried at the others: what a search misses
at one density it finds at another. The densities are the same for everybody, so that an optimum
depends on its own setting alone. A branch is a minimum that is followed, not a label.

Source: derived here.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count

import numpy as np

from emtkit_std._theory.facts import Array, DelayLaw
from emtkit_std._theory.superposition.projections import Regime
from emtkit_std._theory.superposition.rectified_search import Led, Precision, Problem

# Constant amplitudes leave nothing to remember at density 1.
DENSITIES = tuple(float(p) for p in 0.95 * 0.75 ** np.arange(17))
_SEARCHED = range(1, 17, 3)  # where many starts are tried
_BEGUN, _KEPT = 6, 3  # starts and minima of every regime
_COARSE = Precision(loss=3e-1, gain=1e-5, iterations=20)
# Of projections, relative: less is the same minimum; more, from one density to the next, another.
_APART, _JUMP = 0.05, 0.3


@dataclass(frozen=True)
class Minimum:
    """Point (2 H), projections (S) and inverse Hessian of a minimum, and its branch's number.

    Projections are at their best scale; the point's readout has length 1.
    `loss` is relative, with what the search adds to networks that reach too far.
    """

    point: Array
    gains: Array
    inverse: Array
    loss: float
    regime: Regime
    branch: int

    def distance(self, other: "Minimum") -> float:
        """Of projections, relative."""
        return float(np.linalg.norm(self.gains - other.gains) / np.linalg.norm(other.gains))

    def is_beside(self, other: "Minimum") -> bool:
        """Whether it may be the same branch at a density near by."""
        return self.distance(other) < _JUMP


@dataclass(frozen=True)
class Chain:
    """The minima at each of the `DENSITIES`, best first."""

    stops: tuple[tuple[Minimum, ...], ...]

    def near(self, density: float) -> list[Minimum]:
        """Those at the densities on both sides of one; of a branch the nearer."""
        below = int(np.searchsorted(-np.array(DENSITIES), -density))
        places = [at for at in (below - 1, below) if 0 <= at < len(DENSITIES)]
        places.sort(key=lambda at: abs(np.log(density / DENSITIES[at])))
        found: dict[int, Minimum] = {}
        for one in (one for at in places for one in self.stops[at]):
            found.setdefault(one.branch, one)
        return list(found.values())


def chain(problem: Problem) -> Chain:
    """The chain of a problem, whatever its density; found once in a process."""
    law = replace(problem.law, density=(DENSITIES[0],))
    return _chain(law, problem.hidden, problem.scored.tobytes())


@lru_cache(maxsize=64)
def _chain(law: DelayLaw, hidden: int, scored: bytes) -> Chain:
    mask, names = np.frombuffer(scored, dtype=bool), count()
    at = [Problem(replace(law, density=(density,)), mask, hidden) for density in DENSITIES]
    stops: list[list[Minimum]] = [[] for _ in at]
    for place in _SEARCHED:
        stops[place] = followed(at[place], _starts(at[place], names), _COARSE)
    last = len(at) - 1
    steps = [(place, place + 1) for place in range(last)]
    steps += [(place, place - 1) for place in range(last, 0, -1)]
    for place, other in steps:
        known = {one.branch for one in stops[other]}
        new = [one for one in stops[place] if one.branch not in known]
        found = followed(at[other], new, _COARSE)
        before = {one.branch: one for one in new}
        found = [
            one if one.is_beside(before[one.branch]) else replace(one, branch=next(names))
            for one in found
        ]
        stops[other] = _kept([*stops[other], *found])
    return Chain(tuple(map(tuple, stops)))


def _starts(problem: Problem, names: Iterator[int]) -> list[Minimum]:
    found = problem.starts()
    return _kept(_minima(problem, found, names), _BEGUN)


def _minima(problem: Problem, found: Led, branches: Iterable[int]) -> Iterator[Minimum]:
    regimes = problem.regimes(found.gains)
    rows = zip(
        found.points, found.gains, found.inverse, found.values, regimes, branches, strict=False
    )
    return (Minimum(p, g, h, float(v), r, n) for p, g, h, v, r, n in rows)


def followed(
    problem: Problem, starts: Sequence[Minimum], precision: Precision, *, anew: bool = False
) -> list[Minimum]:
    """The minima below starts, which keep their branches' numbers; copies are left out.

    With `anew` Hessians are measured; else they begin as they were where the starts are from.
    """
    if not starts:
        return []
    inverse = None if anew else np.stack([one.inverse for one in starts])
    found = problem.minima(np.stack([one.point for one in starts]), precision, inverse)
    return _kept(_minima(problem, found, [one.branch for one in starts]))


def exactly_followed(
    problem: Problem, starts: Sequence[Minimum], precision: Precision
) -> list[Minimum]:
    """The same on the exact loss for amplitudes without a series; takes long."""
    parts = ([getattr(one, of) for one in starts] for of in ("point", "gains", "loss", "inverse"))
    found = problem.exact_minima(Led(*map(np.stack, parts)), precision)
    return _kept(_minima(problem, found, [one.branch for one in starts]))


def _kept(minima: Iterable[Minimum], count: int = _KEPT) -> list[Minimum]:
    """The best `count` of every regime, best first, without copies."""
    found: list[Minimum] = []
    for one in sorted(minima, key=lambda one: one.loss):
        apart = all(one.distance(other) > _APART for other in found)
        alike = sum(other.regime == one.regime for other in found)
        if apart and alike < count:
            found.append(one)
    return found
