"""No curriculum."""

from typing import ClassVar, Literal

from emtkit.methods.curricula.base import Curriculum, CurriculumState, Watched


class NoCurriculum(Curriculum):
    """The task's own horizon throughout."""

    moves: ClassVar[bool] = False

    kind: Literal["none"] = "none"
    """Name of the curriculum."""

    def longest(self, horizon: int) -> int:
        """The task's horizon."""
        return horizon

    def begin(self, horizon: int) -> CurriculumState:
        """At the task's horizon."""
        return CurriculumState(float(horizon))

    def watch(self, seen: Watched) -> list[float]:
        """Nothing."""
        return []

    def advance(
        self, state: CurriculumState, watched: float, iteration: int, horizon: int
    ) -> CurriculumState:
        """Where it was."""
        return state
