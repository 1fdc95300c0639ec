"""How one network is trained and judged, as a study file says it; every field has its default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from emtkit.plugin.limits import MAX_STEPS

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Horizon = Annotated[int, Field(ge=1, le=MAX_STEPS)]


class Settings(BaseModel):
    """Strict and frozen: an unknown key or a wrong type is a mistake, never a guess."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Cosine(Settings):
    """From the share `from` of training on, a half cosine from `lr` down to `end` times `lr`."""

    kind: Literal["cosine"]
    start: Share = Field(0.0, alias="from")
    end: Annotated[float, Field(ge=0)] = 0.0


class StepDecay(Settings):
    """From the share `at` of training on, `lr` times `factor`."""

    kind: Literal["step"]
    at: Share
    factor: Positive


class LossGated(Settings):
    """The papers' curriculum: the horizon grows while the loss on its first outputs is small.

    After every iteration L <- average L + (1 - average) (mean loss of the first `start` scored
    outputs); the horizon, kept as a float, is multiplied by `factor` if L < threshold, else
    divided by it, and clipped to [start, max]. `max` defaults to the task's horizon.
    Source: Karuvally et al. 2023, appendix B.2.
    """

    kind: Literal["loss_gated"]
    start: Horizon = 10
    max: Horizon | None = None
    factor: Annotated[float, Field(gt=1)] = 1.2
    threshold: Positive = 3e-2
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Staged(Settings):
    """The published code's curriculum: the next stage once `metric` passes `above`."""

    kind: Literal["staged"]
    stages: Annotated[tuple[Horizon, ...], Field(min_length=1)]
    metric: str = "accuracy"
    above: float = 0.96


class Check(Settings):
    """A condition on a metric (or `loss`) of fresh data, looked at every `check` iterations."""

    metric: str = "loss"
    below: float | None = None
    above: float | None = None
    horizon: Horizon | None = None
    sequences: Count = 64


class Training(Settings):
    """How one network is trained; what may differ between rows of a stack is no shape.

    `clip` bounds the norm of the whole gradient; null leaves it alone. `stop` ends a row's
    training, `solved` only records the first iteration at which it held. `device` is where
    simple recurrences train (`auto`: on CUDA where there is any), all else on the processor; it is
    no part of a network's key, and the tier that is stored with a result says where it was trained.
    `tf32` (with `device: cuda` alone): matrix products there use 10 of the 23 bits of a factor.
    """

    steps: Annotated[int, Field(ge=0)] = 1000
    batch: Count = 64
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip: Positive | None = 1.0
    schedule: Literal["constant"] | Annotated[Cosine | StepDecay, Field(discriminator="kind")] = (
        "constant"
    )
    dtype: Literal["float32", "float64"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    tf32: bool = False
    stop: Check | None = None
    solved: Check | None = None
    check: Count = 25
    curriculum: Literal["none"] | Annotated[LossGated | Staged, Field(discriminator="kind")] = (
        "none"
    )
    snapshots: tuple[Annotated[int, Field(ge=0)], ...] = ()


class Evaluation(Settings):
    """What every network is judged on: one common set of fresh sequences.

    `horizon` overrides the task's own; `at` asks for the metrics around those output steps.
    """

    sequences: Count = 1024
    horizon: Horizon | None = None
    at: tuple[Horizon, ...] = ()


def longest_horizon(training: Training, horizon: int) -> int:
    """The longest horizon that training reaches on a task whose own horizon is `horizon`."""
    curriculum = training.curriculum
    if isinstance(curriculum, LossGated):
        return curriculum.max or horizon
    if isinstance(curriculum, Staged):
        return max(curriculum.stages)
    return horizon
