"""What is looked at: states, the items that they must hold, and which sequences are alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emtkit import Batch, NotApplicable, RecurrentModel, Subject
from emtkit_std._theory.facts import Array
from emtkit_std._theory.networks.recurrence import to_array
from emtkit_std._theory.observe import LARGEST, in_double, trajectories
from emtkit_std._theory.required_memory import Item, RequiredMemory, required_memory

MOST_TIMES = 12
FOLDS = 4
ROWS_PER_ITEM = 4
"""Sequences for each item, for a regression on all of them to say something of each."""


@dataclass(frozen=True, eq=False)
class Observed:
    """`states` (N K H) after the `times` (K), `outputs` (N T O), `values` (N M) of all items.

    `needed` are the items of each time, by their place in `memory`; `folds` (N) are the parts of a
    cross-validation, in which equal inputs are never apart.
    """

    batch: Batch
    times: Sequence[int]
    states: Array
    outputs: Array
    memory: RequiredMemory
    values: Array
    needed: Sequence[Sequence[int]]
    folds: NDArray[np.int64]

    def weight(self, k: int) -> Array:
        """How much each of the needed items is needed at the k-th time."""
        return self.memory.weight[self.times[k], self.needed[k]]

    def ages(self, k: int) -> NDArray[np.int64]:
        """Steps since each of the needed items came."""
        came = [self.memory.items[m].step for m in self.needed[k]]
        return self.times[k] - np.array(came, dtype=np.int64)

    def before(self, k: int) -> dict[int, int]:
        """Of the items needed at the k-th time: which entry of their channel came a step earlier.

        Left out are those of the first step.
        """
        place = {item: m for m, item in enumerate(self.memory.items)}
        items = {m: self.memory.items[m] for m in self.needed[k]}
        return {
            m: place[Item(item.step - 1, item.channel)] for m, item in items.items() if item.step
        }


def observe(subject: Subject, sequences: int) -> Observed:
    """Run the subject within the steps that it is trained on.

    Raises:
        NotApplicable: nothing is to be remembered, the states overflow, or the sequences are too
            few for so many items.
    """
    memory = required_memory(subject)
    seen = trajectories(subject, in_double(subject.model), sequences)
    batch = seen.batch
    bounded = (seen.states.abs() < LARGEST).all(-1).all(0)
    steps = int(bounded.long().cumprod(0).sum())
    last = min(steps, len(memory.weight))
    times = [t for t in range(_begin(subject, batch), last) if memory.at(t)]
    if not times:
        raise NotApplicable(
            f"nothing has to be remembered in the {steps} of {batch.steps} steps whose states stay "
            f"below {LARGEST:g}"
        )
    times = _thinned(times)
    needed = [memory.at(t) for t in times]
    if (most := max(map(len, needed))) * ROWS_PER_ITEM > sequences:
        raise NotApplicable(
            f"{most} items are needed at one step; {sequences} sequences tell them apart for "
            f"{sequences // ROWS_PER_ITEM} at most, so raise `sequences`"
        )
    inputs = to_array(batch.inputs)
    values = np.stack([inputs[:, item.step, item.channel] for item in memory.items], 1)
    states = to_array(seen.states[:, times])
    outputs = to_array(seen.outputs)
    order = subject.stream.fork("folds").uniform((sequences,)).numpy()
    folds = _folds(inputs, order)
    return Observed(batch, times, states, outputs, memory, values, needed, folds)


def _begin(subject: Subject, batch: Batch) -> int:
    """The first step whose state is the network's own: a state may be set from all inputs."""
    late = not bool(batch.mask[..., : batch.input_steps].any())
    encoded = isinstance(subject.model, RecurrentModel) and subject.model.encodes()
    return batch.input_steps - 1 if late or encoded else 0


def _thinned(times: list[int]) -> list[int]:
    """At most `MOST_TIMES`, in pairs of neighbours that are spread evenly."""
    if len(times) <= MOST_TIMES:
        return times
    starts = np.linspace(0, len(times) - 2, MOST_TIMES // 2).round().astype(int)
    return sorted({times[start + more] for start in starts for more in (0, 1)})


def _folds(inputs: Array, order: Array) -> NDArray[np.int64]:
    """The part of each sequence: kinds of equal inputs in turn, in the order of what was drawn."""
    kinds = np.unique(inputs.reshape(len(inputs), -1), axis=0, return_inverse=True)[1].ravel()
    places = order[: kinds.max() + 1].argsort().argsort()
    return np.asarray(places[kinds] % FOLDS)
