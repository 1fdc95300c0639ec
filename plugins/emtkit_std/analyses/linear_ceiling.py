"""How well any linear time-invariant network could continue a history: theory, not measurement."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from emtkit import Analysis, Findings, NotApplicable, ScalarInfo, Subject, hookimpl
from emtkit_std._theory.emt.estimated import LAW, own_law
from emtkit_std._theory.facts import Array, LinearHistoryLaw, Mask
from emtkit_std._theory.networks.recurrence import to_array
from emtkit_std._theory.observe import draw

SEQUENCES = 4096
MOST_COLUMNS = 1024
POSSIBLE = 1e-9
"""Estimated loss below which nothing but rounding is missed."""


class LinearCeiling(Analysis):
    """The least mean squared error that any linear recurrence can reach on this task.

    From a zero state, a linear time-invariant system answers input k at step t by a kernel K(t - k)
    whatever k is; the rule asks for the block G(m, k) from input k to scored output m:

        least_loss = min_K  mean_m  sum_k |G(m, k) - K(s + m - k)|_F^2 / d

    over the first `horizon` outputs and independent signs. It is 0 for rules that read the oldest
    item alone, as they keep silent while the history fills. Else the task is impossible for every
    linear recurrence, however it was trained (`possible` is false); silence costs 1. Compare with
    `test.loss` over the same horizon. It speaks of the task: of a network that is not linear it is
    what must be beaten for the nonlinearity to be of use.

    A task without a linear law has the bound estimated from sequences (`law`), with an offset c_t
    of its own for every step, as biases may bring it about:

        e_t = y_t - sum_k K(k) u_{t-k} - c_t
        least_loss = min_{K, c}  sum_t w |e_t|^2 / sum_t w |y_t|^2

    over scored steps, w the weights of the outputs in the loss; the mean of what is missed on the
    sequences that K was fitted to and on as many others, between which the bound lies.

    References: Karuvally, Sejnowski and Siegelmann, ICML 2024, for the rules; the bound is ours.
    """

    name = "linear_ceiling"
    version = 2  # tasks without a law of their own, and networks of all kinds
    scalars = {
        "least_loss": ScalarInfo(
            "least mean squared error that any linear recurrence can reach on this task"
        ),
        "least_loss_error": ScalarInfo("half of what it is higher on other sequences; 0 if exact"),
        "possible": ScalarInfo("whether a linear recurrence can solve the task"),
        "law": LAW,
    }

    def __init__(
        self,
        *,
        horizon: Annotated[
            int, Field(ge=1, description="Number of scored outputs that the loss averages.")
        ] = 20,
    ) -> None:
        self.horizon = horizon

    def measure(self, subject: Subject) -> Findings:
        """The scalars `least_loss` and `possible`."""
        if own_law(subject):
            least = Ceiling(least_loss(subject.fact(LinearHistoryLaw), self.horizon), 0.0)
            return _found(least, 1e-12, "stated")
        return _found(estimated_ceiling(subject, self.horizon), POSSIBLE, "estimated")


@dataclass(frozen=True)
class Ceiling:
    """The least loss, and how far it may be off."""

    loss: float
    error: float


def _found(least: Ceiling, limit: float, law: str) -> Findings:
    return Findings(
        {
            "least_loss": least.loss,
            "least_loss_error": least.error,
            "possible": least.loss < limit,
            "law": law,
        }
    )


def estimated_ceiling(subject: Subject, horizon: int, sequences: int = SEQUENCES) -> Ceiling:
    """The least loss by least squares on sequences of the task.

    Raises:
        NotApplicable: nothing is scored, or the kernel has too many columns.
    """
    batch = draw(subject, sequences, horizon if subject.task.horizons else None)
    inputs, targets = to_array(batch.inputs), to_array(batch.targets)
    steps, width = inputs.shape[1:]
    if steps * width > MOST_COLUMNS:
        raise NotApplicable(
            f"{steps} steps of {width} inputs ask for a kernel of {steps * width} columns; at most "
            f"{MOST_COLUMNS} are fitted, so make the task shorter, or offer LinearHistoryLaw"
        )
    weights = np.sqrt(subject.task.squares() or (1.0,) * targets.shape[2])
    scored = to_array(batch.mask.expand(batch.inputs.shape[:2])) > 0
    first = np.arange(len(inputs)) < len(inputs) // 2
    halves = [
        _Normal.of(inputs[half], targets[half] * weights, scored[half]) for half in (first, ~first)
    ]
    whole = sum(half.whole for half in halves) / 2
    if whole <= 0:
        raise NotApplicable(f"'{subject.task.name}' asks for nothing but 0; raise its density")
    kernels = [half.kernel for half in halves]
    paired = zip(halves, kernels, strict=True)
    own = np.mean([half.missed(kernel) for half, kernel in paired])
    crossed = zip(halves, kernels[::-1], strict=True)
    other = np.mean([half.missed(kernel) for half, kernel in crossed])
    return Ceiling(max(0.0, float(own + other) / 2 / whole), abs(float(other - own)) / 2 / whole)


@dataclass(frozen=True, eq=False)
class _Normal:
    """Sums of squares over scored steps of lagged inputs, about the mean of each step.

    `square` (L I, L I), `shared` (L I, O), `varied` of the targets about their means, `whole`
    about 0.
    """

    square: Array
    shared: Array
    varied: float
    whole: float

    @classmethod
    def of(cls, inputs: Array, targets: Array, scored: Mask) -> "_Normal":
        """Of inputs (N T I), targets (N T O) and the mask (N T)."""
        steps, width = inputs.shape[1:]
        square, shared = np.zeros((steps * width,) * 2), np.zeros((steps * width, targets.shape[2]))
        varied = whole = 0.0
        for t in np.flatnonzero(scored.any(0)):
            rows, wanted = inputs[scored[:, t], t::-1], targets[scored[:, t], t]
            flat, size = rows.reshape(len(rows), -1), (t + 1) * width
            flat, apart = flat - flat.mean(0), wanted - wanted.mean(0)
            square[:size, :size] += flat.T @ flat
            shared[:size] += flat.T @ apart
            varied += float(np.square(apart).sum())
            whole += float(np.square(wanted).sum())
        return cls(square, shared, varied, whole)

    @property
    def kernel(self) -> Array:
        """K (L I, O) of least squares."""
        return np.asarray(np.linalg.lstsq(self.square, self.shared, rcond=1e-10)[0])

    def missed(self, kernel: Array) -> float:
        """What a kernel leaves."""
        left = 2 * (kernel * self.shared).sum() - (kernel * (self.square @ kernel)).sum()
        return self.varied - float(left)


def least_loss(law: LinearHistoryLaw, horizon: int) -> float:
    """The bound: the best kernel at a lag is the mean of all blocks G(m, k) of that lag."""
    by_lag: dict[int, list[Array]] = {}
    powers = np.eye(len(law.phi))
    for output in range(horizon):
        answers = (law.operator @ powers).reshape(law.dimension, law.history, law.dimension)
        for item in range(law.history):
            by_lag.setdefault(law.history + output - item, []).append(answers[:, item])
        powers = law.phi @ powers
    departures = (np.stack(alike) - np.mean(alike, axis=0) for alike in by_lag.values())
    return float(sum((part**2).sum() for part in departures)) / (horizon * law.dimension)


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """The ceiling of linear recurrences."""
    return [LinearCeiling]
