"""What waits for a worker: unknown shapes, stacks to train, networks to measure and to compare."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from emtkit.execute.messages import CompareJob, MeasureJob, RunJob, ShapeJob, Subjects, TrainJob
from emtkit.execute.required import Required
from emtkit.plugin.catalogue import Kind
from emtkit.plugin.registry import Registry
from emtkit.store.content import pack
from emtkit.store.store import Store
from emtkit.study.cells import Cell, EvaluationSpec, Measure, canonical, digest
from emtkit.train.grouping import Shape, Stack, group, pair_of, split, tier_named
from emtkit.train.tiers.vmap import VmapTier

Part = TypeVar("Part")

MEASURE_CELLS = 16
CONSTRUCT_CELLS = 32
COMPARE_CELLS = 8
"""Networks on each side of a comparing job: each is loaded once for as many pairs."""


@dataclass(frozen=True)
class ShapeItem:
    """One cell of a pair of task and architecture, whose shape tells how its cells stack."""

    cells: tuple[Cell]

    def halves(self) -> tuple["ShapeItem", ...]:
        """None: one pair at a time, so that none is blamed for another."""
        return ()


@dataclass(frozen=True)
class TrainItem:
    """A stack, or what is left of it."""

    cells: tuple[Cell, ...]
    tier: str
    work: float

    def halves(self) -> tuple["TrainItem", ...]:
        """Its two halves, or nothing where it is a cell alone."""
        middle = len(self.cells) // 2
        if not middle:
            return ()
        parts = (self.cells[:middle], self.cells[middle:])
        return tuple(replace(self, cells=part) for part in parts)


@dataclass(frozen=True)
class MeasureItem:
    """Cells of one shape, and for each of them `keys` of the findings that are to be made."""

    cells: tuple[Cell, ...]
    keys: tuple[tuple[str, ...], ...]

    @property
    def findings(self) -> tuple[str, ...]:
        """The keys of all cells."""
        return tuple(key for keys in self.keys for key in keys)

    def halves(self) -> tuple["MeasureItem", ...]:
        """Halved by cells, a cell alone by its findings; nothing where there is one finding."""
        middle = len(self.cells) // 2
        if middle:
            first = replace(self, cells=self.cells[:middle], keys=self.keys[:middle])
            return (first, replace(self, cells=self.cells[middle:], keys=self.keys[middle:]))
        (keys,) = self.keys
        middle = len(keys) // 2
        parts = (keys[:middle], keys[middle:]) if middle else ()
        return tuple(replace(self, keys=(part,)) for part in parts)

    def left(self, found: Collection[str]) -> "MeasureItem":
        """What of it was not found."""
        pairs = [
            (cell, tuple(key for key in keys if key not in found))
            for cell, keys in zip(self.cells, self.keys, strict=True)
        ]
        cells = tuple(cell for cell, keys in pairs if keys)
        return replace(self, cells=cells, keys=tuple(keys for _, keys in pairs if keys))


class CompareItem(MeasureItem):
    """Cells, and for each of them the findings in which it is the first of two."""


Item = ShapeItem | TrainItem | MeasureItem

ByTask = dict[str, dict[str, list[MeasureItem]]]
"""Items by what they share to be evaluated as one stack, and by their task."""


class Queue:
    """Shapes go first, since packing waits for them; training before measuring.

    Networks that were constructed come in the order of their settings, so that those of one worker
    are much alike. They are measured at once, most often by the worker that made them: it may still
    know what took long to find. Trained ones wait until nothing is left to train, and go together
    with others of their task, whose sequences and closed forms they share.
    """

    def __init__(
        self, required: Required, registry: Registry, store: Store, workers: int, tier: str | None
    ) -> None:
        self._required, self._registry, self._store = required, registry, store
        self._workers, self._tier = workers, tier
        kinds = (ShapeItem, TrainItem, MeasureItem, CompareItem)
        self._waiting: dict[type, deque[Any]] = {kind: deque() for kind in kinds}
        self._constructed: deque[Any] = deque()
        self._trained: ByTask = {}
        self._shapeless: dict[str, list[Cell]] = {}
        self._shapes: dict[str, Shape] = {}
        self._stack: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._constructed) + len(self._trained) + sum(map(len, self._waiting.values()))

    @property
    def pairs(self) -> int:
        """How many pairs wait for a worker."""
        return len(self._waiting[ShapeItem])

    def take(self, takes: Callable[[frozenset[str]], bool]) -> Item | None:
        """What comes next of what needs only such loose files as `takes` allows; else None."""
        shapes, *others = self._waiting.values()
        item: Item
        for queue in (shapes, self._constructed, *others):
            if queue is self._waiting[MeasureItem]:
                queue += self._trained_items()
            for at, item in enumerate(queue):
                if takes(self.loose_files(item)):
                    del queue[at]
                    return item
            if queue and queue is not self._constructed:
                return None
        return None

    def loose_files(self, item: Item) -> frozenset[str]:
        """The loose plugin files whose code an item runs."""
        return self._files(item.cells, item.findings if isinstance(item, MeasureItem) else ())

    def _files(self, cells: Iterable[Cell], findings: Iterable[str]) -> frozenset[str]:
        required, findings = self._required, [*findings]
        seconds = {required.seconds[key] for key in findings if key in required.seconds}
        plugins = {required.plugins[key] for key in findings if key in required.plugins}
        others = (required.cells[key] for key in seconds)
        return loose_files(self._registry, (*cells, *others), plugins)

    def again(self, item: Item, *, first: bool = False) -> None:
        """Put an item back, at the end or (`first`) at the front of its queue."""
        queue = self._waiting[type(item)]
        if first:
            queue.appendleft(item)
        else:
            queue.append(item)

    def train(self, cells: Sequence[Cell]) -> None:
        """Queue cells that have no result yet. Of those that train, shapes come first."""
        plain = [cell for cell in cells if not cell.trains or cell.training.steps == 0]
        plain.sort(key=_settings)
        tier = self._tier or VmapTier.name
        self._waiting[TrainItem].extend(
            TrainItem(part, tier, 0.0) for part in _chunks(plain, CONSTRUCT_CELLS)
        )
        for cell in cells:
            if cell.trains and cell.training.steps:
                self._shapeless.setdefault(pair_of(cell), []).append(cell)
        self._waiting[ShapeItem].extend(
            ShapeItem((members[0],)) for members in self._shapeless.values()
        )

    def add_shapes(self, shapes: Iterable[Shape]) -> None:
        """Note the shapes that a worker found."""
        self._shapes.update({shape.pair: shape for shape in shapes})

    def give_up(self, cell: Cell) -> list[Cell]:
        """All cells of a pair that no worker survives; they wait no more."""
        return self._shapeless.pop(pair_of(cell), [])

    def stack(self) -> None:
        """Queue cells of known shape as stacks; one under way goes on in the tier it began with."""
        pairs = [pair for pair in self._shapeless if pair in self._shapes]
        cells = [cell for pair in pairs for cell in self._shapeless.pop(pair)]
        metas = self._store.state_metas(cell.key for cell in cells)
        begun_in = {key: str(meta["tier"]) for key, meta in metas.items() if "tier" in meta}
        parts = list(self._waiting[TrainItem])
        for stack in group(cells, self._registry, self._tier, self._shapes):
            self._stack.update({cell.key: stack.key for cell in stack.cells})
            for name, members in _by_tier(stack, begun_in).items():
                ordered = tuple(sorted(members, key=lambda cell: (cell.seed, cell.key)))
                whole = replace(stack, cells=ordered, tier=name)
                pieces = split(whole, self._workers)
                parts += [TrainItem(p.cells, p.tier, p.work * len(p.cells)) for p in pieces]
        self._waiting[TrainItem] = deque(sorted(parts, key=lambda part: -part.work))

    def measure(self, cells: Iterable[Cell], known: set[str]) -> None:
        """Queue the cells with findings left to make."""
        constructed: ByTask = {}
        for cell in cells:
            if keys := tuple(key for key in self._required.of_cell(cell.key) if key not in known):
                queued = self._trained if cell.trains else constructed
                tasks = queued.setdefault(self._evaluation_key(cell), {})
                alike = tasks.setdefault(digest(cell.task.identity()), [])
                alike.append(MeasureItem((cell,), (keys,)))
        self._constructed += self._chunked(constructed)

    def compare(self, done: Collection[str], known: set[str]) -> None:
        """Queue the comparisons left to make of cells that are `done`, two groups at a time."""
        compared = self._required.compared
        order = {key: at // COMPARE_CELLS for at, key in enumerate(_neighbours(done, compared))}
        tiles: dict[tuple[object, ...], dict[str, list[str]]] = {}
        for key, measures in compared.items():
            for one in measures if key in order else ():
                if one.key in known or one.second not in order:
                    continue
                files = self._files([self._required.cells[key]], [one.key])
                tile = tiles.setdefault((order[key], order[one.second], files), {})
                tile.setdefault(key, []).append(one.key)
        for tile in tiles.values():
            cells = tuple(self._required.cells[key] for key in tile)
            keys = tuple(map(tuple, tile.values()))
            self._waiting[CompareItem].append(CompareItem(cells, keys))

    def _trained_items(self) -> list[MeasureItem]:
        """Those of trained networks, which are handed out now."""
        items = list(self._chunked(self._trained))
        self._trained.clear()
        return items

    def _chunked(
        self, items: Mapping[str, Mapping[str, Iterable[MeasureItem]]]
    ) -> Iterator[MeasureItem]:
        """Items of one cell, by shape and task, joined to chunks of one shape."""
        for tasks in items.values():
            for part in _chunks(
                [item for alike in tasks.values() for item in alike], MEASURE_CELLS
            ):
                yield from self._by_files(part)

    def _by_files(self, parts: Sequence[MeasureItem]) -> Iterator[MeasureItem]:
        """What is left to find of these cells, an item for each set of loose files."""
        cells = tuple(cell for part in parts for cell in part.cells)
        items: dict[frozenset[str], list[list[str]]] = {}
        for at, part in enumerate(parts):
            for key in part.findings:
                files = self._files(part.cells, [key])
                items.setdefault(files, [[] for _ in cells])[at].append(key)
        for keys in items.values():
            yield MeasureItem(cells, tuple(map(tuple, keys))).left(())

    def job(self, item: Item, segment: float) -> RunJob:
        """The job of `item` for a worker, with all that it needs from the store."""
        if isinstance(item, ShapeItem):
            return ShapeJob(item.cells)
        if isinstance(item, TrainItem):
            states = self._store.states_of(cell.key for cell in item.cells)
            held = {key: state.data for key, state in states.items()}
            return TrainJob(item.cells, item.tier, segment, held)
        if isinstance(item, CompareItem):
            return self._comparing(item)
        keys, wanted = [cell.key for cell in item.cells], set(item.findings)
        stored = self._store.cells_of(keys)
        subjects = [s for c in item.cells for s in self._subjects(c, stored[c.key].tier, wanted)]
        return MeasureJob(tuple(subjects))

    def _comparing(self, item: CompareItem) -> CompareJob:
        """Each network of either side once, and for each of the first what it is compared by."""
        asked, required = set(item.findings), self._required
        others = {required.seconds[key]: None for key in item.findings}
        cells = {cell.key: cell for cell in (*item.cells, *map(required.cells.get, others)) if cell}
        tiers = {key: found.tier for key, found in self._store.cells_of(cells).items()}
        subjects = []
        for key, cell in cells.items():
            measures = tuple(m for m in required.compared.get(key, ()) if m.key in asked)
            weights, history = self._store.weights(key) or b"", pack({}, self._store.history(key))
            subjects.append(Subjects(cell, tiers[key], weights, history, {}, None, measures))
        return CompareJob(tuple(subjects))

    def _evaluation_key(self, cell: Cell) -> str:
        """What cells must share to be evaluated as one stack."""
        shape = self._stack.get(cell.key) or digest(
            [cell.architecture.identity(), cell.task.identity(), cell.training.dtype]
        )
        specs = self._required.evaluation_specs.get(cell.key, ())
        asked = [[s.sequences, s.horizon, list(s.at), s.task and s.task.identity()] for s in specs]
        return digest([shape, asked])

    def _subjects(self, cell: Cell, tier: str, wanted: set[str]) -> list[Subjects]:
        specs: list[EvaluationSpec | None] = [
            s for s in self._required.evaluation_specs.get(cell.key, ()) if s.key in wanted
        ]
        measures = tuple(m for m in self._required.measures.get(cell.key, ()) if m.key in wanted)
        weights = self._store.weights(cell.key) or b""
        history = pack({}, self._store.history(cell.key))
        steps = sorted({step for measure in measures for step in measure.steps})
        kept = {step: self._store.weights(cell.key, step) for step in steps}
        snapshots = {step: data for step, data in kept.items() if data is not None}
        return [
            Subjects(cell, tier, weights, history, snapshots, spec, () if at else measures)
            for at, spec in enumerate(specs or ([None] if measures else []))
        ]


def _neighbours(cells: Collection[str], compared: Mapping[str, Sequence[Measure]]) -> Sequence[str]:
    """The cells in an order in which those that are compared with each other stand together."""
    least = {cell: cell for cell in cells}
    for first, measures in compared.items():
        for key in {one.second for one in measures} if first in least else ():
            if key in least:
                low = min(first, key)
                least[first], least[key] = min(least[first], low), min(least[key], low)
    return sorted(least, key=lambda cell: (least[cell], cell))


def loose_files(
    registry: Registry, cells: Iterable[Cell], measuring: Iterable[tuple[Kind, str]] = ()
) -> frozenset[str]:
    """The loose plugin files that cells need, and what measures them."""
    names = set(measuring)
    for cell in cells:
        names |= {("task", cell.task.name), ("architecture", cell.architecture.name)}
    plugins = (registry.get(kind, name) for kind, name in names)
    return frozenset(str(p.source) for p in plugins if p is not None and p.source is not None)


def _by_tier(stack: Stack, begun_in: Mapping[str, str]) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = {}
    for cell in stack.cells:
        found.setdefault(begun_in.get(cell.key, stack.tier), []).append(cell)
    for name in found:
        tier_named(name)  # raises here, before anything is trained
    return found


def _settings(cell: Cell) -> str:
    """What a cell is, so written that neighbours in alphabetical order differ in little."""
    return canonical([cell.architecture.identity(), cell.task.identity(), cell.seed])


def _chunks(parts: Sequence[Part], size: int) -> list[tuple[Part, ...]]:
    return [tuple(parts[at : at + size]) for at in range(0, len(parts), size)]
