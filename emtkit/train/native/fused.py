"""Whole iterations of a stack in one compiled call: draw, losses, gradients, clip and Adam.

For tasks that draw by a recipe. The weights stay in the kernel's order from event to event, and
no batch is ever stored: the kernel makes the inputs of a block of sequences where it reads them.
Every number is that of drawing, `NativeStep.gradients` and `CompiledAdam.step`
one after the other.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Recipe
from emtkit.study.settings import Training
from emtkit.train.native import machine
from emtkit.train.native.adam import CompiledAdam
from emtkit.train.native.network import Floats, Words
from emtkit.train.native.step import NativeStep
from emtkit.train.optimise import Buffers
from emtkit.train.tiers.base import Fused, Trained

_WORD = 2.0**32
_MOST = 1 << 28
"""Multiplications in one call, at most: a small part of a second."""


HONOURED = frozenset(
    {"steps", "batch", "optimizer", "lr", "weight_decay", "clip", "schedule", "dtype", "device"}
    | {"tf32", "stop", "solved", "check", "curriculum", "snapshots"}
)
"""The fields of training that whole iterations know of, or that the loop around them sees to."""


def takes(training: Training) -> bool:
    """Whether whole iterations do all that `training` asks for: other fields stay at defaults."""
    plain = Training()
    others = Training.model_fields.keys() - HONOURED
    known = all(getattr(training, name) == getattr(plain, name) for name in others)
    return known and CompiledAdam.takes(training) and not training.curriculum.moves


def one_upper_word(stream: Stream, numbers: int) -> bool:
    """Whether the numbers of all blocks of the next draw have one upper word; the kernel needs it.

    Only a draw that passes a multiple of 2^32 blocks has two.
    """
    last = stream.position + max(0, numbers - 1) // 4
    return stream.position >> 32 == last >> 32


class FusedTraining(Fused):
    """M rows of one network, each with its recipe, its stream and its optimiser's numbers."""

    def __init__(
        self,
        step: NativeStep,
        names: Sequence[str],
        recipes: Sequence[Recipe],
        scales: Floats,
        trainings: Sequence[Training],
        streams: Sequence[Stream],
        parameters: Tensor,
        buffers: Buffers,
    ) -> None:
        """`step` scores the last steps, `scales` (M scored O); `streams` begin the next draw.

        That draw has to be one of `one_upper_word`.
        """
        network, models = step.network, len(recipes)
        self._step, self._adam = step, CompiledAdam(trainings)
        self._order = network.order(names)
        self._absent = np.setdiff1d(np.arange(network.parameters), self._order)
        self._weights, self._first, self._second = (
            network.flat(part.numpy(), self._order)
            for part in (parameters, buffers["first"], buffers["second"])
        )
        self._counters = np.array([stream.counter for stream in streams], dtype=np.uint64)
        self._limits = np.array([(recipe.density or 0.0) * _WORD for recipe in recipes])
        self._again, self._signs = _recalled(step, recipes)
        masks = np.array([recipe.mask for recipe in recipes])
        self._counted = np.ascontiguousarray(masks[:, step.steps - step.scored :] > 0)
        self._scales = scales / np.float32(step.batch)
        signs = recipes[0].density is None
        self._plan = replace(step.plan, drawn=not signs, recalled=True)
        numbers = step.input_steps * network.inputs
        words = -(-step.batch * numbers // 128) * 4 if signs else step.padded * numbers
        self._words = np.empty(words, dtype=np.uint32)
        self._spread = np.zeros((step.padded if signs else 1, numbers), dtype=np.float32)
        work = models * step.padded * step.steps * network.parameters
        self.most = max(1, _MOST // work)

    def run(self, count: int) -> Trained:
        """See `Fused.run`."""
        from emtkit.train.native.compile import training_kernel

        step, network, models = self._step, self._step.network, len(self._weights)
        turn, modes = self._turns()
        losses, healthy = np.empty((count, models)), np.full(models, True)
        done = training_kernel(self._plan, machine.digest())(
            (step.batch, step.padded, step.steps, step.input_steps, step.scored),
            step.places,
            self._counters,
            turn,
            modes,
            self._limits,
            self._words,
            self._spread,
            self._again,
            self._signs,
            self._scales,
            self._counted,
            network.back_places,
            np.empty(network.hidden * network.back, dtype=np.float32),
            self._absent,
            self._order,
            self._weights,
            self._first,
            self._second,
            np.empty_like(self._weights),
            np.empty(step.scored),
            self._adam.factors.after(self._counters[:, 2].tolist(), count),
            self._adam.rule,
            losses,
            healthy,
        )
        self._counters[:, 2] += np.uint64(done)
        return Trained(losses[:done], healthy)

    def state(self) -> tuple[Tensor, Buffers]:
        """See `Fused.state`."""
        rows = (self._weights, self._first, self._second)
        weights, first, second = (
            torch.from_numpy(np.take(part, self._order, axis=1)) for part in rows
        )
        return weights, {"first": first, "second": second}

    def _turns(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows in the order in which they share draws, and what each does about its words."""
        keys = [tuple(counter) for counter in self._counters.tolist()]
        turn = sorted(range(len(keys)), key=keys.__getitem__)
        shared = [keys[before] == keys[row] for before, row in pairwise(turn)]
        modes = [
            Words.TAKE if before else Words.KEEP if after else Words.MAKE
            for before, after in pairwise([False, *shared, False])
        ]
        return np.array(turn, dtype=np.int64), np.array(modes, dtype=np.int64)


def _recalled(step: NativeStep, recipes: Sequence[Recipe]) -> tuple[NDArray[np.int64], Floats]:
    """Where the targets of the scored steps lie (M K O), and minus their signs."""
    network, first = step.network, (step.steps - step.scored) * step.network.outputs
    row = 4 * 16 * step.width
    sources = np.array([recipe.sources[first:] for recipe in recipes], dtype=np.int64)
    signs = np.array([recipe.signs[first:] for recipe in recipes], dtype=np.float32)
    step_of, channel = np.divmod(sources, network.inputs)
    places = step.places[1] + (step_of * network.columns + channel) * row
    return np.where(sources < 0, step.places[7], places), -signs
