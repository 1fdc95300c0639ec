"""Tasks that each break one rule; `BREAKS` says which."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from emtkit import (
    Batch,
    Channels,
    Recipe,
    ScalarInfo,
    Strata,
    Stratified,
    Stream,
    Task,
    sparse_uniform_strata,
)

Gain = Annotated[float, Field(gt=0, description="How much louder the targets are.")]


class GoodTask(Task):
    """Say every input again, `gain` times as loud: y_t = gain u_t (B T 2).

    References: none (a test).
    """

    name = "good_task"
    scalars: ClassVar = {"close": ScalarInfo("share of outputs within 0.1 of the target")}

    def __init__(self, *, gain: Gain = 1.0) -> None:
        self.gain = gain

    @property
    def channels(self) -> Channels:
        return Channels(2, 2)

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        inputs = stream.uniform((batch, 4, 2))
        return Batch(inputs, inputs * self.gain, inputs.new_ones(4), 4)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return (outputs - batch.targets).square().mean(-1)

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        close = ((outputs - batch.targets).abs() < 0.1).to(outputs.dtype).mean((0, 2))
        return {"close": (close * batch.mask).sum() / batch.mask.sum()}


class GoodRecall(GoodTask):
    """Hear two vectors, then say the first for `horizon` steps: y_t = u_1 (B T 2).

    References: none (a test).
    """

    name = "good_recall"
    horizons = True

    def __init__(
        self, *, horizon: Annotated[int, Field(ge=1, description="Number of scored steps.")] = 3
    ) -> None:
        self.horizon, self.evaluation_horizon = horizon, 2 * horizon

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        scored = horizon or self.horizon
        heard = stream.signs((batch, 2, 2))
        silence = heard.new_zeros(batch, scored, 2)
        answer = heard[:, :1].expand(batch, scored, 2)
        mask = torch.cat([heard.new_zeros(2), heard.new_ones(scored)])
        inputs = torch.cat([heard, silence], 1)
        return Batch(inputs, torch.cat([torch.zeros_like(heard), answer], 1), mask, 2)


class DefaultBreaksItsRange(GoodTask):
    """y_t = u_t. References: none."""

    name = "default_breaks_its_range"

    def __init__(self, *, gain: Gain = 0.0) -> None:
        self.gain = gain


class NoDescription(GoodTask):
    """y_t = u_t. References: none."""

    name = "no_description"

    def __init__(self, *, gain: Annotated[float, Field(gt=0)] = 1.0) -> None:
        self.gain = gain


class NoEquation(GoodTask):
    """Say it again.

    References: none (a test).
    """

    name = "no_equation"


class NoReference(GoodTask):
    """Say it again, y_t = u_t."""

    name = "no_reference"


class RefusesItself(GoodTask):
    """y_t = u_t. References: none."""

    name = "refuses_itself"

    def __init__(self, *, gain: Gain = 1.0) -> None:
        raise ValueError("no gain is good enough")


class OtherChannels(GoodTask):
    """y_t = u_t. References: none."""

    name = "other_channels"

    @property
    def channels(self) -> Channels:
        return Channels(3, 2)


class DetachedLoss(GoodTask):
    """y_t = u_t. References: none."""

    name = "detached_loss"

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return super().loss(outputs.detach(), batch)


class MeanLoss(GoodTask):
    """y_t = u_t. References: none."""

    name = "mean_loss"

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return super().loss(outputs, batch).mean(0)


class SomeGainsRaise(GoodTask):
    """y_t = u_t. References: none."""

    name = "some_gains_raise"

    def __init__(
        self, *, gain: Annotated[int, Field(ge=1, description="How much louder.")] = 1
    ) -> None:
        self.gain = {1: 0.5, 2: 0.7}[gain]


class LoudAfterDriven(GoodTask):
    """y_t = u_t. References: none."""

    name = "loud_after_driven"

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        inputs = stream.uniform((batch, 4, 2))
        return Batch(inputs, inputs, inputs.new_ones(4), 3)


class SinglePrecision(GoodTask):
    """y_t = u_t. References: none."""

    name = "single_precision"

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        inputs = stream.uniform((batch, 4, 2))
        return Batch(inputs, inputs.float(), inputs.new_ones(4), 4)


class EverySecondDraw(GoodTask):
    """y_t = u_t. References: none."""

    name = "every_second_draw"

    def __init__(self) -> None:
        self.gain, self.drawn = 1.0, 0

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        self.drawn += 1
        inputs = stream.uniform((batch, 4, 2)) * (1 + self.drawn % 2)
        return Batch(inputs, inputs, inputs.new_ones(4), 4)


class OneDraw(GoodTask):
    """y_t = u_t. References: none."""

    name = "one_draw"

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        return super().sample(batch, Stream(0, "always", dtype=stream.dtype))


class GlobalDraw(GoodTask):
    """y_t = u_t. References: none."""

    name = "global_draw"

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        inputs = stream.uniform((batch, 4, 2))
        inputs = inputs + torch.rand(batch, 4, 2, dtype=inputs.dtype)
        return Batch(inputs, inputs, inputs.new_ones(4), 4)


class LossOverTheBatch(GoodTask):
    """y_t = u_t. References: none."""

    name = "loss_over_the_batch"

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return super().loss(outputs, batch) / batch.targets.square().mean()


class MetricPerSequence(GoodTask):
    """y_t = u_t. References: none."""

    name = "metric_per_sequence"
    scalars: ClassVar = {"size": ScalarInfo("mean output")}

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"size": outputs.mean((1, 2))}


class MetricOfAllSteps(GoodRecall):
    """y_t = u_1. References: none."""

    name = "metric_of_all_steps"
    scalars: ClassVar = {"size": ScalarInfo("mean output")}

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"size": outputs.mean()}


class SequenceWithoutAScore(GoodTask):
    """y_t = u_t. References: none."""

    name = "sequence_without_a_score"

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        drawn = super().sample(batch, stream, horizon)
        mask = torch.ones_like(drawn.inputs[..., 0])
        mask[0] = 0.0
        return replace(drawn, mask=mask)

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {}


class MetricWithoutAMeaning(GoodTask):
    """y_t = u_t. References: none."""

    name = "metric_without_a_meaning"

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        return super().metrics(outputs, batch)


class LossThatBranches(GoodTask):
    """y_t = u_t. References: none."""

    name = "loss_that_branches"

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        loss = super().loss(outputs, batch)
        return loss if bool(loss.sum() < 100) else loss / 2


class BackwardsHorizon(GoodRecall):
    """y_t = u_1. References: none."""

    name = "backwards_horizon"

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        drawn = super().sample(batch, stream, horizon)
        gain = torch.arange(drawn.steps, dtype=drawn.inputs.dtype).flip(0)
        return Batch(drawn.inputs, drawn.targets * gain[:, None], drawn.mask, drawn.input_steps)


class OneStreamForAllRows(GoodTask):
    """y_t = u_t. References: none."""

    name = "one_stream_for_all_rows"

    @staticmethod
    def sample_rows(tasks, batch, streams, horizon=None):
        return Task.sample_rows(tasks, batch, [streams[0].fork("")] * len(tasks), horizon)


class OtherRecipe(GoodTask):
    """y_t = u_t. References: none."""

    name = "other_recipe"

    def recipe(self):
        return Recipe.delayed((1.0,) * 4, 0.5, 0, 1)


class OtherTargets(GoodTask):
    """y_t = u_t. References: none."""

    name = "other_targets"

    def targets(self, inputs):
        return inputs - inputs.mean(0)


class SeesTheFuture(GoodTask):
    """y_t = u_t. References: none."""

    name = "sees_the_future"

    def variables(self, inputs):
        return {"total": inputs.sum((1, 2))[:, None].expand(inputs.shape[:2])}


class Sparse(GoodTask):
    """Say sparse inputs again: y_t = u_t, and how many of the answers are close (B T 2).

    References: none (a test).
    """

    name = "sparse"

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        return self.say(stream.sparse_uniform((batch, 4, 2), 0.1))

    def sample_strata(self, batch, stream, horizon=None):
        drawn = sparse_uniform_strata(stream, (batch, 4, 2), 0.1)
        return Stratified(self.say(drawn.values), drawn.strata)

    def say(self, inputs: Tensor) -> Batch:
        return Batch(inputs, inputs * self.gain, inputs.new_ones(4), 4)


class OtherChances(Sparse):
    """y_t = u_t. References: none."""

    name = "other_chances"

    def sample_strata(self, batch, stream, horizon=None):
        found = super().sample_strata(batch, stream)
        if len(counts := found.strata.counts) == 1:
            return found
        return replace(found, strata=Strata((1 / len(counts),) * len(counts), counts))


class WorstSequence(Sparse):
    """y_t = u_t. References: none."""

    name = "worst_sequence"
    sample_strata = Sparse.sample_strata
    scalars: ClassVar = {"worst": ScalarInfo("largest distance from a target")}

    def metrics(self, outputs, batch):
        return {"worst": (outputs - batch.targets).abs().amax()}


class OtherFact(GoodTask):
    """y_t = u_t. References: none."""

    name = "other_fact"
    offers = (Channels,)

    def facts(self, kind):
        return "a fact"


class DrawsHere(GoodTask):
    """y_t = u_t. References: none."""

    name = "draws_here"
    draws_anywhere = True

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        inputs = stream.uniform((batch, 4, 2))
        return Batch(inputs, inputs * self.gain, torch.ones(4).to(stream.dtype), 4)


BREAKS: dict[type[Task], str] = {
    DefaultBreaksItsRange: "json parameters",
    NoDescription: "parameters are described",
    NoEquation: "docstring states what holds",
    NoReference: "docstring cites its source",
    RefusesItself: "builds with defaults",
    OtherChannels: "batch shapes",
    DetachedLoss: "loss per sequence and step",
    MeanLoss: "loss per sequence and step",
    SomeGainsRaise: "builds with random parameters",
    LoudAfterDriven: "silent after driven",
    SinglePrecision: "dtype follows the stream",
    EverySecondDraw: "equal streams equal batches",
    DrawsHere: "draws where the stream is",
    OneDraw: "different seeds differ",
    GlobalDraw: "no global randomness",
    LossOverTheBatch: "loss of each sequence alone",
    MetricPerSequence: "metrics are numbers",
    MetricOfAllSteps: "metrics read scored steps",
    SequenceWithoutAScore: "batch shapes",
    MetricWithoutAMeaning: "metrics are declared",
    LossThatBranches: "loss and metrics stack",
    BackwardsHorizon: "horizons are prefixes",
    OneStreamForAllRows: "rows equal single draws",
    OtherRecipe: "recipe gives the batch",
    OtherTargets: "targets follow from the inputs",
    SeesTheFuture: "variables follow from the past",
    OtherChances: "strata keep the expectation",
    WorstSequence: "strata keep the expectation",
    OtherFact: "facts are answered",
}
