"""The density at which the dense code stops being the best one.

The optimum of dense inputs is followed to sparser ones; where the loss of another minimum (see
`rectified_chain`) crosses its own, the optimum jumps. A branch is a minimum that is followed, not a
label: with three units the share that a dense code hides grows past .35 on the way.

Source: derived here.
"""

from dataclasses import dataclass, replace

from emtkit import EmtkitError
from emtkit_std._theory.facts import DelayLaw, Mask
from emtkit_std._theory.superposition.projections import Regime
from emtkit_std._theory.superposition.rectified_chain import DENSITIES, Minimum, chain, followed
from emtkit_std._theory.superposition.rectified_optimum import FINE, polished_near
from emtkit_std._theory.superposition.rectified_search import Problem

_FINE, _EQUAL = 2e-4, 1e-5  # of densities and of losses
_APART = 0.02  # of projections, relative


@dataclass(frozen=True)
class Transition:
    """Where the dense branch and the best other one, of regime `below`, have equal `loss`."""

    density: float
    loss: float
    below: Regime


@dataclass(frozen=True)
class _Here:
    """The dense branch and the best other minimum at a density."""

    density: float
    dense: Minimum
    other: Minimum | None

    @property
    def gap(self) -> float:
        """By how much the dense branch is worse than the best other; without others, -1."""
        return self.dense.loss - self.other.loss if self.other else -1.0


def transition_density(law: DelayLaw, hidden: int, scored: Mask) -> Transition:
    """The crossing of branch losses, whatever the density of `law`.

    EmtkitError where the dense code is best down to a density of .01.
    """
    if hidden > law.delay[0]:
        raise EmtkitError(
            f"transition_density: {hidden} units hold delay {law.delay[0]} exactly at any density"
        )
    problem = Problem(law, scored, hidden)
    upper = lower = _Here(DENSITIES[0], chain(problem).stops[0][0], None)
    while lower.gap <= 0:
        sparser = [density for density in DENSITIES if density < lower.density]
        if not sparser:
            raise EmtkitError(
                f"transition_density: with {hidden} units and delay {law.delay[0]} the dense code "
                f"is the best one down to a density of {DENSITIES[-1]:.2g}"
            )
        upper, lower = lower, _towards(sparser[0], lower, problem)
    while upper.density - lower.density > _FINE:
        # Losses are near lines in the density, but at the ends a branch may be missing.
        share = lower.gap / (lower.gap - upper.gap) if upper.other else 0.5
        middle = lower.density + min(max(share, 0.05), 0.95) * (upper.density - lower.density)
        found = _towards(middle, upper, problem)
        if abs(found.gap) < _EQUAL:
            lower = upper = found
        upper, lower = (found, lower) if found.gap < 0 else (upper, found)
    assert lower.other is not None
    density = (upper.density + lower.density) / 2.0
    return Transition(density, lower.other.loss, lower.other.regime)


def _towards(density: float, near: _Here, problem: Problem) -> _Here:
    """The dense branch of a density near by at this one, or as far as one step may go."""
    here = replace(problem, law=replace(problem.law, density=(density,)))
    (dense,) = followed(here, [near.dense], FINE, anew=True)
    if not dense.is_beside(near.dense):
        if density < 0.999 * near.density:
            return _towards((density * near.density) ** 0.5, near, problem)
        return _Here(density, near.dense, dense)  # it ends
    others = [one for one in polished_near(here) if one.distance(dense) > _APART]
    return _Here(density, dense, others[0] if others else None)
