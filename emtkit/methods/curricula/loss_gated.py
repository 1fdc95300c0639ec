"""The papers' curriculum: longer while the loss is small."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from emtkit.methods.curricula.base import Curriculum, CurriculumState, Watched
from emtkit.methods.settings import Decay, Horizon, Positive


class LossGated(Curriculum):
    """The papers' curriculum: the horizon grows while the loss on its first outputs is small.

    After every iteration L <- average L + (1 - average) (mean loss of the first `start` scored
    outputs); the horizon, kept as a float, is multiplied by `factor` if L < threshold, else
    divided by it, and clipped to [start, max].
    Source: Karuvally et al. 2023, appendix B.2.
    """

    kind: Literal["loss_gated"] = "loss_gated"
    """Name of the curriculum."""
    start: Horizon = 10
    """First and shortest horizon, in scored steps."""
    max: Horizon | None = None
    """Longest horizon, in scored steps; null takes the task's own."""
    factor: Annotated[float, Field(gt=1)] = 1.2
    """Factor by which the horizon grows or shrinks at every iteration."""
    threshold: Positive = 3e-2
    """Mean loss below which the horizon grows."""
    average: Decay = 0.0
    """Share of the running mean that is kept at every iteration."""

    @model_validator(mode="after")
    def _begins_below_its_max(self) -> Self:
        if self.max is not None and self.start > self.max:
            raise ValueError(
                f"the curriculum starts at {self.start} outputs, beyond its max of {self.max}; "
                "`start` is at most `max`"
            )
        return self

    def longest(self, horizon: int) -> int:
        """`max`, or the task's horizon."""
        return self.max or horizon

    def begin(self, horizon: int) -> CurriculumState:
        """At `start` outputs."""
        return CurriculumState(float(min(self.start, self.longest(horizon))))

    def watch(self, seen: Watched) -> list[float]:
        """The loss of the first `start` outputs."""
        return seen.losses(self.start)

    def advance(
        self, state: CurriculumState, watched: float, iteration: int, horizon: int
    ) -> CurriculumState:
        """See `LossGated`."""
        average = self.average * state.memory.get("average", 0.0) + (1 - self.average) * watched
        is_easy = average < self.threshold
        moved = state.horizon * self.factor if is_easy else state.horizon / self.factor
        top = self.longest(horizon)
        bounded = min(max(moved, float(min(self.start, top))), float(top))
        return CurriculumState(bounded, {"average": average})

    def refusal(self, horizon: int) -> str | None:
        """See `Curriculum.refusal`."""
        if self.start <= self.longest(horizon):
            return None
        return f"the curriculum starts at {self.start} outputs, beyond the horizon {horizon}"
