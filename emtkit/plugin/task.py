"""What a task is: it makes batches, says how wrong an answer is, and offers facts of theory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

import torch
from torch import Tensor

from emtkit.errors import PluginError
from emtkit.plugin.inherited import FACTS, Names, forget_inherited
from emtkit.plugin.scalars import Scalars
from emtkit.plugin.strata import Strata, Stratified

if TYPE_CHECKING:
    from emtkit.plugin.stream import Stream

Fact = TypeVar("Fact")
"""The record class in `facts(kind: type[Fact]) -> Fact`, for every plugin that offers facts."""


@dataclass(frozen=True)
class Channels:
    """Numbers of input channels I and output channels O."""

    inputs: int
    outputs: int


@dataclass(frozen=True)
class Batch:
    """Sequences to answer; a stack of M tasks adds a leading M to every tensor.

    `inputs` (B T I) are zero from step `input_steps` on; `targets` (B T O); `mask` (T) is 1 on the
    steps that are scored and 0 elsewhere, or (B T) where each sequence has its own, as those of
    unequal length do: all are padded to T steps, and the loss is the mean over all scored steps.
    Shape and `input_steps` are fixed per task and horizon, and so is a mask (T).
    `noise` (T B H; M T B H) is not a task's: the core adds it for networks with state noise.

    Raises:
        PluginError: the shapes do not agree; the axis that is off is named.
    """

    inputs: Tensor
    targets: Tensor
    mask: Tensor
    input_steps: int
    noise: Tensor | None = None

    def __post_init__(self) -> None:
        steps = self.inputs.shape[-2]
        if self.inputs.shape[:-1] != self.targets.shape[:-1]:
            raise PluginError(
                f"a batch has inputs {tuple(self.inputs.shape)} and targets "
                f"{tuple(self.targets.shape)}; they must agree in all axes but the channels"
            )
        common = (*self.inputs.shape[:-3], steps)
        if self.mask.shape not in (common, self.inputs.shape[:-1]):
            raise PluginError(
                f"a batch with inputs {tuple(self.inputs.shape)} has a mask of shape "
                f"{tuple(self.mask.shape)}; it must be {common}, or with one for each sequence "
                f"{tuple(self.inputs.shape[:-1])}"
            )
        if not 0 < self.input_steps <= steps:
            raise PluginError(f"a batch of {steps} steps is driven for {self.input_steps} of them")

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return int(self.inputs.shape[-2])

    @property
    def per_sequence(self) -> bool:
        """Whether each sequence has its own mask."""
        return self.mask.dim() == self.inputs.dim() - 1

    @property
    def scored_steps(self) -> Tensor:
        """The mask (T; M T) outside which nothing is scored: all ones where each has its own."""
        return torch.ones_like(self.mask[..., 0, :]) if self.per_sequence else self.mask

    @classmethod
    def stacked(cls, rows: Sequence[Batch]) -> Batch:
        """Batches of equal shapes as one, with a leading M."""
        inputs, targets, mask = (
            torch.stack([getattr(row, name) for row in rows])
            for name in ("inputs", "targets", "mask")
        )
        return cls(inputs, targets, mask, rows[0].input_steps)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        inputs, targets, mask = (x.to(device) for x in (self.inputs, self.targets, self.mask))
        noise = None if self.noise is None else self.noise.to(device)
        return Batch(inputs, targets, mask, self.input_steps, noise)


@dataclass(frozen=True)
class Recipe:
    """A batch in few numbers, for a task whose targets are inputs of the same sequence.

    Inputs of the first `input_steps` steps are one draw, the first of the stream:
    `stream.signs((B, s, I))`, or with a `density` `stream.sparse_uniform((B, s, I), density)`;
    they are zero after. The targets (T O, one step after the other) are +1 or -1 (`signs`) times
    the input number `sources` (tau I + i), and 0 where that is -1. `mask` (T) is 1 on the scored
    steps. What trains small networks draws by it, and stores no batch.
    """

    mask: tuple[float, ...]
    input_steps: int
    density: float | None
    sources: tuple[int, ...]
    signs: tuple[int, ...]

    def __post_init__(self) -> None:
        is_drawn = self.density is None or 0 < self.density <= 1
        if not 0 < self.input_steps <= len(self.mask) or not is_drawn:
            raise PluginError(
                f"a recipe was made with {self.input_steps} of {len(self.mask)} steps driven and "
                f"density {self.density}; from 1 to all steps are driven, a density is above 0 and "
                "at most 1"
            )
        if len(self.sources) != len(self.signs) or not {-1, 1}.issuperset(self.signs):
            raise PluginError(
                f"a recipe was made with {len(self.sources)} sources and {len(self.signs)} signs; "
                "every target has one source and one sign, +1 or -1"
            )

    @classmethod
    def delayed(cls, mask: tuple[float, ...], density: float, delay: int, channels: int) -> Recipe:
        """Sparse inputs in every step, to be repeated `delay` steps later."""
        count, steps = channels * delay, len(mask)
        if not 0 <= delay < steps:
            raise PluginError(
                f"a recipe was made with delay {delay} for {steps} steps; it is from 0 to the last"
            )
        sources = (-1,) * count + tuple(range(channels * steps - count))
        return cls(mask, steps, density, sources, (1,) * len(sources))

    def check(self, channels: Channels) -> None:
        """Refuse sources that are no inputs: compiled code would read them from other memory.

        Raises:
            PluginError: the number of targets or a source does not fit the channels.
        """
        targets, inputs = len(self.mask) * channels.outputs, self.input_steps * channels.inputs
        if len(self.sources) != targets or not all(-1 <= n < inputs for n in self.sources):
            raise PluginError(
                f"a recipe of {len(self.mask)} steps for {channels.inputs} inputs and "
                f"{channels.outputs} outputs came with {len(self.sources)} sources from "
                f"{min(self.sources, default=-1)} to {max(self.sources, default=-1)}; it takes "
                f"{targets}, each from 0 to {inputs - 1}, or -1 for a target of 0"
            )

    def batch(self, sequences: int, channels: Channels, stream: Stream) -> Batch:
        """What it says: the very batch of the task's `sample`."""
        self.check(channels)
        shape = (sequences, self.input_steps, channels.inputs)
        if self.density is None:
            drawn = stream.signs(shape)
        else:
            drawn = stream.sparse_uniform(shape, self.density)
        steps, sources = len(self.mask), torch.tensor(self.sources)
        inputs = drawn.new_zeros(sequences, steps, channels.inputs)
        inputs[:, : self.input_steps] = drawn
        picked = drawn.flatten(1)[:, sources.clamp(min=0)] * torch.tensor(self.signs)
        targets = torch.where(sources < 0, 0.0, picked).view(sequences, steps, channels.outputs)
        return Batch(inputs, targets.to(inputs), inputs.new_tensor(self.mask), self.input_steps)


