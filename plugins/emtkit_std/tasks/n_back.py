"""Say whether the symbol of n steps ago was the same."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from emtkit import MAX_STEPS, Batch, Channels, ScalarInfo, Scalars, Stream, Task, hookimpl


class NBack(Task):
    """Say +1 where the symbol is that of n steps ago, and -1 where it is another.

    z_t = z_{t-n} with chance 1/2, else one of the K - 1 others; u_t is one-hot (T K);
    y_t = +1 if z_t = z_{t-n}, else -1, scored from step n on.

    Inputs B T K, targets B T 1. Loss per step: the squared error.

    Chance: half of the answers, and loss 1, for the symbol alone tells nothing. The
    answer is a product of two items n steps apart, so that no linear network does better.

    References: Kirchner 1958, doi:10.1037/h0043688.
    """

    name = "n_back"
    draws_anywhere = True
    scalars: ClassVar[Scalars] = {
        "accuracy": ScalarInfo("share of right answers", better="higher"),
    }

    def __init__(
        self,
        *,
        lag: Annotated[int, Field(ge=1, le=MAX_STEPS, description="Steps n back.")] = 2,
        symbols: Annotated[int, Field(ge=2, description="Number of symbols K.")] = 4,
        scored: Annotated[
            int, Field(ge=1, le=MAX_STEPS, description="Number of answers; T = n + answers.")
        ] = 16,
    ) -> None:
        self.lag, self.symbols, self.steps = lag, symbols, lag + scored

    @property
    def channels(self) -> Channels:
        """An input for each symbol, one answer."""
        return Channels(inputs=self.symbols, outputs=1)

    @property
    def chance(self) -> float:
        """The loss of the answer 0."""
        return 1.0

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        """Symbols, half of which come again."""
        first = stream.integers(batch * self.lag, self.symbols).view(batch, self.lag)
        signs = stream.signs((batch, self.steps - self.lag))
        turns = 1 + stream.integers(signs.numel(), self.symbols - 1).view(signs.shape)
        turned = torch.where(signs > 0, 0, turns)
        z = [*first.unbind(1)]
        for turn in turned.unbind(1):
            z.append((z[-self.lag] + turn) % self.symbols)
        kinds = torch.arange(self.symbols, device=first.device)
        inputs = (torch.stack(z, 1)[..., None] == kinds).to(signs)
        mask = (torch.arange(self.steps, device=first.device) >= self.lag).to(signs)
        return Batch(inputs, self._answers(inputs), mask, self.steps)

    def targets(self, inputs: Tensor) -> Tensor:
        """2 u_t . u_{t-n} - 1; 0 for the first n steps."""
        return self._answers(inputs)

    def _answers(self, inputs: Tensor) -> Tensor:
        same = (inputs[:, self.lag :] * inputs[:, : -self.lag]).sum(-1, keepdim=True)
        silent = inputs.new_zeros(len(inputs), self.lag, 1)
        return torch.cat([silent, 2.0 * same - 1.0], 1)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Squared error (B T)."""
        return torch.square(outputs - batch.targets).sum(-1)

    def squares(self) -> tuple[float, ...]:
        """One output of weight 1."""
        return (1.0,)

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """`accuracy` by the sign of the output."""
        right = ((outputs >= 0) == (batch.targets > 0))[..., 0].to(outputs)
        return {"accuracy": (right * batch.mask).mean(0).sum() / batch.mask.sum()}


@hookimpl
def emtkit_tasks() -> list[type[Task]]:
    """The task of this module."""
    return [NBack]
