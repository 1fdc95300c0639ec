"""A rate that stays."""

from typing import Literal

from emtkit.methods.schedules.base import Schedule


class Constant(Schedule):
    """`lr` throughout, after the warm-up."""

    kind: Literal["constant"] = "constant"
    """Name of the schedule."""

    def share(self, done: float) -> float:
        """See `Constant`."""
        return 1.0
