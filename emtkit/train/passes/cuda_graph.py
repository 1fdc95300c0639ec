"""CUDA: a program recorded once as a graph and then replayed.

Recording runs the program a few times on a stream of its own, so that libraries set themselves up
and buffers grow; then once more, in which nothing is computed and every kernel is written down with
the addresses that it works on. These must outlive the graph, which is why it keeps them.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from emtkit.plugin.task import Batch
from emtkit.train.iteration import Iteration, TrainState
from emtkit.train.optimise import StackOptimiser
from emtkit.train.stack import Stacked
from emtkit.train.tiers.base import Span, Tier
from emtkit.train.tiers.cuda import CudaTier
from emtkit.train.tiers.dense import DenseTier

WARM_UPS = 3


class Graphs:
    """What recording needs of torch: its own stream, and memory that the graphs share.

    They may share it because they run one after the other, and nothing but what a program has
    `found` is read after it.
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, run: Callable[[], None]) -> None:
        """Run a few times, on another stream than the recording's."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                run()
        torch.cuda.current_stream().wait_stream(side)

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        """What does again, at the same addresses, all that `run` does."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            run()
        return graph.replay

    def send(self, values: Tensor, place: Tensor) -> None:
        """Copy to `place`, from the processor's memory without waiting for it.

        The allocator of pinned memory hands a block out again only when its copy is over.
        """
        values = values.contiguous().pin_memory() if values.is_cpu else values
        place.copy_(values, non_blocking=True)


@dataclass(eq=False)
class Captured(Iteration):
    """A program as graphs; the processor hands over the data and looks at nothing."""

    tier: DenseTier
    graphs: Graphs

    def __post_init__(self) -> None:
        self._replays: dict[str, Callable[[], None]] = {}
        self._kept: list[Tensor] = []

    def load(self, batch: Batch, masks: Tensor, schedule: Tensor) -> None:
        """Copy the next iteration's numbers to where the graphs read them.

        Inputs are zero from step `input_steps` on, and targets do not count outside of `span`:
        nobody reads them there.
        """
        given, scored = slice(batch.input_steps), slice(self.span.first, self.span.end)
        if not self._kept:
            self._reserve(batch, masks, schedule)
        send = self.graphs.send
        send(batch.inputs[:, :, given], self.batch.inputs[:, :, given])
        send(batch.targets[:, :, scored], self.batch.targets[:, :, scored])
        send(masks, self.masks)
        send(schedule, self.schedule)

    def _reserve(self, batch: Batch, masks: Tensor, schedule: Tensor) -> None:
        """Places for what is handed over; the programs of a tier share the large ones."""
        like = self.train_state.flat
        inputs = self.tier.work.room("given inputs", tuple(batch.inputs.shape), like)
        targets = self.tier.work.room("given targets", tuple(batch.targets.shape), like)
        self.masks = torch.empty_like(masks, device=like.device)
        self.schedule = torch.empty_like(schedule, device=like.device)
        self.batch = Batch(inputs, targets, batch.mask.to(like.device), batch.input_steps)
        self._kept = [inputs, targets]

    def _run(self, *parts: Callable[[], None]) -> None:
        name = " ".join(part.__name__ for part in parts)
        if name not in self._replays:
            self._replays[name] = self._recorded(parts)
        self._replays[name]()

    def _recorded(self, parts: tuple[Callable[[], None], ...]) -> Callable[[], None]:
        def run() -> None:
            for part in parts:
                part()

        before = deepcopy(self.train_state)
        self.train_state.noted.zero_()
        self.graphs.warm_up(run)
        self._kept += self.tier.work.held.values()
        replay = self.graphs.record(run)
        self.train_state.restore(before)
        return replay


class Programs:
    """The programs of the rows of `train_state`: recorded on CUDA, made at once elsewhere.

    A graph is recorded where a loss is a weighted square and nobody looks at outputs
    (`shows_outputs`): what a task does otherwise is its author's, and may ask for a number.
    """

    def __init__(
        self,
        tier: Tier,
        stacked: Stacked,
        optimiser: StackOptimiser,
        train_state: TrainState,
        *,
        shows_outputs: bool,
    ) -> None:
        self._tier, self._whole = tier, (stacked, optimiser, train_state)
        self._held: dict[tuple[int, int, Span], Captured] = {}
        recorded = isinstance(tier, CudaTier) and stacked.squares is not None and not shows_outputs
        self._graphs = Graphs() if recorded else None

    def of(self, batch: Batch, span: Span) -> Iteration:
        """The program for batches of that shape, scored within `span`."""
        if self._graphs is None or not isinstance(self._tier, CudaTier):
            return Iteration(self._tier, *self._whole, span)
        shape = (batch.steps, batch.input_steps, span)
        if shape not in self._held:
            self._held[shape] = Captured(self._tier, *self._whole, span, self._graphs)
        return self._held[shape]
