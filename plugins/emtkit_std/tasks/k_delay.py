"""Repeat every input a fixed number of steps later; inputs may be sparse."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from emtkit import (
    MAX_STEPS,
    Batch,
    Channels,
    EmtkitError,
    Fact,
    Recipe,
    Stratified,
    Stream,
    Task,
    hookimpl,
    sparse_uniform_rows,
    sparse_uniform_strata,
)
from emtkit_std._theory.facts import DelayLaw
from emtkit_std._theory.superposition.amplitudes import AMPLITUDES
from emtkit_std._theory.superposition.linear_loss import delay_law

if TYPE_CHECKING:
    Amplitude = str
else:
    Amplitude = Literal[tuple(AMPLITUDES)]


class KDelay(Task):
    """Repeat every input `delay` steps later.

    x_t = B_t U_t per feature, B ~ Bernoulli(p). Target y_t = x_{t-k}, and 0 for the first k steps.
    Inputs and targets (B T I).

    Loss per step: sum_i importance^i e_i² / (p nu sum_i importance^i), nu = E U², times T / (T - k)
    when all steps are scored, so that the zero predictor's mean is 1 in every setting.

    References: Sharma, Proca, Prieto and Mediano (ICLR 2026), "Temporal superposition".
    """

    name = "k_delay"
    offers = (DelayLaw,)
    draws_anywhere = True

    def __init__(
        self,
        *,
        delay: Annotated[
            int,
            Field(
                ge=0,
                le=MAX_STEPS,
                description="Number of steps k after which an input is repeated.",
            ),
        ] = 3,
        features: Annotated[int, Field(ge=1, description="Number of input features I.")] = 1,
        density: Annotated[
            float, Field(gt=0, le=1, description="Chance p that a feature is active at a step.")
        ] = 1.0,
        amplitude: Annotated[
            Amplitude,
            Field(
                description="Size U of an active feature: uniform on [0, 1), constantly 1, "
                "uniform on [-1, 1), exponential of mean 1, N(0, 1), or exp N(0, 1)."
            ),
        ] = "uniform",
        importance: Annotated[
            float,
            Field(gt=0, description="Weight of a feature in the loss relative to the one before."),
        ] = 1.0,
        steps: Annotated[
            int | None,
            Field(ge=1, le=MAX_STEPS, description="Steps T of a sequence; null takes 3 k + 5."),
        ] = None,
        scored: Annotated[
            Literal["recall", "all", "last"],
            Field(
                description="Whether the steps after the first k are scored, all of them (the "
                "paper's loss), or the last one alone (a stationary window)."
            ),
        ] = "recall",
    ) -> None:
        self.law = delay_law(delay, density, amplitude, features=features, importance=importance)
        self.delay, self.features, self.density = delay, features, density
        self.amplitude, self.scored = amplitude, scored
        self.steps = 3 * delay + 5 if steps is None else steps
        if self.steps <= delay:
            raise EmtkitError(
                f"k_delay: {self.steps} steps end before the first item is due, {delay} steps "
                f"after it came; steps must be above delay, or left out for {3 * delay + 5}"
            )
        if amplitude == "constant" and density == 1.0:
            raise EmtkitError(
                "k_delay: amplitude constant with density 1 is the same input at every step, so "
                "there is nothing to remember; lower density, or choose amplitude uniform or signed"
            )

    @property
    def channels(self) -> Channels:
        """As many outputs as features."""
        return Channels(inputs=self.features, outputs=self.features)

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        """Inputs and targets (B T I), every step driven."""
        shape = (batch, self.steps, self.features)
        return self._batch(stream.sparse_uniform(shape, self.density))

    def sample_strata(self, batch: int, stream: Stream, horizon: int | None = None) -> Stratified:
        """By the number of active inputs of a sequence."""
        shape = (batch, self.steps, self.features)
        drawn = sparse_uniform_strata(stream, shape, self.density)
        return Stratified(self._batch(drawn.values), drawn.strata)

    @staticmethod
    def sample_rows(
        tasks: Sequence[Task], batch: int, streams: Sequence[Stream], horizon: int | None = None
    ) -> Batch:
        """Rows of equal key share one draw, each at its own density (M B T I)."""
        rows = cast("Sequence[KDelay]", tasks)
        shape = (batch, rows[0].steps, rows[0].features)
        inputs = sparse_uniform_rows(streams, shape, [row.density for row in rows])
        kinds = [(row.amplitude, row.delay) for row in rows]
        if len(set(kinds)) == 1:
            inputs = AMPLITUDES[rows[0].amplitude].inputs(inputs)
            targets = _delayed(inputs, rows[0].delay)
        else:
            targets = torch.empty_like(inputs)
            for amplitude, delay in dict.fromkeys(kinds):
                alike = [place for place, kind in enumerate(kinds) if kind == (amplitude, delay)]
                inputs[alike] = AMPLITUDES[amplitude].inputs(inputs[alike])
                targets[alike] = _delayed(inputs[alike], delay)
        by_law = {(row.delay, row.scored): row for row in rows}
        masks = {law: inputs.new_tensor(row._scored()) for law, row in by_law.items()}
        mask = torch.stack([masks[row.delay, row.scored] for row in rows])
        return Batch(inputs, targets, mask, rows[0].steps)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Importance-weighted squared error (B T), relative to the zero predictor."""
        squares = torch.square(outputs - batch.targets)
        return (squares * outputs.new_tensor(self.squares())).sum(-1)

    def squares(self) -> tuple[float, ...]:
        """importance^i scale / (p nu sum_i importance^i) per output."""
        energy = self.density * AMPLITUDES[self.amplitude].second_moment
        scale = self.steps / (self.steps - self.delay) if self.scored == "all" else 1.0
        total = float(sum(self.law.importance))
        return tuple(weight * (scale / (energy * total)) for weight in self.law.importance)

    def recipe(self) -> Recipe | None:
        """The draw and the delay, where amplitudes are what is drawn."""
        if self.amplitude != "uniform":
            return None
        return Recipe.delayed(self._scored(), self.density, self.delay, self.features)

    def facts(self, kind: type[Fact]) -> Fact:
        """The delay law."""
        if kind is DelayLaw:
            return self.law
        return super().facts(kind)

    def _batch(self, drawn: Tensor) -> Batch:
        inputs = AMPLITUDES[self.amplitude].inputs(drawn)
        mask = inputs.new_tensor(self._scored())
        return Batch(inputs, _delayed(inputs, self.delay), mask, self.steps)

    def _scored(self) -> tuple[float, ...]:
        first = {"recall": self.delay, "all": 0, "last": self.steps - 1}[self.scored]
        return (0.0,) * first + (1.0,) * (self.steps - first)


def _delayed(inputs: Tensor, delay: int) -> Tensor:
    """Inputs (... T I) moved `delay` steps later, with zeros before."""
    return functional.pad(inputs, (0, 0, delay, -delay))


@hookimpl
def emtkit_tasks() -> list[type[Task]]:
    """The task of this module."""
    return [KDelay]
