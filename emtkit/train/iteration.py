"""One iteration of a stack as a program that looks at no number.

    measure   losses and gradients (the tier's)
    update    clip, step, and a note of each row's loss and whether it still lives
    advance   both

What it reads and writes has a fixed place, and no value decides what is done: a row whose loss or
gradient is not finite is marked and its weights stay; whoever runs the program learns of it when
the notes are read. So the same steps run at once on the processor and are recorded on CUDA
(`passes.cuda_graph`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from emtkit.plugin.task import Batch
from emtkit.train.optimise import Buffers, StackOptimiser
from emtkit.train.row_state import RowState
from emtkit.train.stack import Stacked
from emtkit.train.tiers.base import Gradients, Span, Tier, Trained

WINDOW = 100
"""Iterations whose notes are kept; they are read at least as often."""


@dataclass(frozen=True)
class TrainState:
    """Where M rows are: weights and optimiser's buffers (M P), which live (M 1), on one device.

    `losses` and `lived` (WINDOW M) are notes of the last iterations, `noted` (1) how many.
    """

    flat: Tensor
    buffers: Buffers
    alive: Tensor
    losses: Tensor
    lived: Tensor
    noted: Tensor

    @classmethod
    def of(cls, rows: Sequence[RowState], device: torch.device) -> "TrainState":
        """Rows that all live, with nothing noted yet."""
        count = len(rows)
        return cls(
            torch.stack([row.parameters for row in rows]).to(device),
            {
                name: torch.stack([row.buffers[name] for row in rows]).to(device)
                for name in rows[0].buffers
            },
            torch.ones((count, 1), dtype=torch.bool, device=device),
            torch.zeros((WINDOW, count), dtype=torch.float64, device=device),
            torch.ones((WINDOW, count), dtype=torch.bool, device=device),
            torch.zeros(1, dtype=torch.int64, device=device),
        )

    def note(self, losses: Tensor) -> None:
        """Keep an iteration's losses (M), and which rows live after it."""
        self.losses.index_copy_(0, self.noted, losses.double().unsqueeze(0))
        self.lived.index_copy_(0, self.noted, self.alive.T)
        self.noted.add_(1)

    def note_many(self, begun: int, made: Trained) -> None:
        """Keep what some iterations gave at once, after `begun` that are noted already."""
        place = slice(begun, begun + len(made.losses))
        self.losses[place] = torch.from_numpy(made.losses)
        self.lived[place] = True
        self.lived[place.stop - 1] = torch.from_numpy(made.healthy)

    def read(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The notes of the last `count` iterations (M count); they begin anew."""
        self.noted.zero_()
        return self.losses[:count].T.cpu().numpy(), self.lived[:count].T.cpu().numpy()

    def restore(self, kept: "TrainState") -> None:
        """Write what was `kept` into this memory."""
        for place, value in zip(self._tensors(), kept._tensors(), strict=True):
            place.copy_(value)

    def _tensors(self) -> list[Tensor]:
        small = [self.alive, self.losses, self.lived, self.noted]
        return [self.flat, *self.buffers.values(), *small]


@dataclass(eq=False)
class Iteration:
    """An iteration of the rows of `train_state` on batches of one shape, scored within `span`.

    `found` is what the last `measure` gave.
    """

    tier: Tier
    stacked: Stacked
    optimiser: StackOptimiser
    train_state: TrainState
    span: Span
    found: Gradients = field(init=False)
    batch: Batch = field(init=False)
    masks: Tensor = field(init=False)
    schedule: Tensor = field(init=False)

    def load(self, batch: Batch, masks: Tensor, schedule: Tensor) -> None:
        """Hand over what the next iteration works on, from the processor's memory."""
        device = self.stacked.device
        self.batch, self.masks = batch.to(device), masks.to(device)
        self.schedule = schedule.to(device)

    def measure(self) -> None:
        """Losses and gradients of all rows, into `found`."""
        self._run(self._measure)

    def update(self) -> None:
        """One step of all rows by what was `found`, and a note of it."""
        self._run(self._update)

    def advance(self) -> None:
        """One whole iteration."""
        self._run(self._measure, self._update)

    def _run(self, *parts: Callable[[], None]) -> None:
        for part in parts:
            part()

    def _measure(self) -> None:
        self.found = self.tier.gradients(
            self.stacked, self.train_state.flat, self.batch, self.masks, self.span
        )

    def _update(self) -> None:
        now, losses, gradients = self.train_state, self.found.losses, self.found.gradients
        lived = now.alive.clone()
        healthy = losses.isfinite() & gradients.isfinite().all(1)
        now.alive.logical_and_(healthy.unsqueeze(1))
        gradients = gradients.masked_fill(~now.alive, 0.0)
        self.optimiser.step(now.flat, gradients, now.buffers, self.schedule, lived)
        now.note(losses)
