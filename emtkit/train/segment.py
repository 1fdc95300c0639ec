"""Training a stack for a while: state in, state out, the same numbers however it is cut.

Every iteration, for each row by itself: draw a batch from (seed, "train", iteration); loss and
gradient (the tier's); clip; update; curriculum; snapshot; now and then a check.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emtkit.plugin.registry import Registry
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Batch, Task
from emtkit.study.cells import Cell, digest
from emtkit.study.settings import Check, LossGated, Staged, Training
from emtkit.train import curriculum, optimise
from emtkit.train.build import build_model, build_task
from emtkit.train.evaluate import check
from emtkit.train.memory import keep_freed_memory
from emtkit.train.rows import End, RowState
from emtkit.train.stacked import Stacked, average, first_scored, flatten, stack
from emtkit.train.tier import Step, Tier

LAST_SHARE = 0.1
"""`train.loss` is the mean over this last share of the iterations made."""


class Trainer:
    """One stack in training. `rows` are the states, in the order of `cells`."""

    def __init__(self, registry: Registry, cells: Sequence[Cell], tier: Tier) -> None:
        self.cells = tuple(cells)
        self.tier = tier
        self.tasks: list[Task] = [build_task(registry, cell.task) for cell in cells]
        self.models = [build_model(registry, c, t) for c, t in zip(cells, self.tasks, strict=True)]
        keys = [digest(cell.task.identity()) for cell in cells]
        self.stacked = stack(self.models, self.tasks, keys)
        self.rows = [
            _begin(cell, task, flatten(model))
            for cell, task, model in zip(cells, self.tasks, self.models, strict=True)
        ]

    def load(self, row: int, state: RowState) -> None:
        """Go on from a state that an earlier segment gave."""
        self.rows[row] = state

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Train until every row has ended, or `until()` says that the segment is over."""
        keep_freed_memory()
        while live := [i for i, row in enumerate(self.rows) if row.end is None]:
            # A lone row gets itself for company: a stack of one takes another path through the
            # matrix library and would get other bits.
            company = live if len(live) > 1 else live * 2
            if self._run_live(live, company, until):
                return

    def _run_live(self, live: list[int], company: list[int], until: Callable[[], bool]) -> bool:
        """Train the rows `live` until one of them ends; True when the segment is over."""
        part = _Part(self, live, company)
        while True:
            ended = part.iterate()
            # Asked after an iteration: a segment too short for one must still go forward.
            over = until()
            if ended or over:
                part.store()
                return over


