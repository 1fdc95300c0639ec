"""Hold the sign of the last pulse on each of several channels."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from emtkit import MAX_STEPS, Batch, Channels, Fact, ScalarInfo, Scalars, Stream, Task, hookimpl
from emtkit_std._theory.facts import LatchLaw


class FlipFlop(Task):
    """Say the sign of the last pulse on each of d channels.

    u_ti = +1 or -1 with chance p / 2 each, else 0;  y_ti = the last u_si that is not 0,
    s <= t; 0 before the first.

    Inputs and targets B T d, every step is driven and scored. Loss per step: the mean
    square of e_i over d.

    Chance: what remembers nothing answers u_t, of loss E y² - p per channel,
    E y_t² = 1 - (1 - p)^t; over T steps (`chance`). An exact network holds 2^d states;
    the published ones do so by as many stable fixed points.

    References: Sussillo and Barak 2013, Opening the black box, doi:10.1162/NECO_a_00409
    (three bits).
    """

    name = "flip_flop"
    offers = (LatchLaw,)
    draws_anywhere = True
    scalars: ClassVar[Scalars] = {
        "accuracy": ScalarInfo("share of right signs where a pulse has been", better="higher"),
    }

    def __init__(
        self,
        *,
        bits: Annotated[int, Field(ge=1, description="Number of channels d.")] = 3,
        density: Annotated[
            float, Field(gt=0, le=1, description="Chance p of a pulse at each step and channel.")
        ] = 0.1,
        steps: Annotated[
            int, Field(ge=1, le=MAX_STEPS, description="Number of steps T of a sequence.")
        ] = 48,
    ) -> None:
        self.bits, self.density, self.steps = bits, density, steps

    @property
    def channels(self) -> Channels:
        """An output for each input."""
        return Channels(inputs=self.bits, outputs=self.bits)

    @property
    def chance(self) -> float:
        """The least loss of what remembers nothing."""
        quiet = 1.0 - self.density
        return 1.0 - quiet * (1.0 - quiet**self.steps) / (self.steps * self.density) - self.density

    def facts(self, kind: type[Fact]) -> Fact:
        """That each channel is held by itself."""
        if kind is LatchLaw:
            return LatchLaw(self.bits)
        return super().facts(kind)

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        """Pulses, and what they leave behind."""
        shape = (batch, self.steps, self.bits)
        signs = stream.signs(shape)
        inputs = torch.where(stream.uniform(shape) < self.density, signs, 0.0)
        return Batch(inputs, self._answers(inputs), inputs.new_ones(self.steps), self.steps)

    def targets(self, inputs: Tensor) -> Tensor:
        """The last input of each channel that is not 0."""
        return self._answers(inputs)

    def variables(self, inputs: Tensor) -> Mapping[str, Tensor]:
        """The bits, one of each channel, numbered from 1."""
        found = self._answers(inputs)
        return {f"bit {channel + 1}": found[..., channel] for channel in range(self.bits)}

    def _answers(self, inputs: Tensor) -> Tensor:
        time = torch.arange(inputs.shape[1], device=inputs.device)[:, None].expand_as(inputs)
        return inputs.gather(1, torch.where(inputs != 0, time, 0).cummax(1).values)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean squared error over the channels (B T)."""
        return torch.square(outputs - batch.targets).mean(-1)

    def squares(self) -> tuple[float, ...]:
        """1 / d per output."""
        return (1.0 / self.bits,) * self.bits

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """`accuracy` at the steps and channels that have had a pulse."""
        known = (batch.targets != 0) & (batch.mask > 0)[..., None]
        right = known & ((outputs >= 0) == (batch.targets > 0))
        return {"accuracy": right.sum().to(outputs) / known.sum()}


@hookimpl
def emtkit_tasks() -> list[type[Task]]:
    """The task of this module."""
    return [FlipFlop]
