"""Running a plan: train what is missing, measure what is missing, store every answer at once.

Stacks are cut into segments, the longest first, one in flight per worker. A lost worker costs its
segment: the stack is halved and tried again until the cell that kills it stands alone.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from emtkit.errors import EmtkitError
from emtkit.execute.continuation import begin_where_others_ended, longest
from emtkit.execute.engines.engine import Engine, JobResult
from emtkit.execute.messages import Answer, encode, plugins_of
from emtkit.execute.monitor import Counts, Monitor
from emtkit.execute.provenance import sources
from emtkit.execute.queue import Item, MeasureItem, Queue, ShapeItem, TrainItem
from emtkit.execute.required import Required, RunSummary, run_summary
from emtkit.plugin.catalogue import Kind
from emtkit.plugin.registry import Registry
from emtkit.store.records import (
    Attempt,
    Bundle,
    CellResult,
    FindingResult,
    finding_identity,
    identity_of,
)
from emtkit.store.store import Store
from emtkit.study.cells import Cell, Row
from emtkit.study.network_pairs import NetworkPair

__all__ = ["Options", "RunSummary", "TooManyFailures", "run", "run_summary"]


SHAPE_SECONDS = 30.0


@dataclass(frozen=True)
class Options:
    """`segment` seconds of work at a time; a lost cell, when alone, is tried `retry` more times.

    `max_failures`: a run ends when more cells than these failed or were lost. `retry_failed`: what
    failed in an earlier run is tried again. `tier` trains everything in that tier.
    """

    segment: float = 30.0
    retry: int = 1
    retry_failed: bool = False
    max_failures: int | None = None
    tier: str | None = None


class TooManyFailures(EmtkitError):
    """More cells failed or were lost than `max_failures` allows; what is done is stored."""

    exit_code = 1


def run(
    rows: Sequence[Row],
    registry: Registry,
    store: Store,
    engine: Engine,
    monitor: Monitor,
    options: Options,
    pairs: Sequence[NetworkPair] = (),
) -> RunSummary:
    """Bring the store up to the plan of these rows, and pairs of them.

    Raises:
        TooManyFailures: more than `max_failures` cells failed or were lost.
        EmtkitError: a cell or a finding is missing at the end.
    """
    _Coordinator(Required.of(rows, pairs), registry, store, engine, monitor, options).work()
    return run_summary(rows, store, pairs)


@dataclass(frozen=True)
class _Flight:
    """A job under way, and kind and name of the plugins whose code it runs."""

    item: Item
    plugins: set[tuple[Kind, str]]


@dataclass(eq=False)
class _Coordinator:
    """Hands out work and writes the store; nobody else does."""

    required: Required
    registry: Registry
    store: Store
    engine: Engine
    monitor: Monitor
    options: Options

    def __post_init__(self) -> None:
        self.begun = time.monotonic()
        workers, tier = self.engine.workers, self.options.tier
        self.queue = Queue(self.required, self.registry, self.store, workers, tier)
        stored = self.store.findings_of(self.required.findings)
        self.known = {key for key, found in stored.items() if self._is_final(found)}
        self.stored: dict[str, CellResult] = {}
        self.ended = {"done": 0, "failed": 0, "lost": 0}
        self.bad: set[str] = set()
        self.tries: dict[str, int] = {}
        self.alone: dict[str, int] = {}
        self.flying: dict[int, _Flight] = {}
        self.jobs = 0

    def work(self) -> None:
        """Train and measure all, then compare networks with each other."""
        self._queue()
        self._report(last=False)
        self._empty_queue()
        status = self.store.status_of(self.required.cells) if self.required.compared else {}
        self.queue.compare([key for key, end in status.items() if end == "done"], self.known)
        self._empty_queue()
        self._report(last=True)

    def _empty_queue(self) -> None:
        """Until nothing waits and nothing flies."""
        while len(self.queue) or self.flying:
            self._submit()
            outcomes = self.engine.wait(1.0)
            self._submit()  # whoever is free now need not wait for the disk
            self._receive(outcomes)
            self._stack_known_shapes()
            self._report(last=False)
            self._give_up_if_hopeless()

    def _is_final(self, known: CellResult | FindingResult) -> bool:
        """Whether a stored result is final: what was lost is always tried again."""
        if known.status == "failed":
            return not self.options.retry_failed
        return known.status != "lost"

    def _queue(self) -> None:
        for key, known in self.store.cells_of(self.required.cells).items():
            steps = self.required.cells[key].training.snapshots
            complete = known.status != "done" or set(steps) <= set(known.snapshots)
            if self._is_final(known) and complete:
                self.stored[key] = known
        pending = [cell for key, cell in self.required.cells.items() if key not in self.stored]
        begin_where_others_ended(pending, self.store, self.registry, self.options.tier)
        self._forget_states_of_other_sources(pending)
        self.queue.train(pending)
        done = (key for key, known in self.stored.items() if known.status == "done")
        self.queue.measure((self.required.cells[key] for key in done), self.known)

    def _forget_states_of_other_sources(self, cells: Sequence[Cell]) -> None:
        """Training goes on only with the code that it began with; else it begins anew."""
        metas = self.store.state_metas(cell.key for cell in cells)
        begun = [cell for cell in cells if cell.key in metas]
        self.store.drop_states(
            cell.key
            for cell in begun
            if metas[cell.key].get("sources") != sources(self.registry, cell)
        )

    def _submit(self) -> None:
        """Give every free worker something to do."""
        while len(self.queue) and self.engine.idle:
            item = self.queue.take(self.engine.takes)
            if item is None:
                self.engine.renew()
                return
            self.jobs += 1
            job, loose = self.queue.job(item, self.options.segment), self.queue.loose_files(item)
            self.flying[self.jobs] = _Flight(item, plugins_of(job))
            self.engine.submit(self.jobs, encode(job, loose), loose)

    def _stack_known_shapes(self) -> None:
        """At once when all are known; one pair that hangs does not hold up the others for long."""
        waiting = self.queue.pairs or any(
            isinstance(f.item, ShapeItem) for f in self.flying.values()
        )
        late = time.monotonic() - self.begun > SHAPE_SECONDS
        if late or not waiting:
            self.queue.stack()

    def _receive(self, outcomes: Sequence[JobResult]) -> None:
        """Store all that came in, in one transaction, and do what follows from it."""
        outcomes = [self._checked(outcome) for outcome in outcomes]
        answers = [outcome.answer for outcome in outcomes if outcome.answer is not None]
        cells = tuple(cell for answer in answers for cell in answer.cells)
        findings = tuple(finding for answer in answers for finding in answer.findings)
        states = tuple(state for answer in answers for state in answer.states)
        states += longest([state for answer in answers for state in answer.last], self.store)
        failed = [cell for cell in cells if cell.status == "failed"]
        attempts = tuple(self._attempt(cell.key, "failed", cell.error) for cell in failed)
        if cells or findings or states:
            self.store.commit(Bundle(cells, findings, states, attempts))
        self.bad.update(cell.key for cell in failed)
        self.bad.update(found.cell for found in findings if found.status == "failed")
        self.known.update(finding.key for finding in findings)
        for cell in cells:
            self.ended[cell.status] += 1
        for outcome in outcomes:
            self._follow(self.flying.pop(outcome.job).item, outcome)

    def _checked(self, outcome: JobResult) -> JobResult:
        """The outcome, without an answer where other sources made it than the study was planned
        with: a file was edited meanwhile.
        """
        if outcome.answer is None:
            return outcome
        there = outcome.answer.digests
        for kind, name in sorted(self.flying[outcome.job].plugins):
            plugin = self.registry.get(kind, name)
            found = there.get(f"{kind} {name}", "none")
            if plugin is not None and found != plugin.digest:
                why = (
                    f"{self.registry.described(kind, name)} had other sources in the worker "
                    f"({found}) than when the study was planned ({plugin.digest}; was a file "
                    "edited?); the result is refused"
                )
                return JobResult(outcome.job, None, why, final=True)
        return outcome

    def _follow(self, item: Item, outcome: JobResult) -> None:
        answer = outcome.answer
        if answer is None and outcome.innocent:
            self.queue.again(item, first=True)
        elif answer is None:
            self._lost(item, outcome.lost, final=outcome.final)
        elif isinstance(item, ShapeItem):
            self.queue.add_shapes(answer.shapes)
        elif isinstance(item, TrainItem):
            self._trained(item, answer)
        else:
            self._measured(item, {finding.key for finding in answer.findings})

    def _trained(self, item: TrainItem, answer: Answer) -> None:
        """Go on with what has not ended, measure what has."""
        done = {cell.key for cell in answer.cells if cell.status == "done"}
        self.queue.measure((cell for cell in item.cells if cell.key in done), self.known)
        on = {state.cell for state in answer.states}
        for key in on:
            self.alone.pop(key, None)  # it came further, so whatever killed it was not it
        left = tuple(cell for cell in item.cells if cell.key in on)
        if left:
            self.queue.again(TrainItem(left, item.tier, item.work), first=True)
        ended = {cell.key for cell in answer.cells}
        silent = tuple(cell for cell in item.cells if cell.key not in on | ended)
        if silent:
            self._lost(TrainItem(silent, item.tier, item.work), "the worker's answer left it out")

    def _measured(self, item: MeasureItem, found: set[str]) -> None:
        silent = item.left(found)
        if silent.cells:
            self._lost(silent, "the worker's answer left it out")

    def _lost(self, item: Item, why: str, *, final: bool = False) -> None:
        """Halve what was lost; what cannot be halved is tried again, and then given up as lost.

        What is `final` would be lost again: it is given up at once.
        """
        attempts = tuple(self._attempt(cell.key, "lost", why) for cell in item.cells)
        halves = () if final else item.halves()
        name = item.findings[0] if isinstance(item, MeasureItem) else item.cells[0].key
        if not halves:
            self.alone[name] = self.alone.get(name, 0) + 1
        self.store.commit(Bundle(attempts=attempts))
        if halves or not (final or self.alone[name] > self.options.retry):
            for part in halves or (item,):
                self.queue.again(part)
            return
        for cell in item.cells:
            self._give_up(cell, item, why)

    def _give_up(self, cell: Cell, item: Item, why: str) -> None:
        if isinstance(item, MeasureItem):
            self.bad.add(cell.key)
            findings = self._lost_findings(cell, set(item.findings), why)
            self.store.commit(Bundle(findings=findings))
            self.known.update(finding.key for finding in findings)
            return
        tier = item.tier if isinstance(item, TrainItem) else ""
        for gone in self.queue.give_up(cell) if isinstance(item, ShapeItem) else [cell]:
            self.bad.add(gone.key)
            result = CellResult(gone.key, identity_of(gone), "lost", tier=tier, error=why)
            self.store.commit(Bundle((result,), self._lost_snapshots(gone, why)))
            self.ended["lost"] += 1

    def _lost_snapshots(self, cell: Cell, why: str) -> tuple[FindingResult, ...]:
        """Of a cell that was done and only lacked snapshots: the findings that needed them."""
        if self.store.status_of([cell.key]).get(cell.key) != "done":
            return ()
        lost = {m.key for m in self.required.measures[cell.key] if m.at == "snapshots"} - self.known
        self.known |= lost
        self.queue.measure([cell], self.known)
        return self._lost_findings(cell, lost, why)

    def _lost_findings(self, cell: Cell, keys: set[str], why: str) -> tuple[FindingResult, ...]:
        return tuple(
            FindingResult(one.key, cell.key, finding_identity(one), "lost", error=why)
            for one in self.required.wanted(cell.key)
            if one.key in keys
        )

    def _attempt(self, cell: str, outcome: str, text: str) -> Attempt:
        """The next try at a cell; numbers go on from those of earlier runs."""
        if cell not in self.tries:
            self.tries[cell] = len(self.store.attempts_of([cell]).get(cell, ()))
        self.tries[cell] += 1
        return Attempt(cell, self.tries[cell], outcome, text)

    def _give_up_if_hopeless(self) -> None:
        most = self.options.max_failures
        if most is not None and len(self.bad) > most:
            raise TooManyFailures(
                f"{len(self.bad)} cells failed or were lost, where {most} are allowed "
                "(--max-failures, --fail-fast); what is done is stored, and `emtkit run` goes on "
                "from it"
            )

    def _report(self, *, last: bool) -> None:
        counts = Counts(
            cells=len(self.required.cells),
            stored=len(self.stored),
            trained=self.ended["done"],
            failed=self.ended["failed"],
            lost=self.ended["lost"],
            findings=len(self.required.findings),
            findings_done=len(self.known),
            seconds=time.monotonic() - self.begun,
        )
        self.monitor.update(counts, last)
