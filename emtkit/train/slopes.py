"""Losses and gradients of the rows of a stack in one iteration, whatever their horizons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Batch
from emtkit.study.cells import Cell
from emtkit.study.settings import LossGated, Staged, Training
from emtkit.train.stacked import Stacked, average, first_scored
from emtkit.train.tier import Step, Tier

Horizons = Sequence[int | None]


@dataclass(frozen=True)
class Slopes:
    """Of some rows: losses, gradients, and what their curriculum watches."""

    losses: Tensor
    gradients: Tensor
    watched: list[float]


@dataclass(frozen=True)
class Slope:
    """Rows that train in one stack and tier."""

    tier: Tier
    stacked: Stacked
    cells: Sequence[Cell]

    def streams(self, iterations: Sequence[int], dtype: torch.dtype) -> list[Stream]:
        """What each row draws from in its iteration."""
        pairs = zip(self.cells, iterations, strict=True)
        return [Stream(cell.seed, "train", made, dtype=dtype) for cell, made in pairs]

    def at(self, flat: Tensor, iterations: Sequence[int], horizons: Horizons) -> Slopes:
        """All rows, in one program where that leaves their bits alone."""
        if len(set(horizons)) == 1:
            return self._together(flat, iterations, horizons)
        if self.tier.rows_share_horizon:
            found = self._together(flat, iterations, horizons)
            longest = max((h for h in horizons if h is not None), default=None)
            # A row that runs on past its horizon may overflow there, which says nothing of it.
            again = [
                row
                for row, finite in enumerate(found.gradients.isfinite().all(1).tolist())
                if not finite and horizons[row] != longest
            ]
        else:
            count = len(flat)
            found = Slopes(flat.new_zeros(count), torch.zeros_like(flat), [0.0] * count)
            again = list(range(count))
        for horizon in sorted({horizons[row] or 0 for row in again}):
            rows = [row for row in again if (horizons[row] or 0) == horizon]
            company = rows if len(rows) > 1 else rows * 2
            part = self._take(company)._together(
                flat[torch.tensor(company)],
                [iterations[row] for row in company],
                [horizons[row] for row in company],
            )
            for at, row in enumerate(rows):
                found.losses[row] = part.losses[at]
                found.gradients[row] = part.gradients[at]
                found.watched[row] = part.watched[at]
        return found

    def _take(self, rows: Sequence[int]) -> Slope:
        return Slope(self.tier, self.stacked.take(rows), [self.cells[row] for row in rows])

    def _together(self, flat: Tensor, iterations: Sequence[int], horizons: Horizons) -> Slopes:
        """All rows on one batch of the longest horizon, each scored on its own."""
        streams = self.streams(iterations, flat.dtype)
        longest = max((h for h in horizons if h is not None), default=None)
        batch = self.stacked.draw(self.cells[0].training.batch, streams, longest)
        masks = batch.mask
        if len(set(horizons)) > 1:
            pairs = zip(batch.mask, horizons, strict=True)
            masks = torch.stack([first_scored(mask, horizon) for mask, horizon in pairs])
        step = self.tier.gradients(self.stacked, flat, batch, masks)
        watched = _watched(self.stacked, self.cells[0].training, step, batch, masks)
        return Slopes(step.losses, step.gradients, watched)


def _watched(
    stacked: Stacked, training: Training, step: Step, batch: Batch, masks: Tensor
) -> list[float]:
    """What each row's curriculum looks at, on this iteration's training batch."""
    rule = training.curriculum
    if isinstance(rule, LossGated):
        first = torch.stack([first_scored(mask, rule.start) for mask in masks])
        return [float(value) for value in average(step.steps, first).tolist()]
    if isinstance(rule, Staged) and step.outputs is not None:
        return [row[rule.metric] for row in stacked.metrics(step.outputs, batch, masks)]
    return [0.0] * len(masks)
