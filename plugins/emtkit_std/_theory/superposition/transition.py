"""The density at which the dense code stops being the best one.

The optimum of dense inputs is followed to sparser ones, and whatever else is a minimum beside it
(see `rectified_optimum`); where the losses cross, the optimum jumps. A branch is a minimum that is
followed, not a label: with three units the share that a dense code hides grows past .35 on the way.

Source: derived here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from emtkit import EmtkitError
from emtkit_std._theory.facts import DelayLaw, Mask
from emtkit_std._theory.superposition.projections import Regime
from emtkit_std._theory.superposition.rectified_optimum import Branch, branches, followed

# Constant amplitudes leave nothing to remember at density 1.
_MOST, _LEAST, _STEP, _FINE = 0.95, 0.02, 0.88, 2e-4
# Of projections from one density to the next, relative: more is another branch.
_JUMP = 0.3


@dataclass(frozen=True)
class Transition:
    """Where the dense branch and the best other one, of regime `below`, have equal `loss`."""

    density: float
    loss: float
    below: Regime


@dataclass(frozen=True)
class _Here:
    """The dense branch and the others at a density."""

    density: float
    dense: Branch
    others: list[Branch]

    @property
    def gap(self) -> float:
        """By how much the dense branch is worse than the best other; without others, -1."""
        return self.dense.loss - self.others[0].loss if self.others else -1.0


def transition_density(law: DelayLaw, hidden: int, scored: Mask) -> Transition:
    """The crossing of branch losses, whatever the density of `law`.

    EmtkitError where the dense code is best down to a density of .02.
    """
    if hidden > law.delay[0]:
        raise EmtkitError(
            f"transition_density: {hidden} units hold delay {law.delay[0]} exactly at any density"
        )
    lower = upper = _start(law, hidden, scored)
    step = _STEP
    while lower.gap <= 0:
        if lower.density < _LEAST:
            raise EmtkitError(
                f"transition_density: with {hidden} units and delay {law.delay[0]} the dense code "
                f"is the best one down to a density of {_LEAST}"
            )
        density = lower.density * step
        fresh = branches(replace(law, density=(density,)), hidden, scored)
        found = _at(density, lower, law, scored, fresh)
        if _distance(found.dense, lower.dense) > _JUMP and step < 0.99:
            step = step**0.5  # the descent left the branch for another one
            continue
        upper, lower, step = lower, found, min(step, _STEP)
    while upper.density - lower.density > _FINE:
        # Losses are near lines in the density, but at the ends a branch may be missing.
        share = lower.gap / (lower.gap - upper.gap) if upper.others else 0.5
        middle = lower.density + min(max(share, 0.05), 0.95) * (upper.density - lower.density)
        found = _at(middle, upper, law, scored, lower.others)
        if abs(found.gap) < 1e-5:
            lower = upper = found
        upper, lower = (found, lower) if found.gap < 0 else (upper, found)
    best = lower.others[0]
    return Transition((upper.density + lower.density) / 2.0, best.loss, best.regime)


def _start(law: DelayLaw, hidden: int, scored: Mask) -> _Here:
    dense = branches(replace(law, density=(_MOST,)), hidden, scored)[0]
    return _Here(_MOST, dense, [])


def _at(density: float, near: _Here, law: DelayLaw, scored: Mask, known: Sequence[Branch]) -> _Here:
    """The branches of a density near by and those `known` besides, followed to this density."""
    law = replace(law, density=(density,))
    points = np.stack([near.dense.point, *(one.point for one in (*near.others, *known))])
    dense, *minima = followed(law, scored, points)
    apart: list[Branch] = []
    for one in sorted(minima, key=lambda branch: branch.loss):
        if all(_distance(one, other) > 0.02 for other in (dense, *apart)):
            apart.append(one)
    return _Here(density, dense, apart[:3])


def _distance(one: Branch, other: Branch) -> float:
    return float(np.linalg.norm(one.gains - other.gains) / np.linalg.norm(other.gains))
