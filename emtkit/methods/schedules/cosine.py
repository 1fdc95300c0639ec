"""A rate that falls along half a cosine."""

import math
from typing import Annotated, Literal

from pydantic import Field

from emtkit.methods.schedules.base import Schedule
from emtkit.methods.settings import Share


class Cosine(Schedule):
    """From the share `from` of training on, a half cosine from `lr` down to `end` times `lr`.

    Source: Loshchilov and Hutter 2017, equation 5, without restarts.
    """

    kind: Literal["cosine"] = "cosine"
    """Name of the schedule."""
    start: Share = Field(0.0, alias="from")
    """Share of the training after which the rate begins to fall."""
    end: Annotated[float, Field(ge=0)] = 0.0
    """Rate at the end, as a multiple of `lr`."""

    def share(self, done: float) -> float:
        """See `Cosine`."""
        if done <= self.start:
            return 1.0
        phase = (done - self.start) / (1 - self.start)
        return self.end + (1 - self.end) * 0.5 * (1 + math.cos(math.pi * phase))
