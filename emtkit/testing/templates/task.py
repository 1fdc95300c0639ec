"""Task `template_name`: remember the sign of the last pulse."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from emtkit import Batch, Channels, ScalarInfo, Scalars, Stream, Task, hookimpl


class TemplateName(Task):
    """Say the sign of the last pulse on every channel.

    u_t = +1, -1 with chance `density` / 2 each, else 0;  y_t = the last u that is not 0 (or 0).

    Shapes: inputs and targets B T `channels`; every step is driven and scored.

    References: none yet (say here where the task comes from).
    """

    name = "template_name"
    version = 1  # raise it when equal parameters give other numbers
    # What each of `metrics` means; a study may ask for these names alone.
    scalars: ClassVar[Scalars] = {"accuracy": ScalarInfo("share of right outputs", better="higher")}

    # What stands after `*` is what a study file may set; Field says what it means and may be.
    def __init__(
        self,
        *,
        steps: Annotated[int, Field(ge=1, description="Number of steps T of a sequence.")] = 12,
        width: Annotated[int, Field(ge=1, description="Number of channels.")] = 2,
        density: Annotated[
            float, Field(gt=0, le=1, description="Chance of a pulse at each step and channel.")
        ] = 0.3,
    ) -> None:
        self.steps, self.width, self.density = steps, width, density

    @property
    def channels(self) -> Channels:
        """One output for every input."""
        return Channels(inputs=self.width, outputs=self.width)

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        """Pulses and what they leave behind; all randomness comes from `stream`."""
        shape = (batch, self.steps, self.width)
        inputs = (stream.sparse_uniform(shape, self.density) > 0) * stream.signs(shape)
        mask = inputs.new_ones(self.steps)
        return Batch(inputs, last_pulse(inputs), mask, input_steps=self.steps)

    def targets(self, inputs: Tensor) -> Tensor:
        """Those of any inputs; leave this out where they are no function of the inputs alone."""
        return last_pulse(inputs)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Squared error per sequence and step (B T); emtkit masks and averages."""
        return (outputs - batch.targets).square().mean(-1)

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """`accuracy`: share of outputs within 1/2 of the target; column `test.accuracy`."""
        right = ((outputs - batch.targets).abs() < 0.5).to(outputs.dtype).mean((0, 2))
        return {"accuracy": (right * batch.mask).sum() / batch.mask.sum()}


def last_pulse(inputs: Tensor) -> Tensor:
    """The last pulse up to every step (B T channels), 0 before the first."""
    time = torch.arange(inputs.shape[1])[:, None].expand(inputs.shape)
    return inputs.gather(1, torch.where(inputs != 0, time, 0).cummax(1).values)


@hookimpl
def emtkit_tasks() -> list[type[Task]]:
    """What this file offers."""
    return [TemplateName]
