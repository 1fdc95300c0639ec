"""Which horizon a row trains on, and when it moves; each row looks only at itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

from emtkit.plugin.task import Task
from emtkit.study.settings import LossGated, Staged, Training, longest_horizon


@dataclass(frozen=True)
class CurriculumState:
    """Where one row's curriculum stands: a horizon kept as a float, the running loss, the stage."""

    horizon: float
    average: float = 0.0
    stage: int = 0


def begin(training: Training, task: Task) -> CurriculumState | None:
    """The first horizon, or None for a task that has no horizons."""
    if not task.horizons or task.horizon is None:
        return None
    curriculum = training.curriculum
    if isinstance(curriculum, LossGated):
        return CurriculumState(
            float(min(curriculum.start, longest_horizon(training, task.horizon)))
        )
    if isinstance(curriculum, Staged):
        return CurriculumState(float(curriculum.stages[0]))
    return CurriculumState(float(task.horizon))


def longest(training: Training, task: Task) -> int | None:
    """The longest horizon that the training may reach; what `test.loss` is measured on."""
    if not task.horizons or task.horizon is None:
        return None
    return longest_horizon(training, task.horizon)


def advance(
    progress: CurriculumState, training: Training, task: Task, watched: float
) -> CurriculumState:
    """Where the curriculum stands after one iteration.

    `watched` is the mean loss of the first `start` scored outputs (loss gated), or the stage's
    metric over the whole current horizon (staged), both on that iteration's training batch.
    """
    curriculum = training.curriculum
    if isinstance(curriculum, LossGated) and task.horizon is not None:
        average = curriculum.average * progress.average + (1 - curriculum.average) * watched
        easy = average < curriculum.threshold
        moved = (
            progress.horizon * curriculum.factor if easy else (progress.horizon / curriculum.factor)
        )
        top = longest_horizon(training, task.horizon)
        bounded = min(max(moved, float(min(curriculum.start, top))), float(top))
        return replace(progress, horizon=bounded, average=average)
    if isinstance(curriculum, Staged):
        last = progress.stage + 1 == len(curriculum.stages)
        if watched > curriculum.above and not last:
            stage = progress.stage + 1
            return replace(progress, stage=stage, horizon=float(curriculum.stages[stage]))
    return progress
