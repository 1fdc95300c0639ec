"""Say whether a second pattern is the first, after a delay that differs between sequences."""

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


class DelayedMatch(Task):
    """Say +1 where the pattern at step k is that of step 0, and -1 where it is another.

    u_0 = a in {-1, 1}^d, u_k = a with chance 1/2, else one of the 2^d - 1 others; 0 in
    between and after. k is uniform on `shortest` .. `longest`, drawn for each sequence;
    y_k = +1 if u_k = a, else -1, the only step of the sequence that is scored.

    Inputs B T d, targets B T 1, T = longest + 1, masks B T. Loss: the squared error.

    Chance: half of the answers, and loss 1; the second pattern tells nothing by itself,
    and the answer is not linear in both, so that no linear network does better.

    References: Miyashita and Chang 1988, doi:10.1038/331068a0 (delayed match to sample).
    """

    name = "delayed_match"
    draws_anywhere = True
    scalars: ClassVar[Scalars] = {
        "accuracy": ScalarInfo("share of right answers", better="higher"),
    }

    def __init__(
        self,
        *,
        shortest: Annotated[
            int, Field(ge=1, le=MAX_STEPS, description="Least delay k of a sequence, in steps.")
        ] = 2,
        longest: Annotated[
            int, Field(ge=1, le=MAX_STEPS, description="Greatest delay k of a sequence, in steps.")
        ] = 8,
        dimension: Annotated[int, Field(ge=1, le=20, description="Signs d of a pattern.")] = 2,
    ) -> None:
        if shortest > longest:
            raise EmtkitError(
                f"delayed_match: the shortest delay {shortest} is above the longest, {longest}; "
                "lower shortest, or raise longest"
            )
        self.shortest, self.longest, self.dimension = shortest, longest, dimension

    @property
    def channels(self) -> Channels:
        """The signs of a pattern, one answer."""
        return Channels(inputs=self.dimension, outputs=1)

    @property
    def chance(self) -> float:
        """The loss of the answer 0."""
        return 1.0

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        """A pattern, silence, and the same or another one."""
        first = stream.signs((batch, self.dimension))
        delay = self.shortest + stream.integers(batch, self.longest - self.shortest + 1)
        number = 1 + stream.integers(batch, 2**self.dimension - 1)  # of the others: which differ
        bits = torch.arange(self.dimension, device=number.device)
        flips = 1 - 2 * ((number[:, None] >> bits) & 1)
        second = torch.where(stream.signs((batch, 1)) > 0, first, first * flips)
        time = torch.arange(self.longest + 1, device=number.device)
        mask = (time == delay[:, None]).to(first)
        inputs = mask[..., None] * second[:, None]
        inputs[:, 0] = first
        return Batch(inputs, self._answers(inputs), mask, self.longest + 1)

    def targets(self, inputs: Tensor) -> Tensor:
        """+1 or -1 wherever a pattern follows the first one, 0 elsewhere."""
        return self._answers(inputs)

    def _answers(self, inputs: Tensor) -> Tensor:
        agree = (inputs * inputs[:, :1]).sum(-1, keepdim=True) > self.dimension - 1
        answers = torch.where(agree, 1.0, -1.0).to(inputs)
        there = (inputs != 0).any(-1, keepdim=True)
        there[:, 0] = False
        return torch.where(there, answers, 0.0)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Squared error (B T)."""
        return torch.square(outputs - batch.targets).sum(-1)

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """`accuracy` by the sign of the output."""
        right = ((outputs >= 0) == (batch.targets > 0))[..., 0].to(outputs)
        return {"accuracy": (right * batch.mask).sum() / batch.mask.sum()}


@hookimpl
def emtkit_tasks() -> list[type[Task]]:
    """The task of this module."""
    return [DelayedMatch]
