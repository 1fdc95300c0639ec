"""The rows of a stack that still train: iterations on a device, and what is due between them.

Between iterations at which something is due, nobody looks at a row: what is done row by row in
Python would cost as much as the training of a small network, and a device would be waited for.
Only a curriculum looks after every iteration.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from emtkit.methods.curricula.base import Watched
from emtkit.plugin.stream import CPU, Stream
from emtkit.plugin.task import Batch
from emtkit.study.cells import Cell
from emtkit.study.settings import Check
from emtkit.train.evaluate import check
from emtkit.train.iteration import WINDOW, Iteration, TrainState
from emtkit.train.passes.cuda_graph import Programs
from emtkit.train.row_state import RowState
from emtkit.train.stack import Stacked, average, first_scored
from emtkit.train.tiers.base import Gradients, Span, Tier


@dataclass(eq=False)
class TrainingLoop:
    """Rows gathered into one program; those from `live` on are company, and are not kept."""

    tier: Tier
    stacked: Stacked
    rows: Sequence[RowState]
    cells: Sequence[Cell]
    live: int

    def __post_init__(self) -> None:
        tier = self.tier
        self.trainings = [cell.training for cell in self.cells]
        self.shared = self.trainings[0]
        """For the fields that all rows of a stack have in common (`Scope.STACK`)."""
        self.stacked = self.stacked.to(tier.device)
        self.train_state = TrainState.of(self.rows, tier.device)
        self.optimiser = tier.optimiser(self.trainings, self.train_state.flat, self.stacked.slots)
        self.programs = Programs(
            tier,
            self.stacked,
            self.optimiser,
            self.train_state,
            shows_outputs=self.shared.curriculum.needs_outputs,
        )
        self.source = tier.device if self.stacked.tasks[0].draws_anywhere else CPU
        self.span: tuple[list[int | None], Span] | None = None
        self.iterations = [row.iteration for row in self.rows]
        now, streams = self.train_state, self._streams(range(len(self.rows)))
        self.fused = tier.fused(self.stacked, self.trainings, streams, now.flat, now.buffers)
        self.made = 0
        self.quiet = self._quiet()

    def iterate(self) -> int:
        """One iteration of every row, or as many as the tier makes by itself; gives how many."""
        if self.fused is None:
            self._iterate_once()
            made, lively = 1, True
        else:
            trained = self.fused.run(min(self.quiet - self.made, self.fused.most))
            self.train_state.note_many(self.made, trained)
            made, lively = len(trained.losses), bool(trained.healthy.all())
        self.iterations = [iteration + made for iteration in self.iterations]
        self.made += made
        if self.made >= self.quiet or not lively:
            self._settle()
        return made

    @property
    def ended(self) -> bool:
        """Whether some row is seen to have come to its end."""
        return any(row.end is not None for row in self.rows)

    def store(self) -> None:
        """Write losses, weights and the optimiser's buffers back into the rows."""
        self._note()
        self._gather()
        now = self.train_state
        parameters = now.flat.cpu()
        buffers = {name: value.cpu() for name, value in now.buffers.items()}
        for at, row in enumerate(self.rows[: self.live]):
            row.parameters = parameters[at].clone()
            row.buffers = {name: value[at].clone() for name, value in buffers.items()}

    def _iterate_once(self) -> None:
        horizons = [None if r.progress is None else int(r.progress.horizon) for r in self.rows]
        drawn = self._length(max((h for h in horizons if h is not None), default=None))
        program = self._loaded(horizons, drawn)
        if not self.shared.curriculum.moves:
            program.advance()
        else:
            watched = self._measured(program, horizons, drawn)
            program.update()
            self._advance(watched)

    def _length(self, horizon: int | None) -> int | None:
        """How many scored steps are drawn for a horizon: it, rounded up to the tier's step."""
        most = self._longest()
        if horizon is None or most is None:
            return horizon
        step = self.tier.horizon_step
        return max(horizon, min(-(-horizon // step) * step, most))

    def _loaded(self, horizons: list[int | None], drawn: int | None) -> Iteration:
        """The program of all rows, with the data of the next iteration."""
        batch, masks = self._draw(range(len(self.rows)), self.stacked, horizons, drawn)
        if self.span is None or self.span[0] != horizons:
            self.span = (horizons, Span.of(masks))
        program = self.programs.of(batch, self.span[1])
        program.load(batch, masks, self.optimiser.schedule(self.iterations))
        return program

    def _draw(
        self,
        rows: Sequence[int],
        stacked: Stacked,
        horizons: Sequence[int | None],
        drawn: int | None,
    ) -> tuple[Batch, Tensor]:
        """Data of `rows`, the rows of `stacked`; masks (M T) end with each row's own horizon."""
        batch = stacked.draw(self.shared.batch, self._streams(rows), drawn)
        if self.shared.shuffled:
            batch = replace(batch, targets=batch.targets.roll(1, 1))
        if set(horizons) == {drawn}:
            return batch, batch.scored_steps
        limits = torch.tensor([horizon or 0 for horizon in horizons]).unsqueeze(1)
        return batch, batch.mask * (batch.mask.cumsum(-1) <= limits.to(self.source))

    def _streams(self, rows: Sequence[int]) -> list[Stream]:
        """What each of `rows` draws its next training batch from."""
        dtype, source = self.train_state.flat.dtype, self.source
        return [
            Stream(self.cells[r].seed, "train", self.iterations[r], dtype=dtype, device=source)
            for r in rows
        ]

    def _gather(self) -> None:
        """Take the weights over from where they are trained in whole iterations."""
        if self.fused is not None:
            now = self.train_state
            flat, buffers = self.fused.state()
            now.flat.copy_(flat)
            for name, place in now.buffers.items():
                place.copy_(buffers[name])

    def _measured(
        self, program: Iteration, horizons: list[int | None], drawn: int | None
    ) -> list[float]:
        """Measure, in one program where that leaves a row's bits alone; what curricula watch."""
        shared = self.tier.rows_share_horizon
        lengths = [drawn if shared else self._length(horizon) for horizon in horizons]
        flat, watched = self.train_state.flat, [0.0] * len(horizons)
        if set(lengths) == {drawn}:
            program.measure()
            found = program.found
            watched = self._watched(self.stacked, found, program.batch, program.masks)
        else:
            losses = flat.new_zeros(len(flat))
            found = program.found = Gradients(losses, torch.zeros_like(flat), losses, None)
            self._measure_apart(found, watched, horizons, lengths, list(range(len(flat))))
        if horizons != lengths:
            # A row that runs on past its horizon may overflow there, which says nothing of it.
            finite = found.gradients.isfinite().all(1).tolist()
            cut = [r for r, length in enumerate(lengths) if horizons[r] != length and not finite[r]]
            self._measure_apart(found, watched, horizons, horizons, cut)
        return watched

    def _measure_apart(
        self,
        found: Gradients,
        watched: list[float],
        horizons: Sequence[int | None],
        lengths: Sequence[int | None],
        rows: list[int],
    ) -> None:
        """Measure `rows`, those of one length at a time, into `found` and `watched`."""
        for length in sorted({lengths[row] or 0 for row in rows}):
            part = [row for row in rows if (lengths[row] or 0) == length]
            alone = len(part) == 1 and not self.tier.takes_one(self.trainings[part[0]])
            company = part * 2 if alone else part
            stacked = self.stacked.take(company)
            batch, masks = self._draw(company, stacked, [horizons[row] for row in company], length)
            span = Span.of(masks)
            batch, masks = batch.to(stacked.device), masks.to(stacked.device)
            flat = self.train_state.flat[torch.tensor(company)]
            step = self.tier.gradients(stacked, flat, batch, masks, span)
            seen = self._watched(stacked, step, batch, masks)
            for at, row in enumerate(part):
                found.losses[row], found.gradients[row] = step.losses[at], step.gradients[at]
                watched[row] = seen[at]

    def _watched(
        self, stacked: Stacked, step: Gradients, batch: Batch, masks: Tensor
    ) -> list[float]:
        """What each row's curriculum looks at, on this iteration's training batch."""
        return self.shared.curriculum.watch(TrainingBatch(stacked, step, batch, masks))

    def _longest(self) -> int | None:
        """The longest horizon that the curriculum reaches; None for a task that has none."""
        horizon = self.stacked.tasks[0].horizon if self.stacked.tasks[0].horizons else None
        return None if horizon is None else self.shared.curriculum.longest(horizon)

    def _advance(self, watched: list[float]) -> None:
        for at, row in enumerate(self.rows[: self.live]):
            horizon = self.stacked.tasks[at].horizon
            if row.progress is not None and horizon is not None:
                row.progress = self.shared.curriculum.advance(
                    row.progress, watched[at], self.iterations[at] + 1, horizon
                )

    def _quiet(self) -> int:
        """How many iterations it is until something is due for some row, or the notes are full."""
        due = [WINDOW]
        for row, training in zip(self.rows, self.trainings, strict=True):
            moments = [training.steps, *training.snapshots]
            if training.stop is not None or training.solved is not None:
                moments.append((row.iteration // training.check + 1) * training.check)
            due.append(min((m - row.iteration for m in moments if m > row.iteration), default=1))
        return min(due)

    def _note(self) -> None:
        """Write the losses of the last iterations into the rows, up to where one diverged."""
        losses, lived = self.train_state.read(self.made)
        for at, row in enumerate(self.rows[: self.live]):
            made = self.made
            if not lived[at].all():
                made = int(lived[at].argmin()) + 1
                row.end = "diverged"
            row.losses[row.iteration : row.iteration + made] = losses[at, :made]
            row.iteration += made
        self.made = 0

    def _settle(self) -> None:
        """Bring the rows up to date, and do what is due at this iteration."""
        self._note()
        self._gather()
        for at, row in enumerate(self.rows[: self.live]):
            if row.end is None and row.iteration == self.trainings[at].steps:
                row.end = "done"
            if row.iteration in self.trainings[at].snapshots:
                row.snapshots[row.iteration] = self.train_state.flat[at].to("cpu", copy=True)
        self._check()
        self.quiet = self._quiet()

    def _check(self) -> None:
        """The checks of `stop` and `solved`, on the stream "check" of each row."""
        due = [
            at
            for at, row in enumerate(self.rows[: self.live])
            if row.iteration % self.trainings[at].check == 0 and row.end != "diverged"
        ]
        for at in self._holding(self.shared.stop, due):
            self.rows[at].end = self.rows[at].end or "stopped"
        unsolved = [at for at in due if self.rows[at].solved_at is None]
        for at in self._holding(self.shared.solved, unsolved):
            self.rows[at].solved_at = self.rows[at].iteration

    def _holding(self, condition: Check | None, rows: list[int]) -> list[int]:
        """Those of `rows` for which `condition` holds."""
        if condition is None or not rows:
            return []
        part = self.stacked.take(rows)
        flat = self.train_state.flat[torch.tensor(rows)]
        streams = [
            Stream(self.cells[row].seed, "check", self.rows[row].iteration, dtype=flat.dtype)
            for row in rows
        ]
        horizon = condition.horizon
        if horizon is None:
            horizon = self._longest()
        found = check(part, flat, self.tier, condition.sequences, streams, horizon)
        return [row for row, seen in zip(rows, found, strict=True) if _holds(condition, seen)]


@dataclass(frozen=True)
class TrainingBatch(Watched):
    """The training batch of one iteration, as curricula see it."""

    stacked: Stacked
    step: Gradients
    batch: Batch
    masks: Tensor

    def losses(self, scored: int) -> list[float]:
        """See `Watched.losses`."""
        found: list[float] = average(self.step.steps, first_scored(self.masks, scored)).tolist()
        return found

    def metric(self, name: str) -> list[float]:
        """See `Watched.metric`."""
        if self.step.outputs is None:
            raise TypeError("this tier keeps no outputs, so that a curriculum cannot look at them")
        rows = self.stacked.metrics(self.step.outputs(), self.batch, self.masks)
        return [row[name] for row in rows]


def _holds(condition: Check, metrics: dict[str, float]) -> bool:
    value = metrics[condition.metric]
    if condition.below is not None:
        return value < condition.below
    return condition.above is not None and value > condition.above
