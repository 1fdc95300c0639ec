"""Repeat items when a cue asks for them, after a delay that differs between sequences."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from emtkit import (
    MAX_STEPS,
    Batch,
    Channels,
    EmtkitError,
    Fact,
    ScalarInfo,
    Scalars,
    Stream,
    Task,
    hookimpl,
)
from emtkit_std._theory.facts import CuedLaw
from emtkit_std._theory.superposition.amplitudes import AMPLITUDES

if TYPE_CHECKING:
    Amplitude = str
else:
    Amplitude = Literal[tuple(AMPLITUDES)]


class CuedDelay(Task):
    """Repeat the items of the first steps k steps later, when a cue says so.

    x_t = B_t U_t per feature for the first `items` steps n, 0 after; B ~ Bernoulli(p).
    k is uniform on `shortest` .. `longest`, drawn for each sequence. The last input is
    the cue c_t, 1 on the n steps at which an item is due, else 0:

        y_t = c_t x_{t-k},   c_t = 1 for k < t <= k + n.

    Inputs B T (I + 1), targets B T I, T = longest + n; all steps are scored, so that an
    answer without a cue is an error. Loss per step: sum_i e_i² / (I p nu) T / n, with
    nu = E U²: the zero predictor's mean is 1.

    Chance: the cue alone tells when to answer, and the best answer without a memory is
    the mean, of loss 1 - p mu² / nu. A linear network cannot gate: with D delays and
    inputs of mean 0 no linear recurrence with a linear readout gets below 1 - 1 / D.
    Relu units need not be more for longer delays: I + 1 of them with an output bias are
    exact for one item of 0 <= U <= 1, y = relu(h_i + h_c - 1), h_i = relu(h_i) + x_i,
    h_c = c. So the count of k + 1 directions of a fixed delay is not this task's, and
    it has no law of delays: analyses that need one do not apply.

    References: Sharma, Proca, Prieto and Mediano (ICLR 2026), "Temporal superposition",
    have a task of random delays in an appendix; these settings are emtkit's.
    """

    name = "cued_delay"
    offers = (CuedLaw,)
    draws_anywhere = True
    scalars: ClassVar[Scalars] = {
        "recall_error": ScalarInfo(
            "squared error at the cued steps; 1 is that of the answer 0", better="lower"
        ),
        "uncued_error": ScalarInfo(
            "squared outputs at all other steps, in the same unit", better="lower"
        ),
    }

    def __init__(
        self,
        *,
        shortest: Annotated[
            int, Field(ge=1, le=MAX_STEPS, description="Least delay k of a sequence, in steps.")
        ] = 2,
        longest: Annotated[
            int, Field(ge=1, le=MAX_STEPS, description="Greatest delay k of a sequence, in steps.")
        ] = 6,
        items: Annotated[
            int, Field(ge=1, le=MAX_STEPS, description="Number of steps n that are repeated.")
        ] = 1,
        features: Annotated[int, Field(ge=1, description="Number of input features I.")] = 1,
        density: Annotated[
            float, Field(gt=0, le=1, description="Chance p that a feature of an item is active.")
        ] = 1.0,
        amplitude: Annotated[
            Amplitude,
            Field(
                description="Size U of an active feature: uniform on [0, 1), constantly 1, "
                "uniform on [-1, 1), exponential of mean 1, N(0, 1), or exp N(0, 1)."
            ),
        ] = "uniform",
    ) -> None:
        if shortest > longest:
            raise EmtkitError(
                f"cued_delay: the shortest delay {shortest} is above the longest, {longest}; "
                "lower shortest, or raise longest"
            )
        if amplitude == "constant" and density == 1.0:
            raise EmtkitError(
                "cued_delay: amplitude constant with density 1 is the same item in every sequence, "
                "so there is nothing to remember; lower density, or choose amplitude uniform"
            )
        self.shortest, self.longest, self.items = shortest, longest, items
        self.features, self.density, self.amplitude = features, density, amplitude
        self.steps = longest + items

    @property
    def channels(self) -> Channels:
        """The features and the cue; an output for each feature."""
        return Channels(inputs=self.features + 1, outputs=self.features)

    @property
    def chance(self) -> float:
        """The least loss at the cued steps of what remembers nothing: 1 - p mu² / nu."""
        law = AMPLITUDES[self.amplitude]
        return 1.0 - self.density * law.mean**2 / law.second_moment

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        """Items, then silence with a cue in it; every step is driven and scored."""
        drawn = stream.sparse_uniform((batch, self.items, self.features), self.density)
        items = AMPLITUDES[self.amplitude].inputs(drawn)
        delay = self.shortest + stream.integers(batch, self.longest - self.shortest + 1)
        number = torch.arange(self.steps, device=delay.device) - delay[:, None]  # of the item due
        inputs = items.new_zeros(batch, self.steps, self.features + 1)
        inputs[:, : self.items, :-1] = items
        inputs[..., -1] = ((number >= 0) & (number < self.items)).to(items)
        return Batch(inputs, self._asked(inputs), inputs.new_ones(self.steps), self.steps)

    def targets(self, inputs: Tensor) -> Tensor:
        """At the n-th cue of a sequence (B T I + 1) its n-th item, at later ones the last; else 0.

        Cues that `sample` never gives, with gaps or more than the items, are read so, too.
        """
        return self._asked(inputs)

    def _asked(self, inputs: Tensor) -> Tensor:
        cue, items = inputs[..., -1:], inputs[:, : self.items, :-1]
        number = (cue.cumsum(1) - 1).clamp(0, self.items - 1).long()
        answers = items.gather(1, number.expand(-1, -1, self.features))
        return torch.where(cue > 0, answers, 0.0)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Squared error (B T), relative to the zero predictor."""
        squares = torch.square(outputs - batch.targets)
        return (squares * outputs.new_tensor(self.squares())).sum(-1)

    def squares(self) -> tuple[float, ...]:
        """T / (n I p nu) per output."""
        energy = self.density * AMPLITUDES[self.amplitude].second_moment * self.features
        return (self.steps / (self.items * energy),) * self.features

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The loss in two parts: `recall_error` at the cued steps, `uncued_error` elsewhere."""
        losses = self.loss(outputs, batch) * batch.mask
        cue = batch.inputs[..., -1]
        steps = batch.mask.sum()
        recall = (losses * cue).sum(-1).mean() / steps
        return {"recall_error": recall, "uncued_error": losses.sum(-1).mean() / steps - recall}

    def facts(self, kind: type[Fact]) -> Fact:
        """What is asked for, and for how long it has to be held."""
        if kind is CuedLaw:
            return CuedLaw(self.items, self.features, self.longest, self.amplitude)
        return super().facts(kind)


@hookimpl
def emtkit_tasks() -> list[type[Task]]:
    """The task of this module."""
    return [CuedDelay]