class _Part:
    """The rows that still train, gathered into flat buffers."""

    def __init__(self, trainer: Trainer, live: list[int], company: list[int]) -> None:
        self.tier = trainer.tier
        self.live = live
        self.rows = [trainer.rows[row] for row in company]
        self.cells = [trainer.cells[row] for row in company]
        self.trainings = [cell.training for cell in self.cells]
        self.stacked = trainer.stacked.take(company)
        self.flat = torch.stack([row.parameters for row in self.rows])
        self.moments = optimise.Moments(
            torch.stack([row.first for row in self.rows]),
            torch.stack([row.second for row in self.rows]),
        )
        self.optimiser = optimise.Optimiser(self.trainings, self.flat)
        self.iterations = [row.iteration for row in self.rows]
        self.losses: list[Tensor] = []
        self.quiet = self._quiet()

    def iterate(self) -> bool:
        """One iteration of every row; True when a row has ended.

        Between iterations at which something is due, rows only note their losses: what is done
        row by row in Python would cost as much as the training of a small network.
        """
        found = self._measure()
        healthy = found.losses.isfinite() & found.gradients.isfinite().all(1)
        fine, gradients = bool(healthy.all()), found.gradients
        if not fine:
            gradients = torch.where(healthy.unsqueeze(1), gradients, 0.0)
        self.optimiser.step(self.flat, gradients, self.moments, self.iterations)
        self.iterations = [iteration + 1 for iteration in self.iterations]
        self.losses.append(found.losses)
        if self.trainings[0].curriculum != "none":
            self._advance(found.watched)
        if fine and len(self.losses) < self.quiet:
            return False
        self._settle(healthy.tolist())
        return any(row.end is not None for row in self.rows)

    def _advance(self, watched: list[float]) -> None:
        for at, row in enumerate(self.rows[: len(self.live)]):
            if row.progress is not None:
                training, task = self.trainings[at], self.stacked.tasks[at]
                row.progress = curriculum.advance(row.progress, training, task, watched[at])

    def _settle(self, healthy: list[bool]) -> None:
        """Bring the rows up to date, and do what is due at this iteration."""
        self._note()
        for at, row in enumerate(self.rows[: len(self.live)]):
            if not healthy[at]:
                row.end = "diverged"
            elif row.iteration == self.trainings[at].steps:
                row.end = "done"
            if row.iteration in self.trainings[at].snapshots:
                row.snapshots[row.iteration] = self.flat[at].clone()
        self._look()
        self.quiet = self._quiet()

    def _note(self) -> None:
        """Write the losses of the last iterations into the rows."""
        if self.losses:
            losses = torch.stack(self.losses, 1).double().numpy()
            for row, made in zip(self.rows[: len(self.live)], losses, strict=False):
                row.losses[row.iteration : row.iteration + len(made)] = made
                row.iteration += len(made)
        self.losses = []

    def _quiet(self) -> int:
        """How many iterations it is until something is due for some row."""
        due = []
        for row, training in zip(self.rows, self.trainings, strict=True):
            moments = [training.steps, *training.snapshots]
            if training.stop is not None or training.solved is not None:
                moments.append((row.iteration // training.check + 1) * training.check)
            due.append(min((m - row.iteration for m in moments if m > row.iteration), default=1))
        return min(due)

    def store(self) -> None:
        """Write losses, weights and moments back into the rows."""
        self._note()
        for at, row in enumerate(self.rows[: len(self.live)]):
            row.parameters = self.flat[at].clone()
            row.first = self.moments.first[at].clone()
            row.second = self.moments.second[at].clone()

    def _measure(self) -> _Measured:
        """Losses and gradients of all rows, in one program where that leaves their bits alone."""
        horizons = [None if r.progress is None else int(r.progress.horizon) for r in self.rows]
        everyone = list(range(len(self.rows)))
        if len(set(horizons)) == 1:
            return self._measure_rows(everyone, horizons)
        if self.tier.rows_share_horizon:
            found = self._measure_rows(everyone, horizons)
            longest = max((h for h in horizons if h is not None), default=None)
            # A row that runs on past its horizon may overflow there, which says nothing of it.
            again = [
                row
                for row, finite in enumerate(found.gradients.isfinite().all(1).tolist())
                if not finite and horizons[row] != longest
            ]
        else:
            found = _Measured(
                self.flat.new_zeros(len(self.rows)),
                torch.zeros_like(self.flat),
                [0.0] * len(self.rows),
            )
            again = everyone
        for horizon in sorted({horizons[row] or 0 for row in again}):
            rows = [row for row in again if (horizons[row] or 0) == horizon]
            company = rows if len(rows) > 1 else rows * 2
            part = self._measure_rows(company, [horizons[row] for row in company])
            for at, row in enumerate(rows):
                found.losses[row] = part.losses[at]
                found.gradients[row] = part.gradients[at]
                found.watched[row] = part.watched[at]
        return found

    def _measure_rows(self, rows: list[int], horizons: list[int | None]) -> _Measured:
        everyone = len(rows) == len(self.rows) and rows == list(range(len(rows)))
        stacked = self.stacked if everyone else self.stacked.take(rows)
        flat = self.flat if everyone else self.flat[torch.tensor(rows)]
        streams = [
            Stream(self.cells[row].seed, "train", self.iterations[row], dtype=flat.dtype)
            for row in rows
        ]
        longest = max((h for h in horizons if h is not None), default=None)
        batch = stacked.draw(self.trainings[0].batch, streams, longest)
        masks = batch.mask
        if len(set(horizons)) > 1:
            pairs = zip(batch.mask, horizons, strict=True)
            masks = torch.stack([first_scored(mask, horizon) for mask, horizon in pairs])
        step = self.tier.gradients(stacked, flat, batch, masks)
        trainings = [self.trainings[row] for row in rows]
        return _Measured(
            step.losses, step.gradients, _watched(stacked, trainings, step, batch, masks)
        )

    def _look(self) -> None:
        """The checks of `stop` and `solved`, on the stream "check" of each row."""
        for rule in ("stop", "solved"):
            asked: dict[str, list[int]] = {}
            for at, row in enumerate(self.rows[: len(self.live)]):
                condition = getattr(self.trainings[at], rule)
                due = row.iteration % self.trainings[at].check == 0 and row.end != "diverged"
                if condition is None or not due or (rule == "solved" and row.solved_at is not None):
                    continue
                asked.setdefault(condition.model_dump_json(), []).append(at)
            for rows in asked.values():
                self._look_at(rule, getattr(self.trainings[rows[0]], rule), rows)

    def _look_at(self, rule: str, condition: Check, rows: list[int]) -> None:
        company = rows if len(rows) > 1 else rows * 2
        part = self.stacked.take(company)
        flat = self.flat[torch.tensor(company)]
        streams = [
            Stream(self.cells[row].seed, "check", self.rows[row].iteration, dtype=flat.dtype)
            for row in company
        ]
        horizon = condition.horizon or self._default_horizon(rows[0])
        found = check(part, flat, self.tier, condition.sequences, streams, horizon)
        for row, metrics in zip(rows, found, strict=False):
            if not _holds(condition, metrics):
                continue
            state = self.rows[row]
            if rule == "solved":
                state.solved_at = state.iteration
            elif state.end is None:
                state.end = "stopped"

    def _default_horizon(self, row: int) -> int | None:
        return curriculum.longest(self.trainings[row], self.stacked.tasks[row])


@dataclass(frozen=True)
class _Measured:
    """Of some rows: losses, gradients, and what their curriculum watches."""

    losses: Tensor
    gradients: Tensor
    watched: list[float]


def final_loss(row: RowState) -> float:
    """Mean training loss over the last tenth of the iterations made; NaN when there were none."""
    made = row.losses[: row.iteration]
    if not len(made):
        return math.nan
    return float(np.mean(made[-max(1, round(LAST_SHARE * len(made))) :]))


def _begin(cell: Cell, task: Task, parameters: Tensor) -> RowState:
    training = cell.training
    end: End | None = None if cell.trains and training.steps else "done"
    snapshots = {0: parameters.clone()} if 0 in training.snapshots else {}
    losses = np.zeros(training.steps if cell.trains else 0)
    zeros = torch.zeros_like(parameters)
    return RowState(
        parameters,
        zeros,
        zeros.clone(),
        losses,
        curriculum.begin(training, task),
        end=end,
        snapshots=snapshots,
    )


def _holds(condition: Check, metrics: dict[str, float]) -> bool:
    value = metrics[condition.metric]
    if condition.below is not None:
        return value < condition.below
    return condition.above is not None and value > condition.above


def _watched(
    stacked: Stacked, trainings: Sequence[Training], step: Step, batch: Batch, masks: Tensor
) -> list[float]:
    """What each row's curriculum looks at, on this iteration's training batch."""
    rule = trainings[0].curriculum
    if isinstance(rule, LossGated):
        first = torch.stack([first_scored(mask, rule.start) for mask in masks])
        return [float(value) for value in average(step.steps, first).tolist()]
    if isinstance(rule, Staged) and step.outputs is not None:
        return [row[rule.metric] for row in stacked.metrics(step.outputs, batch, masks)]
    return [0.0] * len(trainings)
