"""Training a stack for a while: state in, state out, the same numbers however it is cut.

Every iteration, for each row by itself: draw a batch from (seed, "train", iteration); loss and
gradient (the tier's); clip; update; curriculum; snapshot; now and then a check.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emtkit.plugin.registry import Registry
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Task
from emtkit.study.cells import Cell, digest
from emtkit.study.settings import Check
from emtkit.train import curriculum, optimise
from emtkit.train.build import build_model, build_task
from emtkit.train.evaluate import check
from emtkit.train.memory import keep_freed_memory
from emtkit.train.rows import End, RowState
from emtkit.train.slopes import Slope
from emtkit.train.stacked import flatten, stack
from emtkit.train.tier import Tier, Trained

LAST_SHARE = 0.1
"""`train.loss` is the mean over this last share of the iterations made."""


class Trainer:
    """One stack in training. `rows` are the states, in the order of `cells`.

    `iterations` counts those that this trainer has made.
    """

    def __init__(self, registry: Registry, cells: Sequence[Cell], tier: Tier) -> None:
        self.cells = tuple(cells)
        self.tier = tier
        self.iterations = 0
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
            alone = len(live) == 1 and not self.tier.takes_one(self.cells[live[0]].training)
            company = live * 2 if alone else live
            if self._run_live(live, company, until):
                return

    def _run_live(self, live: list[int], company: list[int], until: Callable[[], bool]) -> bool:
        """Train the rows `live` until one of them ends; True when the segment is over."""
        part = _Part(self, live, company)
        while True:
            self.iterations += part.iterate()
            # Asked after an iteration: a segment too short for one must still go forward.
            over = until()
            if part.ended or over:
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
        self.optimiser = self.tier.optimiser(self.trainings, self.flat)
        self.iterations = [row.iteration for row in self.rows]
        self.slope = Slope(self.tier, self.stacked, self.cells)
        streams = self.slope.streams(self.iterations, self.flat.dtype)
        self.program = self.tier.program(
            self.stacked, self.trainings, streams, self.flat, self.moments
        )
        self.losses: list[NDArray[Any]] = []
        self.quiet = self._quiet()

    def iterate(self) -> int:
        """One iteration of every row, or as many as a program makes; gives how many.

        Between iterations at which something is due, rows only note their losses: what is done
        row by row in Python would cost as much as the training of a small network.
        """
        if self.program is None:
            trained = self._iterate_once()
        else:
            trained = self.program.run(min(self.quiet, self.program.most))
        made = len(trained.losses)
        self.iterations = [iteration + made for iteration in self.iterations]
        self.losses.append(trained.losses)
        self.quiet -= made
        if not (self.quiet and all(trained.healthy)):
            self._settle(trained.healthy)
        return made

    @property
    def ended(self) -> bool:
        """Whether some row has come to its end."""
        return any(row.end is not None for row in self.rows)

    def _iterate_once(self) -> Trained:
        horizons = [None if r.progress is None else int(r.progress.horizon) for r in self.rows]
        found = self.slope.at(self.flat, self.iterations, horizons)
        healthy = found.losses.isfinite() & found.gradients.isfinite().all(1)
        fine, gradients = bool(healthy.all()), found.gradients
        if not fine:
            gradients = torch.where(healthy.unsqueeze(1), gradients, 0.0)
        self.optimiser.step(self.flat, gradients, self.moments, self.iterations)
        if self.trainings[0].curriculum != "none":
            self._advance(found.watched)
        return Trained(found.losses.double().unsqueeze(0).numpy(), healthy.tolist())

    def _advance(self, watched: list[float]) -> None:
        for at, row in enumerate(self.rows[: len(self.live)]):
            if row.progress is not None:
                training, task = self.trainings[at], self.stacked.tasks[at]
                row.progress = curriculum.advance(row.progress, training, task, watched[at])

    def _settle(self, healthy: list[bool]) -> None:
        """Bring the rows up to date, and do what is due at this iteration."""
        self._note()
        self._gather()
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
            losses = np.concatenate(self.losses).T
            for row, made in zip(self.rows[: len(self.live)], losses, strict=False):
                row.losses[row.iteration : row.iteration + len(made)] = made
                row.iteration += len(made)
        self.losses = []

    def _gather(self) -> None:
        """Take the weights over from the program, if one trains them."""
        if self.program is not None:
            self.flat, self.moments = self.program.state()

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
        self._gather()
        for at, row in enumerate(self.rows[: len(self.live)]):
            row.parameters = self.flat[at].clone()
            row.first = self.moments.first[at].clone()
            row.second = self.moments.second[at].clone()

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
