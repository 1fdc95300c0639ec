"""Running a plan: train what is missing, measure what is missing, store every answer at once.

Stacks are cut into segments, the longest first, one in flight per worker. A lost worker costs its
segment: the stack is halved and tried again until the cell that kills it stands alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from emtkit.errors import EmtkitError
from emtkit.execute.content import pack
from emtkit.execute.engines.engine import Engine, Outcome
from emtkit.execute.jobs import MeasureJob, Subjects, TrainJob
from emtkit.execute.monitor import Counts, Monitor
from emtkit.execute.records import (
    Attempt,
    Bundle,
    CellResult,
    FindingResult,
    identity_of,
)
from emtkit.execute.store import Store
from emtkit.plugin.registry import Registry
from emtkit.study.cells import Cell, Judgement, Measure, Row, digest
from emtkit.train.stacks import Stack, group, split, tier_named

STACK_ROWS = 64
MEASURE_CELLS = 8
CONSTRUCT_CELLS = 32


@dataclass(frozen=True)
class Options:
    """`segment` seconds of work at a time; a lost cell is tried `retry` more times."""

    segment: float = 30.0
    retry: int = 1
    retry_failed: bool = False
    max_failures: int | None = None
    tier: str | None = None


@dataclass(frozen=True)
class Coverage:
    """Where every cell of the plan ended; the four add up to `expected`."""

    expected: int
    done: int
    failed: int
    lost: int
    not_applicable: int
    findings_failed: int

    @property
    def clean(self) -> bool:
        """Whether nothing failed and nothing was lost."""
        return not (self.failed or self.lost or self.findings_failed)


def run(
    rows: Sequence[Row],
    registry: Registry,
    store: Store,
    engine: Engine,
    monitor: Monitor,
    options: Options,
) -> Coverage:
    """Bring the store up to the plan `rows`.

    Raises:
        EmtkitError: a cell is missing at the end, or too many failed (`max_failures`).
    """
    coordinator = _Coordinator(rows, registry, store, engine, monitor, options)
    coordinator.work()
    return coverage(rows, store)


def coverage(rows: Sequence[Row], store: Store) -> Coverage:
    """Where every cell of the plan stands; a cell without an end is an error.

    Raises:
        EmtkitError: some cells have no end; they are named.
    """
    cells = {row.cell.key: row.cell for row in rows}
    status = store.status_of(cells)
    refused = [key for key, cell in cells.items() if cell.reason is not None]
    ends = {name: 0 for name in ("done", "failed", "lost")}
    missing = []
    for key, cell in cells.items():
        if cell.reason is None:
            end = status.get(key)
            if end in ends:
                ends[end] += 1
            else:
                missing.append(key)
    if missing:
        raise EmtkitError(
            f"{len(missing)} of {len(cells)} cells have no result ({', '.join(missing[:3])}, ...); "
            "run the study again"
        )
    wanted = _findings(rows)
    findings = store.findings_of(wanted)
    failed = sum(found.status in ("failed", "lost") for found in findings.values())
    return Coverage(len(cells), ends["done"], ends["failed"], ends["lost"], len(refused), failed)


@dataclass(frozen=True)
class _Training:
    """A stack, or what is left of it, waiting for a worker."""

    cells: tuple[Cell, ...]
    tier: str
    work: float


@dataclass(frozen=True)
class _Measuring:
    """Cells of one shape that wait to be measured."""

    cells: tuple[Cell, ...]


class _Coordinator:
    def __init__(
        self,
        rows: Sequence[Row],
        registry: Registry,
        store: Store,
        engine: Engine,
        monitor: Monitor,
        options: Options,
    ) -> None:
        self.store, self.engine, self.monitor, self.options = store, engine, monitor, options
        self.registry = registry
        self.begun = time.monotonic()
        self.cells = _cells(rows)
        self.judgements, self.measures = _wanted(rows)
        self.known = set(store.findings_of(_findings(rows)))
        self.findings = len(_findings(rows))
        self.stored, self.pending = self._sort_out()
        self.ended = {"done": 0, "failed": 0, "lost": 0}
        self.attempts: dict[str, int] = {}
        self.shape: dict[str, str] = {}
        self.training: deque[_Training] = deque()
        self.measuring: deque[_Measuring] = deque()
        self.flying: dict[int, _Training | _Measuring] = {}
        self.jobs = 0

    def work(self) -> None:
        """Until nothing waits and nothing flies."""
        self._queue_training()
        self._queue_measuring(self.stored)
        self._tell(last=False)
        while self.training or self.measuring or self.flying:
            while self.engine.idle and (self.training or self.measuring):
                self._submit()
            for outcome in self.engine.wait(1.0):
                self._receive(outcome)
            self._tell(last=False)
            self._give_up_if_hopeless()
        self._tell(last=True)

    def _sort_out(self) -> tuple[list[Cell], list[Cell]]:
        """Cells whose result is stored, and cells that still need one."""
        found = self.store.cells_of(self.cells)
        stored: list[Cell] = []
        pending: list[Cell] = []
        for key, cell in self.cells.items():
            known = found.get(key)
            enough = known is not None and (
                (known.status == "done" and set(cell.training.snapshots) <= set(known.snapshots))
                or (known.status == "failed" and not self.options.retry_failed)
            )
            (stored if enough else pending).append(cell)
        self.failed_before = {key for key, known in found.items() if known.status == "failed"}
        return stored, pending

    def _queue_training(self) -> None:
        states = self.store.states_of(cell.key for cell in self.pending)
        begun_in = {key: str(state.meta["tier"]) for key, state in states.items()}
        stacks = group(self.pending, self.registry, self.options.tier)
        plain = [cell for cell in self.pending if not cell.trains or cell.training.steps == 0]
        parts: list[_Training] = []
        for stack in stacks:
            for cell in stack.cells:
                self.shape[cell.key] = stack.key
            for tier, cells in _by_tier(stack, begun_in).items():
                ordered = tuple(sorted(cells, key=lambda cell: (cell.seed, cell.key)))
                whole = Stack(stack.key, ordered, tier, stack.work)
                pieces = split(whole, self.engine.workers, STACK_ROWS)
                parts += [_Training(p.cells, p.tier, p.work * len(p.cells)) for p in pieces]
        tier = self.options.tier or "vmap"
        parts += [_Training(chunk, tier, 0.0) for chunk in _chunks(plain, CONSTRUCT_CELLS)]
        self.training.extend(sorted(parts, key=lambda part: -part.work))

    def _queue_measuring(self, cells: Iterable[Cell]) -> None:
        """Cells that have something left to find, in chunks of one shape."""
        by_shape: dict[str, list[Cell]] = {}
        for cell in cells:
            if cell.key in self.failed_before or not self._left(cell):
                continue
            shape = self.shape.get(cell.key) or digest(
                [cell.architecture.identity(), cell.task.identity(), cell.training.dtype]
            )
            asked = [
                [j.sequences, j.horizon, list(j.at)] for j in self.judgements.get(cell.key, ())
            ]
            by_shape.setdefault(digest([shape, asked]), []).append(cell)
        for group_of_cells in by_shape.values():
            for chunk in _chunks(group_of_cells, MEASURE_CELLS):
                self.measuring.append(_Measuring(chunk))

    def _left(self, cell: Cell) -> bool:
        judgements = {entry.key for entry in self.judgements.get(cell.key, ())}
        measures = {entry.key for entry in self.measures.get(cell.key, ())}
        return not (judgements | measures) <= self.known

    def _submit(self) -> None:
        item: _Training | _Measuring
        item = self.training.popleft() if self.training else self.measuring.popleft()
        data = self._train_job(item) if isinstance(item, _Training) else self._measure_job(item)
        self.jobs += 1
        self.flying[self.jobs] = item
        self.engine.submit(self.jobs, data)

    def _train_job(self, item: _Training) -> bytes:
        states = self.store.states_of(cell.key for cell in item.cells)
        held = {key: state.data for key, state in states.items()}
        return TrainJob(item.cells, item.tier, self.options.segment, held).encode()

    def _measure_job(self, item: _Measuring) -> bytes:
        stored = self.store.cells_of(cell.key for cell in item.cells)
        subjects = []
        for cell in item.cells:
            judgements: list[Judgement | None] = [
                j for j in self.judgements.get(cell.key, ()) if j.key not in self.known
            ]
            measures = tuple(m for m in self.measures.get(cell.key, ()) if m.key not in self.known)
            snapshots = {
                step: self.store.weights(cell.key, step) or b""
                for step in (stored[cell.key].snapshots if _looks_back(measures) else ())
            }
            for at, judgement in enumerate(judgements or [None]):
                subjects.append(
                    Subjects(
                        cell,
                        stored[cell.key].tier,
                        self.store.weights(cell.key) or b"",
                        pack({}, self.store.history(cell.key)),
                        snapshots,
                        judgement,
                        measures if at == 0 else (),
                    )
                )
        return MeasureJob(tuple(subjects)).encode()

    def _receive(self, outcome: Outcome) -> None:
        item = self.flying.pop(outcome.job)
        if outcome.bundle is None:
            self._lost(item, outcome.lost)
            return
        bundle = outcome.bundle
        self.store.commit(bundle)
        for result in bundle.cells:
            self.ended[result.status] = self.ended.get(result.status, 0) + 1
        self.known.update(finding.key for finding in bundle.findings)
        if isinstance(item, _Training):
            done = {result.key for result in bundle.cells if result.status == "done"}
            self._queue_measuring(cell for cell in item.cells if cell.key in done)
            left = tuple(c for c in item.cells if c.key in {s.cell for s in bundle.states})
            if left:
                self.training.appendleft(replace(item, cells=left))

    def _lost(self, item: _Training | _Measuring, why: str) -> None:
        """Halve what was lost; a cell alone is tried again, and then given up as lost."""
        if len(item.cells) > 1:
            middle = len(item.cells) // 2
            for cells in (item.cells[:middle], item.cells[middle:]):
                self._again(replace(item, cells=cells))
            return
        (cell,) = item.cells
        self.attempts[cell.key] = self.attempts.get(cell.key, 0) + 1
        number = self.attempts[cell.key]
        attempt = Attempt(cell.key, number, "lost", why)
        if number <= self.options.retry:
            self.store.commit(Bundle(attempts=(attempt,)))
            self._again(item)
        elif isinstance(item, _Training):
            result = CellResult(cell.key, identity_of(cell), "lost", tier=item.tier, error=why)
            self.store.commit(Bundle(cells=(result,), attempts=(attempt,)))
            self.ended["lost"] += 1
        else:
            self.store.commit(Bundle(findings=self._lost_findings(cell, why), attempts=(attempt,)))

    def _lost_findings(self, cell: Cell, why: str) -> tuple[FindingResult, ...]:
        judged = [(j.key, {"analysis": "test", **vars(j)}) for j in self.judgements[cell.key]]
        measured = [
            (m.key, {"analysis": m.analysis.identity(), "at": m.at})
            for m in self.measures[cell.key]
        ]
        return tuple(
            FindingResult(key, cell.key, identity, "lost", error=why)
            for key, identity in [*judged, *measured]
            if key not in self.known
        )

    def _again(self, item: _Training | _Measuring) -> None:
        if isinstance(item, _Training):
            self.training.append(item)
        else:
            self.measuring.append(item)

    def _give_up_if_hopeless(self) -> None:
        bad = self.ended["failed"] + self.ended["lost"]
        if self.options.max_failures is not None and bad > self.options.max_failures:
            raise EmtkitError(
                f"{bad} cells failed or were lost, more than --max-failures "
                f"{self.options.max_failures}; what is done is stored, `emtkit run` goes on from it"
            )

    def _tell(self, *, last: bool) -> None:
        counts = Counts(
            cells=len(self.cells),
            stored=len(self.stored),
            trained=self.ended["done"],
            failed=self.ended["failed"],
            lost=self.ended["lost"],
            findings=self.findings,
            findings_done=len(self.known),
            seconds=time.monotonic() - self.begun,
        )
        self.monitor.update(counts, last)


def _cells(rows: Sequence[Row]) -> dict[str, Cell]:
    """Distinct cells that apply; one asked for twice keeps the snapshots of both."""
    found: dict[str, Cell] = {}
    for row in rows:
        cell = row.cell
        if cell.reason is not None:
            continue
        if cell.key in found:
            both = {*found[cell.key].training.snapshots, *cell.training.snapshots}
            training = cell.training.model_copy(update={"snapshots": tuple(sorted(both))})
            cell = replace(cell, training=training)
        found[cell.key] = cell
    return found


def _wanted(
    rows: Sequence[Row],
) -> tuple[dict[str, tuple[Judgement, ...]], dict[str, tuple[Measure, ...]]]:
    """What is to be found out of each cell, each finding once."""
    judgements: dict[str, dict[str, Judgement]] = {}
    measures: dict[str, dict[str, Measure]] = {}
    for row in rows:
        if row.cell.reason is not None:
            continue
        judgements.setdefault(row.cell.key, {})[row.judgement.key] = row.judgement
        kept = measures.setdefault(row.cell.key, {})
        kept.update({m.key: m for m in row.measures if m.reason is None})
    return (
        {key: tuple(found.values()) for key, found in judgements.items()},
        {key: tuple(found.values()) for key, found in measures.items()},
    )


def _findings(rows: Sequence[Row]) -> set[str]:
    judgements, measures = _wanted(rows)
    keys = {j.key for found in judgements.values() for j in found}
    return keys | {m.key for found in measures.values() for m in found}


def _by_tier(stack: Stack, begun_in: dict[str, str]) -> dict[str, list[Cell]]:
    """Cells of a stack by tier: one that is under way goes on in the tier it began with."""
    found: dict[str, list[Cell]] = {}
    for cell in stack.cells:
        name = begun_in.get(cell.key, stack.tier)
        tier_named(name)
        found.setdefault(name, []).append(cell)
    return found


def _chunks(cells: Sequence[Cell], size: int) -> list[tuple[Cell, ...]]:
    return [tuple(cells[at : at + size]) for at in range(0, len(cells), size)]


def _looks_back(measures: Sequence[Measure]) -> bool:
    return any(measure.at == "snapshots" for measure in measures)
