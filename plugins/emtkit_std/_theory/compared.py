"""What comparisons see of a network: its answers and its states at the scored steps, in float64.

Both networks are seen on the same sequences, since their streams are equal.
"""

from abc import abstractmethod
from collections.abc import Callable

import numpy as np
import torch

from emtkit import Batch, Comparison, Findings, NotApplicable, ScalarInfo, Subject
from emtkit_std._parameters import Sequences, Steps
from emtkit_std._theory.facts import Array
from emtkit_std._theory.networks.recurrence import to_array
from emtkit_std._theory.observe import draw, in_double, trajectories

GROUPS = 8
"""Parts of the sequences of which one at a time is left out, for a standard error."""

ERROR = ScalarInfo("standard error of `distance`, by the spread of the sequences")


ONE_SEQUENCE = "one sequence has no spread"


class StateComparison(Comparison[Array]):
    """A distance of the states of two networks at the same moments of the same sequences."""

    def __init__(self, *, sequences: Sequences = 64, steps: Steps = None) -> None:
        self.sequences, self.steps = sequences, steps

    def observe(self, subject: Subject) -> Array:
        """The states at the scored steps (B T H)."""
        return scored_states(subject, self.sequences, self.steps)

    def compare(self, first: Array, second: Array) -> Findings:
        """The distance with its standard error."""
        found = {
            "distance": self.distance(first, second),
            "distance_error": error_of(self.distance, first, second),
        }
        reasons = dict.fromkeys(found, "the states hardly move")
        return Findings(found, reasons={**reasons, **_single(first)})

    @abstractmethod
    def distance(self, first: Array, second: Array) -> float:
        """The distance of states (B T H) and (B T K)."""


def rows(states: Array) -> Array:
    """The moments below each other (N, H)."""
    return np.asarray(states.reshape(-1, states.shape[-1]))


def _single(first: Array) -> dict[str, str]:
    return {"distance_error": ONE_SEQUENCE} if len(first) < 2 else {}


def scored_answers(
    subject: Subject, sequences: int, steps: int | None, noise: float = 0.0
) -> Array:
    """Outputs (B T O) at the scored steps; 0 at those that other sequences score, and not this.

    `noise` is the standard deviation of what is added to every driven input, to all
    subjects alike.

    Raises:
        NotApplicable: some are not finite.
    """
    batch = draw(subject, sequences, steps)
    driven = batch.inputs[:, : batch.input_steps]
    if noise:
        drawn = subject.stream.fork("noise").normal(tuple(driven.shape))
        driven = driven + noise * drawn.to(driven)
    with torch.no_grad():
        outputs = in_double(subject.model).trace(driven, batch.steps).outputs
    answers = torch.where(batch.mask.bool()[..., None], outputs, 0.0)
    return _finite(to_array(answers[:, _steps(batch)]), "answers")


def scored_states(subject: Subject, sequences: int, steps: int | None) -> Array:
    """States (B T H) at the steps that any sequence scores.

    Raises:
        NotApplicable: some are not finite, or the states do not move at all.
    """
    run = trajectories(subject, in_double(subject.model), sequences, steps)
    states = _finite(to_array(run.states[:, _steps(run.batch)]), "states")
    if not np.ptp(states, axis=(0, 1)).any():
        raise NotApplicable("the state does not move at all")
    return states


def _steps(batch: Batch) -> torch.Tensor:
    """Which steps (T) any sequence scores."""
    return batch.mask.expand(batch.inputs.shape[:-1]).bool().any(0)


def error_of(distance: Callable[[Array, Array], float], first: Array, second: Array) -> float:
    """The standard error of distance(first, second), (B ...) each, by the jackknife over B.

        error^2 = (G - 1) / G  sum_g (d_g - mean d)^2,   d_g without the g-th of G groups

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 11.5; groups of
    sequences stand for single ones. NaN for fewer sequences than two.
    """
    count = min(GROUPS, len(first))
    if count < 2:
        return float("nan")
    group = np.arange(len(first)) % count
    without = [distance(first[group != g], second[group != g]) for g in range(count)]
    return float(np.sqrt((count - 1) * np.var(without)))


def _finite(found: Array, what: str) -> Array:
    if not np.isfinite(found).all():
        raise NotApplicable(f"diverges: its {what} are not finite numbers")
    return found
