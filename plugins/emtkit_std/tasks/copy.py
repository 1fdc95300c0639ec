"""Repeat a sequence after a marker; sequences of a batch differ in length."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from emtkit import (
    MAX_STEPS,
    Batch,
    Channels,
    EmtkitError,
    ScalarInfo,
    Scalars,
    Stream,
    Task,
    hookimpl,
)


class Copy(Task):
    """Repeat n items of signs, in their order, after a marker.

    n is uniform on `shortest` .. `longest`, drawn for each sequence; x_t in {-1, 1}^d:

        u_t = (x_t, 0) for t < n,   (0, 1) for t = n,   0 after;
        y_t = x_{t-n-1} for n < t <= 2 n,   0 and not scored elsewhere.

    Inputs B T (d + 1), targets B T d, T = 2 longest + 1; the mask is that of each
    sequence (B T), so that padding counts for nothing. Loss per step: the mean square
    of e_i over d; the answer 0 has loss 1.

    Chance: half of the signs, and 2^(-n d) of the sequences.

    References: Graves, Wayne and Danihelka 2014 (arXiv:1410.5401), section 4.1, with
    random bits; Jelassi et al. 2024 (arXiv:2402.01032) with tokens.
    """

    name = "copy"
    draws_anywhere = True
    scalars: ClassVar[Scalars] = {
        "accuracy": ScalarInfo("share of right signs of the scored steps", better="higher"),
        "all_right": ScalarInfo("share of sequences without a wrong sign", better="higher"),
    }

    def __init__(
        self,
        *,
        shortest: Annotated[
            int, Field(ge=1, le=MAX_STEPS, description="Least number n of items of a sequence.")
        ] = 1,
        longest: Annotated[
            int, Field(ge=1, le=MAX_STEPS, description="Greatest number n of items of a sequence.")
        ] = 8,
        dimension: Annotated[int, Field(ge=1, description="Signs d of an item.")] = 2,
    ) -> None:
        if shortest > longest:
            raise EmtkitError(
                f"copy: the shortest sequence of {shortest} items is above the longest, {longest}; "
                "lower shortest, or raise longest"
            )
        self.shortest, self.longest, self.dimension = shortest, longest, dimension
        self.steps = 2 * longest + 1

    @property
    def channels(self) -> Channels:
        """The signs and the marker; an output for each sign."""
        return Channels(inputs=self.dimension + 1, outputs=self.dimension)

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        """Items, the marker, and silence for the answer."""
        items = stream.signs((batch, self.longest, self.dimension))
        count = self.shortest + stream.integers(batch, self.longest - self.shortest + 1)
        number = torch.arange(self.longest + 1, device=count.device) - count[:, None]
        inputs = items.new_zeros(batch, self.steps, self.dimension + 1)
        inputs[:, : self.longest, :-1] = torch.where(number[:, :-1, None] < 0, items, 0.0)
        inputs[:, : self.longest + 1, -1] = (number == 0).to(items)
        due = self._due(inputs)
        scored = ((due >= 0) & (due < count[:, None])).to(items)
        return Batch(inputs, self._answers(inputs), scored, self.steps)

    def targets(self, inputs: Tensor) -> Tensor:
        """The items before the marker of each sequence (B T d + 1), after it."""
        return self._answers(inputs)

    def _answers(self, inputs: Tensor) -> Tensor:
        due = self._due(inputs)
        items = inputs[..., : self.longest, :-1]
        places = due.clamp(0, self.longest - 1)[..., None].expand(-1, -1, self.dimension)
        inside = (due >= 0) & (due < self.longest)
        return torch.where(inside[..., None], items.gather(1, places), 0.0)

    def _due(self, inputs: Tensor) -> Tensor:
        """The number of the item that is due (B T); below 0 until the marker, and with it."""
        marker = inputs[..., -1].argmax(1, keepdim=True)
        return torch.arange(self.steps, device=inputs.device) - marker - 1

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean squared error over the signs of an item (B T)."""
        return torch.square(outputs - batch.targets).mean(-1)

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """`accuracy` over scored signs, `all_right` over sequences."""
        wrong = (torch.where(outputs < 0, -1.0, 1.0) != batch.targets) & (batch.mask > 0)[..., None]
        signs = batch.mask.sum() * self.dimension
        return {
            "accuracy": 1.0 - wrong.to(outputs).sum() / signs,
            "all_right": 1.0 - wrong.flatten(1).any(1).to(outputs).mean(),
        }


@hookimpl
def emtkit_tasks() -> list[type[Task]]:
    """The task of this module."""
    return [Copy]
