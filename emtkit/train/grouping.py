"""Which cells train together, and in which tier; decided by shapes, never by counts or timings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

from emtkit.errors import EmtkitError, PluginError, did_you_mean
from emtkit.methods.folder import final_classes
from emtkit.methods.settings import Scope
from emtkit.plugin.architecture import RecurrentModel
from emtkit.plugin.mistakes import step_mistake
from emtkit.plugin.registry import Registry
from emtkit.plugin.stream import CPU, Stream
from emtkit.study.cells import Cell, digest
from emtkit.train.build import build_model, build_task
from emtkit.train.stack import flatten
from emtkit.train.tiers.base import STACK_ROWS, Tier

TIERS: Mapping[str, type[Tier]] = {
    tier.name: tier for tier in sorted(final_classes(Tier), key=lambda tier: tier.order)
}
"""Every tier by its name, in the order in which a network is offered to them."""


@dataclass(frozen=True)
class Stack:
    """Cells that train as one program, on sequences of at most `length` steps.

    `most` is how many rows one program may have, `why` the reason against the tier before.
    """

    key: str
    cells: tuple[Cell, ...]
    tier: str
    length: int
    parameters: int
    most: int = STACK_ROWS
    why: str = ""

    @property
    def work(self) -> float:
        """About how many multiplications one row needs."""
        training = self.cells[0].training
        return float(training.steps * training.batch * self.length * max(self.parameters, 1))


@dataclass(frozen=True)
class Shape:
    """What one (task, architecture) pair looks like to the stacker; `pair` is its key.

    `most` is how many rows a program of its tier may have, where the pair was inspected, and `why`
    the reason why it does not train in the tier before, of those that this installation has.
    """

    pair: str
    shapes: str
    parameters: int
    steps: int
    tier: str
    most: int = STACK_ROWS
    why: str = ""


def pair_of(cell: Cell) -> str:
    """Key of what a cell's shape depends on; all cells that share it are inspected once."""
    training = cell.training.identity_of(Scope.STACK, Scope.OUTSIDE)
    return digest([cell.task.identity(), cell.architecture.identity(), training])


def inspect_shape(cell: Cell, registry: Registry) -> Shape:
    """The shape of a cell's pair; runs the plugins' code, and raises what that raises."""
    task = build_task(registry, cell.task)
    model = build_model(registry, cell, task)
    if isinstance(model, RecurrentModel):
        mistake = step_mistake(model, task.channels.inputs)
        if mistake is not None:
            raise PluginError(f"{model.name}: {mistake}")
    horizon = None
    if task.horizons and task.horizon is not None:
        horizon = cell.training.curriculum.longest(task.horizon)
    batch = task.sample(1, Stream(None, "shapes"), horizon)
    shapes: dict[str, object] = {
        "parameters": {name: list(value.shape) for name, value in model.named_parameters()},
        "buffers": {name: list(value.shape) for name, value in model.named_buffers()},
        "batch": [list(batch.inputs.shape), list(batch.targets.shape), batch.input_steps],
    }
    scored = batch.scored_steps.nonzero().flatten().tolist()
    shapes["scored once"] = scored if len(scored) == 1 else None  # these take a shorter path
    why = ""
    for tier in TIERS.values():
        reason = tier.leaves_out(model) or tier.refusal(model, task, cell.training)
        if reason is None:
            break
        if tier.lacking() is None:
            why = f"not {tier.name}: {reason}"
    most = tier.most_rows(model, batch, cell.training.batch)
    sizes = flatten(model).numel(), batch.steps
    return Shape(pair_of(cell), digest(shapes), *sizes, tier.name, most, why)


def group(
    cells: Iterable[Cell],
    registry: Registry,
    tier: str | None = None,
    shapes: Mapping[str, Shape] | None = None,
) -> list[Stack]:
    """Cells that train, in stacks, the most work first. `tier` overrides the choice.

    `shapes` by pair are those that are known already; the others are inspected here.
    """
    known = dict(shapes or {})
    found: dict[str, tuple[Shape, list[Cell]]] = {}
    for cell in cells:
        if not cell.trains or cell.training.steps == 0:
            continue
        pair = pair_of(cell)
        if pair not in known:
            known[pair] = inspect_shape(cell, registry)
        shape, shared = known[pair], cell.training.identity_of(Scope.STACK)
        network = [cell.architecture.identity(), cell.task.name]
        key = digest([*network, shape.shapes, shape.tier, shared])
        found.setdefault(key, (shape, []))[1].append(cell)
    stacks = []
    for key, (shape, members) in found.items():
        used = tier or shape.tier
        most = shape.most if used == shape.tier else STACK_ROWS
        why = shape.why if used == shape.tier else ""
        stacks.append(Stack(key, tuple(members), used, shape.steps, shape.parameters, most, why))
    return sorted(stacks, key=lambda entry: -entry.work * len(entry.cells))


def split(stack: Stack, workers: int) -> list[Stack]:
    """Parts of about equal size, none larger than the stack allows: at least one per worker while
    rows last; on a device as few as possible, since all workers would share it.
    """
    on_device = TIERS[stack.tier].device != CPU
    wanted = 1 if on_device else min(workers, len(stack.cells) // 2)
    parts = max(wanted, -(-len(stack.cells) // stack.most), 1)
    edges = [round(part * len(stack.cells) / parts) for part in range(parts + 1)]
    return [replace(stack, cells=stack.cells[low:high]) for low, high in pairwise(edges)]


def tier_named(name: str) -> Tier:
    """The tier of that name.

    Raises:
        EmtkitError: there is no such tier in this installation.
    """
    if name not in TIERS:
        raise EmtkitError(f"there is no tier '{name}'; {did_you_mean(name, available())}")
    lacking = TIERS[name].lacking()
    if lacking is None:
        return TIERS[name]()
    raise EmtkitError(
        f"the tier '{name}', in which this training is to run, is not here: {lacking}. Or choose "
        f"another with --tier ({', '.join(available())}; equal within float tolerance, not bit "
        "for bit)"
    )


@cache
def available() -> tuple[str, ...]:
    """Names of the tiers that this installation has."""
    return tuple(name for name, tier in TIERS.items() if tier.lacking() is None)
