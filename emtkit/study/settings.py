"""How one network is trained and evaluated, as a study file says it; all fields have defaults."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from emtkit.methods.curricula.base import Curriculum
from emtkit.methods.optimisers.base import Optimiser
from emtkit.methods.schedules.base import Schedule
from emtkit.methods.settings import Count, Positive, Scope, ScopedSettings, Settings


class Check(Settings):
    """A condition on a metric (or `loss`) of fresh data, looked at every `check` iterations."""

    metric: str = "loss"
    below: float | None = None
    above: float | None = None
    horizon: Count | None = None
    sequences: Count = 64


class Training(ScopedSettings):
    """How one network is trained.

    `optimizer`, `schedule` and `curriculum` are names, or mappings of a `kind` and its options.
    `clip` bounds the norm of the whole gradient; null leaves it alone. `stop` ends a row's
    training, `solved` only records the first iteration at which it held. `device` is where
    simple recurrences train (`auto`: on CUDA where there is any), all else on the processor; it is
    no part of a network's key, and the tier that is stored with a result says where it was trained.
    `tf32` (with `device: cuda` alone): matrix products there use 10 of the 23 bits of a factor.
    """

    steps: Annotated[int, Field(ge=0), Scope.ROW] = 1000
    batch: Annotated[Count, Scope.STACK] = 64
    optimizer: Annotated[Optimiser, Scope.STACK] = Field(default="adam", validate_default=True)
    lr: Annotated[Positive, Scope.ROW] = 1e-3
    weight_decay: Annotated[float, Field(ge=0), Scope.ROW] = 0.0
    clip: Annotated[Positive | None, Scope.ROW] = 1.0
    schedule: Annotated[Schedule, Scope.ROW] = Field(default="constant", validate_default=True)
    dtype: Annotated[Literal["float32", "float64"], Scope.STACK] = "float32"
    device: Annotated[Literal["auto", "cpu", "cuda"], Scope.OUTSIDE] = "auto"
    tf32: Annotated[bool, Scope.STACK] = False
    stop: Annotated[Check | None, Scope.STACK] = None
    solved: Annotated[Check | None, Scope.STACK] = None
    check: Annotated[Count, Scope.ROW] = 25
    curriculum: Annotated[Curriculum, Scope.STACK] = Field(default="none", validate_default=True)
    snapshots: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Scope.OUTSIDE] = ()


class Evaluation(Settings):
    """What every network is evaluated on: one common set of fresh sequences.

    `horizon` overrides the task's own; `at` asks for the metrics around those output steps.
    """

    sequences: Count = 1024
    horizon: Count | None = None
    at: tuple[Count, ...] = ()
