"""Which cells train together, and in which tier; decided by shapes, never by counts or timings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import torch

from emtkit.errors import EmtkitError, did_you_mean
from emtkit.plugin.architecture import RecurrentModel, SequenceModel
from emtkit.plugin.registry import Registry
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Task
from emtkit.study.cells import Cell, digest
from emtkit.train.build import build_model, build_task
from emtkit.train.curriculum import longest
from emtkit.train.device import has_cuda, rows_of_cuda
from emtkit.train.native.machine import unavailable
from emtkit.train.native.tier import NativeTier
from emtkit.train.stack import flatten, stack
from emtkit.train.tiers.base import Tier
from emtkit.train.tiers.dense import CudaTier, DenseTier, Tf32Tier
from emtkit.train.tiers.loop import LoopTier
from emtkit.train.tiers.vmap import VmapTier

TIERS: tuple[type[Tier], ...] = (CudaTier, Tf32Tier, NativeTier, DenseTier, VmapTier, LoopTier)

ON_CUDA = (CudaTier.name, Tf32Tier.name)

STACK_ROWS = 64
"""Most rows of one program on the processor, whose caches larger ones overflow."""


@dataclass(frozen=True)
class Stack:
    """Cells that train as one program, on sequences of at most `length` steps.

    `most` is how many rows one program may have.
    """

    key: str
    cells: tuple[Cell, ...]
    tier: str
    length: int
    parameters: int
    most: int = STACK_ROWS

    @property
    def work(self) -> float:
        """About how many multiplications one row needs."""
        training = self.cells[0].training
        return float(training.steps * training.batch * self.length * max(self.parameters, 1))


@dataclass(frozen=True)
class Shape:
    """What one (task, architecture) pair looks like to the stacker; `pair` is its key.

    `rows_of_cuda` is how many rows the CUDA device of who looked holds, 0 where there is none.
    """

    pair: str
    shapes: str
    parameters: int
    steps: int
    tier: str
    rows_of_cuda: int = 0


def pair_of(cell: Cell) -> str:
    """Key of what a cell's shape depends on; one look serves all cells that share it."""
    include = {"batch", "dtype", "device", "tf32", "curriculum"}
    training = cell.training.model_dump_json(include=include, by_alias=True)
    return digest([cell.task.identity(), cell.architecture.identity(), training])


def look(cell: Cell, registry: Registry) -> Shape:
    """The shape of a cell's pair; runs the plugins' code.

    What raises gets a shape of its own: training meets the error again, and stores it.
    """
    pair = pair_of(cell)
    try:
        return _look(pair, cell, registry)
    except Exception:  # whatever a plugin raises
        return Shape(pair, pair, 1, 1, LoopTier.name)


def group(
    cells: Iterable[Cell],
    registry: Registry,
    tier: str | None = None,
    shapes: Mapping[str, Shape] | None = None,
) -> list[Stack]:
    """Cells that train, in stacks, the most work first. `tier` overrides the choice.

    `shapes` by pair are those that are known already; the others are looked at here.
    """
    known = dict(shapes or {})
    found: dict[str, list[Cell]] = {}
    seen: dict[str, Shape] = {}
    for cell in cells:
        if not cell.trains or cell.training.steps == 0:
            continue
        pair = pair_of(cell)
        if pair not in known:
            known[pair] = look(cell, registry)
        key = _stack_key(cell, known[pair])
        found.setdefault(key, []).append(cell)
        seen[key] = known[pair]
    stacks = []
    for key, members in found.items():
        shape = seen[key]
        used = tier or shape.tier
        on_cuda = used in ON_CUDA and shape.rows_of_cuda
        most = shape.rows_of_cuda if on_cuda else STACK_ROWS
        stacks.append(Stack(key, tuple(members), used, shape.steps, shape.parameters, most))
    return sorted(stacks, key=lambda entry: -entry.work * len(entry.cells))


