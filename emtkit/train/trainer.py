"""Training a stack for a while: state in, state out, the same numbers however it is cut.

Every iteration, for each row by itself: draw a batch from (seed, "train", iteration); loss and
gradient (the tier's); clip; update; curriculum; snapshot; now and then a check.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from emtkit.errors import EmtkitError
from emtkit.plugin.registry import Registry
from emtkit.plugin.task import Task
from emtkit.study.cells import Cell, digest
from emtkit.train.build import build_model, build_task
from emtkit.train.device import keep_freed_memory
from emtkit.train.row_state import End, RowState
from emtkit.train.stack import flatten, stack
from emtkit.train.tiers.base import Tier
from emtkit.train.training_loop import TrainingLoop

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
        """Train until every row has ended, or `until()` says that the segment is over.

        Raises:
            EmtkitError: the tier was chosen by hand, and leaves the networks' state noise out.
        """
        keep_freed_memory()
        if reason := self.tier.leaves_out(self.stacked.template):
            raise EmtkitError(f"{reason}; leave out --tier, or choose vmap")
        while live := [i for i, row in enumerate(self.rows) if row.end is None]:
            # A lone row gets itself for company: a stack of one takes another path through the
            # matrix library and would get other bits.
            alone = len(live) == 1 and not self.tier.takes_one(self.cells[live[0]].training)
            company = live * 2 if alone else live
            if self._run_live(live, company, until):
                return

    def _run_live(self, live: list[int], company: list[int], until: Callable[[], bool]) -> bool:
        """Train the rows `live` until one of them ends; True when the segment is over."""
        rows, cells = [self.rows[i] for i in company], [self.cells[i] for i in company]
        part = TrainingLoop(self.tier, self.stacked.take(company), rows, cells, len(live))
        while True:
            self.iterations += part.iterate()
            # Asked after an iteration: a segment too short for one must still go forward.
            over = until()
            if part.ended or over:
                part.store()
                return over


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
    progress = None
    if task.horizons and task.horizon is not None:
        progress = training.curriculum.begin(task.horizon)
    return RowState(
        parameters,
        {name: torch.zeros_like(parameters) for name in training.optimizer.buffers},
        losses,
        progress,
        end=end,
        snapshots=snapshots,
    )
