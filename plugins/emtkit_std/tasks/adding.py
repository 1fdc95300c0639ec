"""Add the two numbers of a long sequence that a marker points at."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from emtkit import MAX_STEPS, Batch, Channels, ScalarInfo, Scalars, Stream, Task, hookimpl

NEAR = 0.04


class Adding(Task):
    """Say the sum of the two marked numbers, at the last of T steps.

    u_t = (v_t, m_t), v uniform on [0, 1), m_t = 1 at one step of the first half and at
    one of the second, each uniform over its half, else 0;  y_T = sum_t m_t v_t.

    Inputs B T 2, targets B T 1; only the last step is scored. Loss: the squared error.

    Chance: the mean 1 has loss 1/6, the variance of two uniform numbers; what remembers
    nothing and hears the last number marked (chance 2 / T) gains next to nothing.

    References: Hochreiter and Schmidhuber 1997, section 5.4, doi:10.1162/neco.1997.9.8.1735
    (numbers in [-1, 1], and unequal lengths); Le, Jaitly and Hinton 2015 (arXiv:1504.00941)
    as here.
    """

    name = "adding"
    draws_anywhere = True
    scalars: ClassVar[Scalars] = {
        "accuracy": ScalarInfo(f"share of sums that are off by less than {NEAR}", better="higher"),
    }

    def __init__(
        self,
        *,
        steps: Annotated[
            int, Field(ge=2, le=MAX_STEPS, description="Number of steps T of a sequence.")
        ] = 50,
    ) -> None:
        self.steps = steps

    @property
    def channels(self) -> Channels:
        """The number and the marker; the sum."""
        return Channels(inputs=2, outputs=1)

    @property
    def chance(self) -> float:
        """The loss of the mean."""
        return 1.0 / 6.0

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        """Numbers, and a marker in either half."""
        half = self.steps // 2
        inputs = torch.stack([stream.uniform((batch, self.steps))] * 2, -1)
        places = stream.integers(batch, half), half + stream.integers(batch, self.steps - half)
        time = torch.arange(self.steps, device=inputs.device)
        inputs[..., 1] = sum((time == place[:, None]).to(inputs) for place in places)
        mask = inputs.new_zeros(self.steps)
        mask[-1] = 1.0
        return Batch(inputs, self._answers(inputs), mask, self.steps)

    def targets(self, inputs: Tensor) -> Tensor:
        """The marked sum at the last step, 0 elsewhere."""
        return self._answers(inputs)

    def variables(self, inputs: Tensor) -> Mapping[str, Tensor]:
        """The sum so far of what was marked."""
        return {"sum": (inputs[..., 0] * inputs[..., 1]).cumsum(1)}

    def _answers(self, inputs: Tensor) -> Tensor:
        found = inputs.new_zeros(*inputs.shape[:2], 1)
        found[:, -1, 0] = (inputs[..., 0] * inputs[..., 1]).sum(1)
        return found

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Squared error (B T)."""
        return torch.square(outputs - batch.targets).sum(-1)

    def squares(self) -> tuple[float, ...]:
        """One output of weight 1."""
        return (1.0,)

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """`accuracy` at the last step."""
        near = (outputs - batch.targets).abs()[..., 0] < NEAR
        return {"accuracy": (near * batch.mask).mean(0).sum() / batch.mask.sum()}


@hookimpl
def emtkit_tasks() -> list[type[Task]]:
    """The task of this module."""
    return [Adding]
