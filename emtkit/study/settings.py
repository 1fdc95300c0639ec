"""How one network is trained and judged, as a study file says it; every field has its default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """Strict and frozen: an unknown key or a wrong type is a mistake, never a guess.

    The text below a field is its description, shown by editors and the documentation.
    """

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class Cosine(Settings):
    """A half cosine from `lr` down to `end` times `lr`."""

    kind: Literal["cosine"]
    """Name of the schedule."""
    start: Share = Field(0.0, alias="from")
    """Share of the training after which the rate begins to fall."""
    end: Annotated[float, Field(ge=0)] = 0.0
    """Rate at the end, as a multiple of `lr`."""


class StepDecay(Settings):
    """From the share `at` of training on, `lr` times `factor`."""

    kind: Literal["step"]
    """Name of the schedule."""
    at: Share
    """Share of the training after which the rate changes."""
    factor: Positive
    """Rate after it, as a multiple of `lr`."""


class LossGated(Settings):
    """The papers' curriculum: the horizon grows while the loss on its first outputs is small.

    After every iteration L <- average L + (1 - average) (mean loss of the first `start` scored
    outputs); the horizon, kept as a float, is multiplied by `factor` if L < threshold, else
    divided by it, and clipped to [start, max].
    Source: Karuvally et al. 2023, appendix B.2.
    """

    kind: Literal["loss_gated"]
    """Name of the curriculum."""
    start: Count = 10
    """First and shortest horizon, in scored steps."""
    max: Count | None = None
    """Longest horizon, in scored steps; null takes the task's own."""
    factor: Annotated[float, Field(gt=1)] = 1.2
    """Factor by which the horizon grows or shrinks at every iteration."""
    threshold: Positive = 3e-2
    """Mean loss below which the horizon grows."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the running mean that is kept at every iteration."""


class Staged(Settings):
    """The published code's curriculum: the next stage once `metric` passes `above`."""

    kind: Literal["staged"]
    """Name of the curriculum."""
    stages: Annotated[tuple[Count, ...], Field(min_length=1)]
    """Horizons one after the other, in scored steps."""
    metric: str = "accuracy"
    """Metric of the training batch that ends a stage."""
    above: float = 0.96
    """Value of the metric above which the next stage begins."""


class Check(Settings):
    """A condition on a metric of fresh data, tested every `check` iterations."""

    metric: str = "loss"
    """Metric of the task, or `loss`."""
    below: float | None = None
    """The condition holds where the metric is below this."""
    above: float | None = None
    """The condition holds where the metric is above this."""
    horizon: Count | None = None
    """Number of scored steps; null takes the longest of the training."""
    sequences: Count = 64
    """Number of fresh sequences."""


class Training(Settings):
    """How one network is trained; what may differ between rows of a stack is no shape.

    The device is not part of a network's key: the tier that is stored with a result says where it
    was trained.
    """

    steps: Annotated[int, Field(ge=0)] = 1000
    """Number of iterations; 0 leaves the network untrained."""
    batch: Count = 64
    """Number of sequences per iteration."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Method that updates the weights."""
    lr: Positive = 1e-3
    """Learning rate."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decay of the weights, as an L2 penalty for `adam` and `sgd`, decoupled for `adamw`."""
    clip: Positive | None = 1.0
    """Largest norm of the whole gradient; null leaves the gradient alone."""
    schedule: Literal["constant"] | Annotated[Cosine | StepDecay, Field(discriminator="kind")] = (
        "constant"
    )
    """How the learning rate changes during training."""
    dtype: Literal["float32", "float64"] = "float32"
    """Precision of weights and data."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where simple recurrences train, `auto` on CUDA if there is any; others train on the CPU."""
    tf32: bool = False
    """Whether matrix products on CUDA use 10 of the 23 bits of a factor; needs `device: cuda`."""
    stop: Check | None = None
    """Condition that ends a network's training."""
    solved: Check | None = None
    """Condition whose first iteration is recorded as `train.solved_at`, without stopping."""
    check: Count = 25
    """Number of iterations between two tests of `stop` and `solved`."""
    curriculum: Literal["none"] | Annotated[LossGated | Staged, Field(discriminator="kind")] = (
        "none"
    )
    """How the horizon changes during training, on tasks with horizons."""
    snapshots: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Iterations at which the weights are kept for analyses with `at: snapshots`."""


class Evaluation(Settings):
    """What every network is tested on: one common set of fresh sequences."""

    sequences: Count = 1024
    """Number of sequences."""
    horizon: Count | None = None
    """Number of scored steps, on tasks with horizons; null takes the task's own."""
    at: tuple[Count, ...] = ()
    """Output steps around which every metric is measured too, as `test.<metric>_at_<n>`."""


def longest_horizon(training: Training, horizon: int) -> int:
    """The longest horizon that training reaches on a task whose own horizon is `horizon`."""
    curriculum = training.curriculum
    if isinstance(curriculum, LossGated):
        return curriculum.max or horizon
    if isinstance(curriculum, Staged):
        return max(curriculum.stages)
    return horizon
