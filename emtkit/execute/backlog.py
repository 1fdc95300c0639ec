"""What waits for a worker: stacks to train, the longest first, and networks to measure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from emtkit.execute.content import pack
from emtkit.execute.demand import Demand
from emtkit.execute.jobs import MeasureJob, Subjects, TrainJob
from emtkit.execute.store import Store
from emtkit.plugin.registry import Registry
from emtkit.study.cells import Cell, Judgement, Measure, digest
from emtkit.train.stacks import Stack, group, split, tier_named

STACK_ROWS = 64
MEASURE_CELLS = 8
CONSTRUCT_CELLS = 32


@dataclass(frozen=True)
class Training:
    """A stack, or what is left of it."""

    cells: tuple[Cell, ...]
    tier: str
    work: float

    def halves(self) -> tuple[Training, ...]:
        """Its two halves, or nothing where it is a cell alone."""
        middle = len(self.cells) // 2
        if not middle:
            return ()
        parts = (self.cells[:middle], self.cells[middle:])
        return tuple(replace(self, cells=part) for part in parts)


@dataclass(frozen=True)
class Measuring:
    """Cells of one shape, and the keys of what is to be found out of them."""

    cells: tuple[Cell, ...]
    findings: tuple[str, ...]

    def halves(self) -> tuple[Measuring, ...]:
        """Halved by cells, a cell alone by what is asked of it; nothing where that is one thing."""
        middle = len(self.cells) // 2
        if middle:
            parts = (self.cells[:middle], self.cells[middle:])
            return tuple(replace(self, cells=part) for part in parts)
        middle = len(self.findings) // 2
        if not middle:
            return ()
        keys = (self.findings[:middle], self.findings[middle:])
        return tuple(replace(self, findings=part) for part in keys)


Item = Training | Measuring


class Backlog:
    """Two queues; training goes first, since measuring waits for it."""

    def __init__(self, demand: Demand, registry: Registry, store: Store) -> None:
        self._demand, self._registry, self._store = demand, registry, store
        self._training: deque[Training] = deque()
        self._measuring: deque[Measuring] = deque()
        self._shape: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._training) + len(self._measuring)

    def take(self) -> Item:
        """What is to be done next."""
        return self._training.popleft() if self._training else self._measuring.popleft()

    def again(self, item: Item, *, first: bool = False) -> None:
        """Put an item back, at the end or (`first`) at the front of its queue."""
        queue: deque[Training] | deque[Measuring]
        queue = self._training if isinstance(item, Training) else self._measuring
        if first:
            queue.appendleft(item)  # type: ignore[arg-type]
        else:
            queue.append(item)  # type: ignore[arg-type]

    def train(self, cells: Sequence[Cell], workers: int, tier: str | None) -> None:
        """Queue the cells as stacks; one that is under way goes on in the tier it began with."""
        metas = self._store.state_metas(cell.key for cell in cells)
        begun_in = {key: str(meta["tier"]) for key, meta in metas.items()}
        parts: list[Training] = []
        for stack in group(cells, self._registry, tier):
            self._shape.update({cell.key: stack.key for cell in stack.cells})
            for name, members in _by_tier(stack, begun_in).items():
                ordered = tuple(sorted(members, key=lambda cell: (cell.seed, cell.key)))
                whole = replace(stack, cells=ordered, tier=name)
                pieces = split(whole, workers, STACK_ROWS)
                parts += [Training(p.cells, p.tier, p.work * len(p.cells)) for p in pieces]
        plain = [cell for cell in cells if not cell.trains or cell.training.steps == 0]
        parts += [Training(part, tier or "vmap", 0.0) for part in _chunks(plain, CONSTRUCT_CELLS)]
        self._training.extend(sorted(parts, key=lambda part: -part.work))

    def measure(self, cells: Iterable[Cell], known: set[str]) -> None:
        """Queue the cells that have something left to find, in chunks of one shape."""
        by_shape: dict[str, list[Cell]] = {}
        for cell in cells:
            if any(key not in known for key in self._demand.of_cell(cell.key)):
                by_shape.setdefault(self._look(cell), []).append(cell)
        for alike in by_shape.values():
            for part in _chunks(alike, MEASURE_CELLS):
                keys = [key for cell in part for key in self._demand.of_cell(cell.key)]
                left = tuple(key for key in keys if key not in known)
                self._measuring.append(Measuring(part, left))

    def job(self, item: Item, segment: float) -> bytes:
        """The message that asks a worker for `item`, with all that it needs from the store."""
        if isinstance(item, Training):
            states = self._store.states_of(cell.key for cell in item.cells)
            held = {key: state.data for key, state in states.items()}
            return TrainJob(item.cells, item.tier, segment, held).encode()
        keys, wanted = [cell.key for cell in item.cells], set(item.findings)
        stored = self._store.cells_of(keys)
        subjects = [s for c in item.cells for s in self._subjects(c, stored[c.key].tier, wanted)]
        return MeasureJob(tuple(subjects)).encode()

    def _look(self, cell: Cell) -> str:
        """What cells must share to be judged as one stack."""
        shape = self._shape.get(cell.key) or digest(
            [cell.architecture.identity(), cell.task.identity(), cell.training.dtype]
        )
        asked = [
            [j.sequences, j.horizon, list(j.at)] for j in self._demand.judgements.get(cell.key, ())
        ]
        return digest([shape, asked])

    def _subjects(self, cell: Cell, tier: str, wanted: set[str]) -> list[Subjects]:
        judgements: list[Judgement | None] = [
            j for j in self._demand.judgements.get(cell.key, ()) if j.key in wanted
        ]
        measures = tuple(m for m in self._demand.measures.get(cell.key, ()) if m.key in wanted)
        weights = self._store.weights(cell.key) or b""
        history = pack({}, self._store.history(cell.key))
        kept = {step: self._store.weights(cell.key, step) for step in _steps(measures)}
        snapshots = {step: data for step, data in kept.items() if data is not None}
        asked = judgements or ([None] if measures else [])
        return [
            Subjects(
                cell, tier, weights, history, snapshots, judgement, measures if at == 0 else ()
            )
            for at, judgement in enumerate(asked)
        ]


def _by_tier(stack: Stack, begun_in: Mapping[str, str]) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = {}
    for cell in stack.cells:
        name = begun_in.get(cell.key, stack.tier)
        tier_named(name)
        found.setdefault(name, []).append(cell)
    return found


def _chunks(cells: Sequence[Cell], size: int) -> list[tuple[Cell, ...]]:
    return [tuple(cells[at : at + size]) for at in range(0, len(cells), size)]


def _steps(measures: Sequence[Measure]) -> list[int]:
    return sorted({step for measure in measures for step in measure.steps})
