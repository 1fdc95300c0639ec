"""A rate that changes once."""

from __future__ import annotations

from typing import Literal

from emtkit.methods.schedules.base import Schedule
from emtkit.methods.settings import Positive, Share


class StepDecay(Schedule):
    """From the share `at` of training on, `lr` times `factor`."""

    kind: Literal["step"] = "step"
    at: Share
    factor: Positive

    def share(self, done: float) -> float:
        """See `StepDecay`."""
        return self.factor if done >= self.at else 1.0
