"""What a schedule is: the share of `lr` at every moment of training, and a warm-up before it."""

from abc import abstractmethod
from typing import Annotated

from emtkit.methods.method import Method
from emtkit.methods.settings import Share, Since


class Schedule(Method):
    """The learning rate of the iteration that follows n of N iterations:

        rate = lr min(1, (n + 1) / (warmup N)) share(n / N)

    The schedule itself goes on during the warm-up: `from` and `at` count from the first iteration.
    """

    warmup: Annotated[Share, Since.LATER] = 0.0
    """Share of the training in which the rate rises along a line; 0 leaves that out."""

    @abstractmethod
    def share(self, done: float) -> float:
        """The multiple of `lr` when the share `done` of training is over."""

    def rate(self, lr: float, steps: int, iteration: int) -> float:
        """The learning rate after `iteration` of `steps` iterations."""
        found = lr * self.share(iteration / max(steps, 1))
        rising = self.warmup * steps
        return found * (iteration + 1) / rising if iteration + 1 < rising else found
