"""The published code's curriculum: stages that are passed."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from emtkit.methods.curricula.base import Curriculum, CurriculumState, Watched
from emtkit.methods.settings import Horizon


class Staged(Curriculum):
    """The published code's curriculum: the next stage once `metric` passes `above`."""

    needs_outputs: ClassVar[bool] = True

    kind: Literal["staged"] = "staged"
    """Name of the curriculum."""
    stages: Annotated[tuple[Horizon, ...], Field(min_length=1)]
    """Horizons one after the other, in scored steps."""
    metric: str = "accuracy"
    """Metric of the training batch that ends a stage."""
    above: float = 0.96
    """Value of the metric above which the next stage begins."""

    def longest(self, horizon: int) -> int:
        """The longest stage."""
        return max(self.stages)

    def begin(self, horizon: int) -> CurriculumState:
        """At the first stage."""
        return CurriculumState(float(self.stages[0]))

    def watch(self, seen: Watched) -> list[float]:
        """The metric."""
        return seen.metric(self.metric)

    def advance(
        self, state: CurriculumState, watched: float, iteration: int, horizon: int
    ) -> CurriculumState:
        """See `Staged`."""
        stage = int(state.memory.get("stage", 0)) + 1
        if watched > self.above and stage < len(self.stages):
            return CurriculumState(float(self.stages[stage]), {"stage": stage})
        return state
