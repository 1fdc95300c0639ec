"""The best linear recurrence with a rectified readout for one delayed feature, branch by branch.

The minima at the densities next to the task's (see `rectified_chain`) are led down the exact loss
at its own; the least of each regime (dense, alternating, sparse; see `projections`) is its branch,
the least of all is the optimum.

Source: derived here.
"""

from dataclasses import dataclass

import numpy as np

from emtkit_std._theory.facts import Array, DelayLaw, Mask
from emtkit_std._theory.superposition.filters import filters
from emtkit_std._theory.superposition.projections import Regime
from emtkit_std._theory.superposition.rectified_chain import (
    Minimum,
    chain,
    exactly_followed,
    followed,
)
from emtkit_std._theory.superposition.rectified_loss import relu_losses
from emtkit_std._theory.superposition.rectified_search import Precision, Problem

FINE = Precision(loss=1e-2, gain=1e-7, iterations=40)
# A loss above the least beyond which a minimum of a density near by is not the best here.
_ABOVE = 0.05


@dataclass(frozen=True)
class Branch:
    """A minimum: angles and readouts (2 H), projections (S), relative loss and its error."""

    regime: Regime
    point: Array
    gains: Array
    loss: float
    error: float


def branches(law: DelayLaw, hidden: int, scored: Mask, *, best: bool = False) -> list[Branch]:
    """The best network of every regime that has one, the best of all first.

    With `best` regimes that are clearly worse may be missing.
    """
    problem = Problem(law, scored, hidden)
    if hidden > law.delay[0]:
        return [_branch(problem, _register(problem))]
    ends: dict[Regime, Minimum] = {}
    for one in polished_near(problem, best=best):
        ends.setdefault(one.regime, one)
    return [_branch(problem, one) for one in ends.values()]


def polished_near(problem: Problem, *, best: bool = True) -> list[Minimum]:
    """The minima below those of the densities next to a problem's, best first.

    With `best` without those that are clearly worse than the best one.
    """
    starts = chain(problem).near(problem.law.density[0])
    if best:
        values = problem.values(np.stack([one.point for one in starts]))
        above = values - values.min()
        starts = [one for one, gap in zip(starts, above, strict=True) if gap < _ABOVE]
    found = followed(problem, starts, FINE, anew=True)
    if problem.has_series:
        return found
    least = {one.regime: one for one in reversed(found)}
    return exactly_followed(problem, list(least.values()), FINE)


def _register(problem: Problem) -> Minimum:
    """A shift register (all angles 0) that is long enough; more units stay silent."""
    angles, delay = np.zeros((1, problem.hidden)), problem.law.delay[0]
    readout = filters(angles).directions(delay + 1)[:, delay]
    point = np.concatenate([angles, readout], axis=1)
    gains = problem.gains(point)[0]
    return Minimum(point[0], gains, np.eye(2 * problem.hidden), 0.0, "dense", 0)


def _branch(problem: Problem, one: Minimum) -> Branch:
    found = relu_losses(one.gains[None, None, None], problem.law, problem.scored)
    loss, error = found.loss[0] / problem.energy, found.error[0] / problem.energy
    (point,) = problem.lengthened(one.point[None], one.gains[None])
    return Branch(one.regime, point, one.gains, float(loss), float(error))
