"""Repeat every input a fixed number of steps later; inputs may be sparse."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, cast

import numpy as np
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
    Since,
    Stratified,
    Stream,
    Task,
    hookimpl,
    sparse_uniform_rows,
    sparse_uniform_strata,
)
from emtkit_std._theory.facts import DelayLaw
from emtkit_std._theory.required_memory import RequiredMemory, of_delays
from emtkit_std._theory.superposition.amplitudes import AMPLITUDES
from emtkit_std._theory.superposition.correlated_inputs import Correlated, Correlation, sparse
from emtkit_std._theory.superposition.linear_loss import delay_law

if TYPE_CHECKING:
    Amplitude = str
else:
    Amplitude = Literal[tuple(AMPLITUDES)]

Delay = Annotated[int, Field(ge=0, le=MAX_STEPS)]
Density = Annotated[float, Field(gt=0, le=1)]
Importance = Annotated[float, Field(gt=0)]
Value = TypeVar("Value", int, float, str)


class KDelay(Task):
    """Repeat every input `delay` steps later.

    x_t = B_t U_t per feature, B ~ Bernoulli(p). Target y_t = x_{t-k}, and 0 for the first k steps.
    Inputs and targets (B T I). k, p, the law of U and the importance may be lists, with one entry
    for each feature; the longest delay then is the one that steps and scores count from.

    Loss per step: sum_i w_i e_i² / (sum_i w_i p_i nu_i), nu = E U², w_i = importance^i or
    as listed, times T / (T - k) when all steps are scored (with lists, each w_i p_i nu_i
    times (T - k_i) / T), so that the zero predictor's mean is 1 in every setting.

    Correlated inputs keep the law of each: Phi(z) < p makes a feature active, Phi(z) / p is
    the quantile of its U, z an autoregression in time with corr(z_ti, z_sj) =
    r^|t - s| (1 if i = j, else c). With c = r = 0 they are independent. Closed forms and
    optima are those of independent inputs, and do not apply to others.

    References: Sharma, Proca, Prieto and Mediano (ICLR 2026), "Temporal superposition".
    """

    name = "k_delay"
    offers = (DelayLaw, RequiredMemory)
    draws_anywhere = True

    def __init__(
        self,
        *,
        delay: Annotated[
            Delay | tuple[Delay, ...],
            Field(
                description="Number of steps k after which an input is repeated, or a list with "
                "one for each feature."
            ),
        ] = 3,
        features: Annotated[int, Field(ge=1, description="Number of input features I.")] = 1,
        density: Annotated[
            Density | tuple[Density, ...],
            Field(description="Chance p that a feature is active at a step, or a list of chances."),
        ] = 1.0,
        amplitude: Annotated[
            Amplitude | tuple[Amplitude, ...],
            Field(
                description="Size U of an active feature, or a list of them: uniform on [0, 1), "
                "constantly 1, uniform on [-1, 1), exponential of mean 1, N(0, 1), or exp N(0, 1)."
            ),
        ] = "uniform",
        importance: Annotated[
            Importance | tuple[Importance, ...],
            Field(
                description="Weight of a feature in the loss relative to the one before, or a list "
                "of weights."
            ),
        ] = 1.0,
        steps: Annotated[
            int | None,
            Field(
                ge=1,
                le=MAX_STEPS,
                description="Steps T of a sequence; null takes 3 k + 5, of the longest delay.",
            ),
        ] = None,
        scored: Annotated[
            Literal["recall", "all", "last"],
            Field(
                description="Whether the steps after the first k are scored, all of them (the "
                "paper's loss), or the last one alone (a stationary window)."
            ),
        ] = "recall",
        feature_correlation: Annotated[
            float,
            Since.LATER,
            Field(
                ge=0,
                le=1,
                description="Correlation c of the normal numbers behind two features at a step.",
            ),
        ] = 0.0,
        time_correlation: Annotated[
            float,
            Since.LATER,
            Field(
                gt=-1,
                lt=1,
                description="Correlation r of the normal numbers behind a feature from one step to "
                "the next.",
            ),
        ] = 0.0,
        correlated: Annotated[
            Correlated,
            Since.LATER,
            Field(
                description="Whether presence and amplitude both follow from one such number, or "
                "only one of them does; used where a correlation is not 0."
            ),
        ] = "both",
    ) -> None:
        self.features, self.scored = features, scored
        delays = _of_each("delay", delay, features)
        self.densities = _of_each("density", density, features)
        self.amplitudes = _of_each("amplitude", amplitude, features)
        weights = importance
        if isinstance(importance, tuple):
            weights = _of_each("importance", importance, features)
        among = feature_correlation if features > 1 else 0.0
        self.correlation = Correlation(among, time_correlation, correlated)
        self.law = replace(
            delay_law(
                delays, self.densities, self.amplitudes, features=features, importance=weights
            ),
            independent=among == time_correlation == 0.0,
        )
        self.delay = max(delays)
        self.steps = 3 * self.delay + 5 if steps is None else steps
        if self.steps <= self.delay:
            raise EmtkitError(
                f"k_delay: {self.steps} steps end before the first item is due, {self.delay} steps "
                "after it came; steps must be above delay, or left out for "
                f"{3 * self.delay + 5}"
            )
        if ("constant", 1.0) in zip(self.amplitudes, self.densities, strict=True):
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
        if not self.law.independent:
            return self._batch(self.correlation.draw(stream, batch, self.steps, self.densities))
        if self._is_plain:
            return self._batch(stream.sparse_uniform(shape, self.densities[0]))
        return self._batch(sparse(stream.uniform(shape), self.densities))

    def sample_strata(self, batch: int, stream: Stream, horizon: int | None = None) -> Stratified:
        """By the number of active inputs, where they are active equally often, independently."""
        if not self._is_plain:
            return super().sample_strata(batch, stream, horizon)
        shape = (batch, self.steps, self.features)
        drawn = sparse_uniform_strata(stream, shape, self.densities[0])
        return Stratified(self._batch(drawn.values), drawn.strata)

    def targets(self, inputs: Tensor) -> Tensor:
        """Every feature, moved by its delay."""
        return self._delayed(inputs)

    @staticmethod
    def sample_rows(
        tasks: Sequence[Task], batch: int, streams: Sequence[Stream], horizon: int | None = None
    ) -> Batch:
        """Rows of equal key share one draw, each at its own density (M B T I)."""
        rows = cast("Sequence[KDelay]", tasks)
        if not all(row._is_plain for row in rows):
            return Task.sample_rows(tasks, batch, streams, horizon)
        shape = (batch, rows[0].steps, rows[0].features)
        drawn = sparse_uniform_rows(streams, shape, [row.densities[0] for row in rows])
        inputs, targets = torch.empty_like(drawn), torch.empty_like(drawn)
        for kind in dict.fromkeys(row._kind for row in rows):
            alike = [place for place, row in enumerate(rows) if row._kind == kind]
            first, whole = rows[alike[0]], len(alike) == len(rows)
            made = first._inputs(drawn if whole else drawn[alike])
            moved = first._delayed(made)
            if whole:
                inputs, targets = made, moved
            else:
                inputs[alike], targets[alike] = made, moved
        by_law = {(row.delay, row.scored): row for row in rows}
        masks = {law: inputs.new_tensor(row._scored()) for law, row in by_law.items()}
        mask = torch.stack([masks[row.delay, row.scored] for row in rows])
        return Batch(inputs, targets, mask, rows[0].steps)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Importance-weighted squared error (B T), relative to the zero predictor."""
        squares = torch.square(outputs - batch.targets)
        return (squares * outputs.new_tensor(self.squares())).sum(-1)

    def squares(self) -> tuple[float, ...]:
        """w_i / (sum_i w_i p_i nu_i) per output, each p_i nu_i times the share of steps it is due.

        With one law for all features importance^i scale / (p nu sum_i importance^i).
        """
        weights = self.law.importance
        if len({*self._kind[0]}) == len({*self._kind[1]}) == len({*self.densities}) == 1:
            energy = self.densities[0] * AMPLITUDES[self.amplitudes[0]].second_moment
            scale = self.steps / (self.steps - self.delay) if self.scored == "all" else 1.0
            total = float(sum(weights))
            return tuple(weight * (scale / (energy * total)) for weight in weights)
        due = [1.0] * self.features
        if self.scored == "all":
            due = [(self.steps - delay) / self.steps for delay in self.law.delay]
        energies = zip(weights, self.densities, self.law.second_moment, due, strict=True)
        total = sum(weight * density * size * share for weight, density, size, share in energies)
        return tuple(weight / total for weight in weights)

    def recipe(self) -> Recipe | None:
        """The draw and the delays, where amplitudes are what is drawn, at one density."""
        if {*self.amplitudes} != {"uniform"} or not self._is_plain:
            return None
        mask, density = self._scored(), self.densities[0]
        if len({*self.law.delay}) == 1:
            return Recipe.delayed(mask, density, self.delay, self.features)
        sources = tuple(
            (step - delay) * self.features + feature if step >= delay else -1
            for step in range(self.steps)
            for feature, delay in enumerate(self.law.delay)
        )
        return Recipe(mask, self.steps, density, sources, (1,) * len(sources))

    def facts(self, kind: type[Fact]) -> Fact:
        """The delay law, and how long every input is needed."""
        if kind is DelayLaw:
            return self.law
        if kind is RequiredMemory:
            return of_delays(self.law.delay, np.array(self._scored()) > 0)
        return super().facts(kind)

    @property
    def _is_plain(self) -> bool:
        """Whether the numbers are drawn independently, at one density."""
        return self.law.independent and len(set(self.densities)) == 1

    @property
    def _kind(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """What turns numbers that were drawn into inputs and targets."""
        return self.law.delay, self.amplitudes

    def _batch(self, drawn: Tensor) -> Batch:
        inputs = self._inputs(drawn)
        mask = inputs.new_tensor(self._scored())
        return Batch(inputs, self._delayed(inputs), mask, self.steps)

    def _inputs(self, drawn: Tensor) -> Tensor:
        """Inputs (... T I) of numbers that were drawn, each feature by its law."""
        if len({*self.amplitudes}) == 1:
            return AMPLITUDES[self.amplitudes[0]].inputs(drawn)
        columns = zip(self.amplitudes, drawn.unbind(-1), strict=True)
        return torch.stack([AMPLITUDES[name].inputs(column) for name, column in columns], -1)

    def _delayed(self, inputs: Tensor) -> Tensor:
        """Inputs (... T I), each feature moved by its delay, with zeros before."""
        if len({*self.law.delay}) == 1:
            return functional.pad(inputs, (0, 0, self.delay, -self.delay))
        columns = zip(self.law.delay, inputs.unbind(-1), strict=True)
        return torch.stack([functional.pad(column, (k, -k)) for k, column in columns], -1)

    def _scored(self) -> tuple[float, ...]:
        first = {"recall": self.delay, "all": 0, "last": self.steps - 1}[self.scored]
        return (0.0,) * first + (1.0,) * (self.steps - first)


def _of_each(name: str, given: Value | tuple[Value, ...], features: int) -> tuple[Value, ...]:
    """One value for each feature.

    Raises:
        EmtkitError: a list has more or fewer entries than there are features.
    """
    if not isinstance(given, tuple):
        return (given,) * features
    if len(given) != features:
        raise EmtkitError(
            f"k_delay: {name} is a list of {len(given)} for {features} features; give one entry "
            "for each feature, or one value for all"
        )
    return given


@hookimpl
def emtkit_tasks() -> list[type[Task]]:
    """The task of this module."""
    return [KDelay]
