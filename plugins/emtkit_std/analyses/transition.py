"""Where theory puts the transition between dense and sparse codes."""

from emtkit import (
    Analysis,
    EmtkitError,
    Findings,
    NotApplicable,
    ScalarInfo,
    Subject,
    hookimpl,
)
from emtkit_std._theory.facts import DelayLaw, PulseCircuit
from emtkit_std._theory.superposition.scored import one_feature, scored_of
from emtkit_std._theory.superposition.transition import transition_density


class Transition(Analysis):
    """The density at which the best linear recurrence with a rectified readout stops being dense.

    For the task's delay, amplitudes and scored steps, whatever its density, and for the width of
    the network; nothing else of the network counts. The branch that is the best for dense inputs
    is followed to sparser ones until another has the same exact loss, L_dense(p) = L_other(p):
    `density` p, `loss` (the zero predictor has 1), and `below`, the regime of that other branch.

    References: Sharma, Proca, Prieto and Mediano (ICLR 2026); the densities are emtkit's.
    """

    name = "transition"
    requires = (DelayLaw, PulseCircuit)
    scalars = {
        "density": ScalarInfo("density of the input at which the best code stops being dense"),
        "loss": ScalarInfo("exact relative loss of both codes there"),
        "below": ScalarInfo("regime of the best code at sparser inputs"),
    }

    def measure(self, subject: Subject) -> Findings:
        """The crossing, or why there is none."""
        if refusal := one_feature(subject.task):
            raise NotApplicable(refusal)
        law, hidden = subject.fact(DelayLaw), len(subject.fact(PulseCircuit).W_hh)
        try:
            found = transition_density(law, hidden, scored_of(subject.task))
        except EmtkitError as error:
            raise NotApplicable(str(error)) from None
        return Findings({"density": found.density, "loss": found.loss, "below": found.below})


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """The analysis of this module."""
    return [Transition]