class Task(ABC):
    """One kind of sequences to remember; an instance is one setting of its parameters.

    Keyword-only constructor parameters are what a study file may set. A subclass sets `name`,
    and raises `version` whenever equal parameters would give other numbers.

    Tasks with horizons (`horizons = True`) also set, on the instance, `horizon` (scored steps in
    training) and `evaluation_horizon` (scored steps in evaluation). A shorter horizon gives the
    first steps of a longer one.

    A task that makes its batches on whatever device its stream puts the numbers on says so
    (`draws_anywhere`); others draw on the processor, and their batches are sent to the device.

    `scalars` says what each of its `metrics` means; without it a misspelt one is found late.

    A subclass that writes `sample`, `loss` or `metrics` anew inherits nothing of what its parent
    says about them: facts, targets, recipe, rows at once, strata, squares, scalars. It may say its
    own.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    offers: ClassVar[tuple[type, ...]] = ()
    horizons: ClassVar[bool] = False
    draws_anywhere: ClassVar[bool] = False
    scalars: ClassVar[Scalars] = {}
    horizon: int | None = None
    evaluation_horizon: int | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        drawn = (FACTS, ("targets",), ("recipe",), ("sample_rows",), ("draws_anywhere",))
        said: dict[Names, Names] = dict.fromkeys(drawn, ("sample",))
        said |= {("squares",): ("loss",), ("scalars",): ("metrics",)}
        said |= {("sample_strata",): ("sample", "metrics")}
        forget_inherited(cls, Task, said)

    @property
    @abstractmethod
    def channels(self) -> Channels:
        """Numbers of input and output channels."""

    @abstractmethod
    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        """Draw `batch` sequences from `stream`, with `horizon` scored steps where there are any."""

    @staticmethod
    def sample_rows(
        tasks: Sequence[Task], batch: int, streams: Sequence[Stream], horizon: int | None = None
    ) -> Batch:
        """The batches of M tasks of equal shapes as one: inputs M B T I, targets M B T O, mask M T
        (M B T where each sequence has its own).

        Equal, bit for bit, to `sample` row by row. Override it where one draw serves many rows.
        """
        return Batch.stacked(
            [
                task.sample(batch, stream, horizon)
                for task, stream in zip(tasks, streams, strict=True)
            ]
        )

    def sample_strata(self, batch: int, stream: Stream, horizon: int | None = None) -> Stratified:
        """The sequences of an evaluation, by kinds of exact chance; by default as they come.

        Override it where most sequences say little, as sparse ones do (`sparse_uniform_strata`).
        Every metric must then be the mean of what its sequences give alone.
        """
        return Stratified(self.sample(batch, stream, horizon), Strata((1.0,), (batch,)))

    @abstractmethod
    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Error per sequence and step (B T) of `outputs` (B T O); the core masks and averages."""

    def targets(self, inputs: Tensor) -> Tensor | None:
        """The targets (B T O) of any inputs (B T I), where the task asks for a function of them.

        Equal to those of `sample` on the scored steps, each sequence's of its own inputs alone. By
        it analyses ask what another input would have changed: what must be remembered, and whether
        a network that is given one item in the place of another answers as it should.
        """
        return None

    def variables(self, inputs: Tensor) -> Mapping[str, Tensor]:
        """Values (B T), by name, that a state may be asked for beside single inputs: a running sum.

        After step t they depend on the inputs (B T I) up to t, each sequence's on its own alone.
        """
        return {}

    def squares(self) -> tuple[float, ...] | None:
        """Weights w (O) when `loss` is sum_o w_o (y_o - target_o)²; it then trains faster.

        None where sequences have masks of their own.
        """
        return None

    def recipe(self) -> Recipe | None:
        """How `sample` draws (at its own horizon) by a recipe; small networks then train faster."""
        return None

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Further numbers (0-d tensors) on the masked steps; they become columns `test.<name>`.

        They are asked of every sequence alone, too: the spread gives `test.<name>_error`.
        """
        return {}

    def facts(self, kind: type[Fact]) -> Fact:
        """The fact of type `kind`, one of `offers`."""
        raise PluginError(
            f"task '{self.name}' was asked for the fact {kind.__name__}; it offers "
            f"{[offer.__name__ for offer in self.offers]} and must answer each in `facts`"
        )
