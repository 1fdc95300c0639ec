"""How one network is trained and evaluated, as a study file says it; all fields have defaults."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from emtkit.methods.curricula.base import Curriculum
from emtkit.methods.optimisers.base import Optimiser
from emtkit.methods.schedules.base import Schedule
from emtkit.methods.settings import (
    Count,
    Horizon,
    Positive,
    Scope,
    ScopedSettings,
    Settings,
    Since,
)


class Check(Settings):
    """A condition on a metric of fresh data, tested every `check` iterations."""

    metric: str = "loss"
    """Metric of the task, or `loss`."""
    below: float | None = None
    """The condition holds where the metric is below this."""
    above: float | None = None
    """The condition holds where the metric is above this."""
    horizon: Horizon | None = None
    """Number of scored steps; null takes the longest of the training."""
    sequences: Count = 64
    """Number of fresh sequences."""


class Training(ScopedSettings):
    """How one network is trained.

    The device is not part of a network's key: the tier that is stored with a result says where it
    was trained.
    """

    steps: Annotated[int, Field(ge=0), Scope.ROW] = 1000
    """Number of iterations; 0 leaves the network untrained."""
    batch: Annotated[Count, Scope.STACK] = 64
    """Number of sequences per iteration."""
    optimizer: Annotated[Optimiser, Scope.STACK] = Field(default="adam", validate_default=True)
    """Rule that updates the weights: a name, or a mapping of `kind` and options."""
    lr: Annotated[Positive, Scope.ROW] = 1e-3
    """Learning rate."""
    weight_decay: Annotated[float, Field(ge=0), Scope.ROW] = 0.0
    """Decay of the weights: an L2 penalty, or decoupled if the optimizer is."""
    clip: Annotated[Positive | None, Scope.ROW] = 1.0
    """Largest norm of the whole gradient; null leaves the gradient alone."""
    schedule: Annotated[Schedule, Scope.ROW] = Field(default="constant", validate_default=True)
    """How the learning rate changes: a name, or a mapping of `kind` and options."""
    dtype: Annotated[Literal["float32", "float64"], Scope.STACK] = "float32"
    """Precision of weights and data."""
    device: Annotated[Literal["auto", "cpu", "cuda"], Scope.OUTSIDE] = "auto"
    """Where simple recurrences train, `auto` on CUDA if there is any; others train on the CPU."""
    tf32: Annotated[bool, Scope.STACK] = False
    """Whether matrix products on CUDA use 10 of the 23 bits of a factor; needs `device: cuda`."""
    stop: Annotated[Check | None, Scope.STACK] = None
    """Condition that ends a network's training."""
    solved: Annotated[Check | None, Scope.STACK] = None
    """Condition whose first iteration is recorded as `train.solved_at`, without stopping."""
    check: Annotated[Count, Scope.ROW] = 25
    """Number of iterations between two tests of `stop` and `solved`."""
    shuffled: Annotated[bool, Scope.STACK, Since.LATER] = False
    """Whether every sequence is trained on the targets of another, as a control."""
    curriculum: Annotated[Curriculum, Scope.STACK] = Field(default="none", validate_default=True)
    """How the horizon changes, on tasks with horizons: a name, or a mapping with options."""
    snapshots: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Scope.OUTSIDE] = ()
    """Iterations at which the weights are kept for analyses with `at: snapshots`."""


class Elsewhere(Settings):
    """Other sequences on which every network is tested too, as `test.<name>.<metric>`.

    They are those of its task with other parameters: longer ones, for instance, or other inputs.
    """

    name: Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_-]*$")]
    """Name in the columns."""
    task: Mapping[str, Any]
    """Parameters of the task that differ from those of training."""
    sequences: Count | None = None
    """Number of sequences; null takes the evaluation's."""
    horizon: Horizon | None = None
    """Number of scored steps, on tasks with horizons; null takes the evaluation's or the task's."""


class Evaluation(Settings):
    """What every network is tested on: one common set of fresh sequences."""

    sequences: Count = 1024
    """Number of sequences."""
    horizon: Horizon | None = None
    """Number of scored steps, on tasks with horizons; null takes the task's own."""
    at: tuple[Horizon, ...] = ()
    """Output steps around which every metric is measured too, as `test.<metric>_at_<n>`."""
    elsewhere: tuple[Elsewhere, ...] = ()
    """Other sequences to test every network on, such as longer ones."""