def split(stack: Stack, workers: int) -> list[Stack]:
    """Parts of about equal size, none larger than the stack allows: at least one per worker while
    rows last; on CUDA as few as possible, since all workers would share one device.
    """
    wanted = 1 if stack.tier in ON_CUDA else min(workers, len(stack.cells) // 2)
    parts = max(wanted, -(-len(stack.cells) // stack.most), 1)
    edges = [round(part * len(stack.cells) / parts) for part in range(parts + 1)]
    return [replace(stack, cells=stack.cells[low:high]) for low, high in pairwise(edges)]


def tier_named(name: str) -> Tier:
    """The tier of that name.

    Raises:
        EmtkitError: there is no such tier in this installation.
    """
    here = {tier.name: tier for tier in TIERS if tier.name in available()}
    if name in here:
        return here[name]()
    if name == Tf32Tier.name:
        raise EmtkitError(
            "this study asks for TF32 (`tf32: true`), and torch finds no CUDA device here. Leave "
            "`tf32` out to train in float32; the networks are then others, under other keys"
        )
    if name == CudaTier.name:
        raise EmtkitError(
            "this training is to run on CUDA (`device: cuda`, `--tier cuda`, or it began there), "
            "and torch finds no CUDA device here. Choose a tier of the processor with --tier "
            "(equal within float tolerance, not bit for bit)"
        )
    raise EmtkitError(
        f"the tier '{name}', in which this training is to go on, is not here; "
        f"{did_you_mean(name, here)}. Choose one with --tier (equal within float tolerance, not "
        "bit for bit)"
    )


@cache
def available() -> tuple[str, ...]:
    """Names of the tiers that this installation has."""
    lacking = {NativeTier.name} if unavailable() else set()
    if not has_cuda():
        lacking.update(ON_CUDA)
    return tuple(tier.name for tier in TIERS if tier.name not in lacking)


def _stack_key(cell: Cell, shape: Shape) -> str:
    training = cell.training.model_dump(mode="json", by_alias=True)
    shared = ["batch", "optimizer", "dtype", "curriculum", "stop", "solved"]
    return digest(
        [
            cell.architecture.identity(),
            cell.task.name,
            shape.shapes,
            shape.tier,
            [training[name] for name in shared],
        ]
    )


def _look(pair: str, cell: Cell, registry: Registry) -> Shape:
    task = build_task(registry, cell.task)
    model = build_model(registry, cell, task)
    horizon = longest(cell.training, task)
    batch = task.sample(1, Stream(None, "shapes"), horizon)
    shapes: dict[str, object] = {
        "parameters": {name: list(value.shape) for name, value in model.named_parameters()},
        "buffers": {name: list(value.shape) for name, value in model.named_buffers()},
        "batch": [list(batch.inputs.shape), list(batch.targets.shape), batch.input_steps],
    }
    scored = batch.mask.nonzero().flatten().tolist()
    shapes["scored once"] = scored if len(scored) == 1 else None  # these take a shorter path
    tier = _tier(model, task, cell)
    rows = 0
    if tier in ON_CUDA and has_cuda() and isinstance(model, RecurrentModel):
        rows = rows_of_cuda(model, batch, cell.training.batch)
    return Shape(pair, digest(shapes), flatten(model).numel(), batch.steps, tier, rows)


def _tier(model: SequenceModel, task: Task, cell: Cell) -> str:
    """The fastest tier that takes the network: on CUDA, native, dense, vmap where it runs, loop.

    A study that insists on CUDA gets that tier here, and the error where it is to be used.
    """
    device = cell.training.device
    on_cuda = device == "cuda" or (device == "auto" and has_cuda())
    if on_cuda and CudaTier.refusal(model) is None:
        return Tf32Tier.name if cell.training.tf32 else CudaTier.name
    if NativeTier.refusal(model, task, cell.training) is None:
        return NativeTier.name
    if DenseTier.refusal(model) is None:
        return DenseTier.name
    stacked = stack([model, model], [task, task], ["", ""])
    flat = torch.stack([flatten(model)] * 2)
    streams: Sequence[Stream] = [Stream(None, "shapes", dtype=flat.dtype) for _ in range(2)]
    try:
        batch = stacked.draw(2, streams, 1 if task.horizons else None)
        is_apart = VmapTier().refusal(stacked, flat, batch)
    except RuntimeError:
        return LoopTier.name
    return LoopTier.name if is_apart else VmapTier.name
