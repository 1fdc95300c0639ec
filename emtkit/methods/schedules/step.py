"""A rate that changes once."""

from typing import Literal

from emtkit.methods.schedules.base import Schedule
from emtkit.methods.settings import Positive, Share


class StepDecay(Schedule):
    """From the share `at` of training on, `lr` times `factor`."""

    kind: Literal["step"] = "step"
    """Name of the schedule."""
    at: Share
    """Share of the training after which the rate changes."""
    factor: Positive
    """Rate after it, as a multiple of `lr`."""

    def share(self, done: float) -> float:
        """See `StepDecay`."""
        return self.factor if done >= self.at else 1.0
