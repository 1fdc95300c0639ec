"""Histories that run on in silence, with noise in every step or one disturbance at first.

After the last input the state moves by F(h) = step(h, 0), and by sigma xi. Everything is in
float64.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from torch import Tensor

from emtkit import RecurrentModel, StateMap, Stream
from emtkit_std._theory import long_run
from emtkit_std._theory.facts import Array
from emtkit_std._theory.long_run import Answers
from emtkit_std._theory.standard_error import Ratio

BLOCK = 100
TINY = 1e-6
"""Of the state's size: a disturbance to which every map is linear."""
KICKS = 0.05 * 2.0 ** (np.arange(15) / 2)
"""Sizes of a single disturbance that are tried, in units of the state's size: .05 to 6.4."""


@dataclass(frozen=True, eq=False)
class Silence:
    """Histories after their last input: map F, states `first` (B H), signs `targets` (B K O)."""

    model: RecurrentModel
    state_map: StateMap
    first: Tensor
    targets: Tensor

    @cached_property
    def size(self) -> float:
        """The root mean square of all units."""
        return float(self.first.square().mean().sqrt())

    def answers(
        self, states: Tensor, outputs: slice, moved: Callable[[Tensor], Tensor] | None = None
    ) -> Answers:
        """What S groups of `states` (S B H) answer to those outputs, by the map `moved` or by F."""
        targets = self.targets[:, outputs].repeat(len(states), 1, 1)
        walked = self.state_map if moved is None else moved
        return long_run.answers(walked, self.model.read, states.flatten(0, 1), targets)

    def outputs(self, steps: int) -> Tensor:
        """The outputs (B K O) without noise."""
        state, walked = self.first, []
        for _ in range(steps):
            state = self.state_map(state)
            walked.append(state)
        return self.model.read(torch.stack(walked, 1))


@dataclass(frozen=True, eq=False)
class Walked:
    """Shares of right signs without noise (B K), and with every size of it (S B K).

    `spread` (B): the mean square of the units' deviation at the end under tiny noise, in units of
    its variance.
    """

    silent: Array
    right: Array
    spread: Array


@dataclass(frozen=True, eq=False)
class Kicked:
    """`basins` (B) in units of the state's size; `left` of a tiny disturbance."""

    basins: Array
    left: Ratio


def walk(silence: Silence, sizes: Array, steps: int, stream: Stream) -> Walked:
    """Run with every one of the noise `sizes`, all with the same numbers xi."""
    groups = np.array([0.0, TINY * silence.size, *sizes])
    rows, hidden = silence.first.shape
    moved = _noisy(silence.state_map, torch.from_numpy(groups), _normals(stream, rows, hidden))
    found = silence.answers(silence.first.expand(len(groups), -1, -1), slice(steps), moved)
    right = found.right.reshape(len(groups), rows, steps)
    still, shaken = found.states.reshape(len(groups), rows, hidden)[:2]
    spread = ((shaken - still) / groups[1]).square().mean(1).numpy()
    return Walked(right[0], right[2:], spread)


def kick(silence: Silence, settle: int, stream: Stream) -> Kicked:
    """Disturb once, in one direction for each history, by every one of `KICKS`.

    A history recovers where all outputs from `settle` to 2 `settle` are right; its basin is the
    largest size up to which it always does, 0 where it is wrong undisturbed.
    """
    kicks = np.array([0.0, TINY, *KICKS]) * silence.size
    rows, hidden = silence.first.shape
    shape = len(kicks), rows, hidden
    directions = stream.normal((rows, hidden)).double()
    states = silence.first + torch.from_numpy(kicks)[:, None, None] * directions
    once = silence.state_map(states.flatten(0, 1)).reshape(shape)
    early = silence.answers(states, slice(settle))
    settled = early.states.reshape(shape)
    late = silence.answers(settled, slice(settle, 2 * settle))
    recovered = (late.right == 1.0).all(1).reshape(len(kicks), rows)
    held = np.delete(recovered, 1, 0).cumprod(0).sum(0)  # sizes from none upwards
    apart = [(each[1] - each[0]).square().sum(1).numpy() for each in (settled, once)]
    return Kicked(np.array([0.0, 0.0, *KICKS])[held], Ratio(*apart, power=0.5))


def horizon_of(accuracy: Array, level: float) -> int:
    """How many outputs come before the accuracy (K) falls below `level`; K if it never does.

    That of its least-squares fit among curves that never rise, since sampling makes it jump.
    """
    low = isotonic_regression(accuracy, increasing=False).x < level
    return int(low.argmax()) if low.any() else len(accuracy)


def horizon_error(right: Array, level: float, draws: NDArray[np.int64]) -> float:
    """Standard error of `horizon_of` the mean of `right` (B K): the bootstrap over histories.

    `draws` (R B) are the histories of each resample. It is 0 where no resample's curve ends before
    K: such a horizon is right-censored, not known.
    """
    counts = np.stack([np.bincount(rows, minlength=len(right)) for rows in draws])
    curves = counts @ right / len(right)
    return float(np.std([horizon_of(curve, level) for curve in curves], ddof=1))


def curves(sizes: Array, right: Array, expected: Array | None) -> pd.DataFrame:
    """Accuracies by output, means over ranges of it that grow."""
    steps = right.shape[2]
    edges = np.unique(np.geomspace(1, steps + 1, 60).astype(int)) - 1
    middle = np.sqrt((edges[:-1] + 1.0) * edges[1:])
    parts = [slice(low, high) for low, high in pairwise(edges)]
    tables = []
    for at, size in enumerate(sizes):
        seen = right[at].mean(0)
        told = np.full(steps, np.nan) if expected is None else expected[at]
        columns = {
            name: [float(values[part].mean()) for part in parts]
            for name, values in (("accuracy", seen), ("expected", told))
        }
        tables.append(pd.DataFrame({"noise": size, "output": middle, **columns}))
    return pd.concat(tables, ignore_index=True)


def _noisy(
    state_map: StateMap, sizes: Tensor, normals: Iterator[Tensor]
) -> Callable[[Tensor], Tensor]:
    """h -> F(h) + sigma xi for S groups of B states (S B, H), the next xi (B H) at every call."""

    def moved(states: Tensor) -> Tensor:
        added = sizes[:, None, None] * next(normals)
        return state_map(states) + added.flatten(0, 1)

    return moved


def _normals(stream: Stream, rows: int, hidden: int) -> Iterator[Tensor]:
    while True:
        yield from stream.normal((BLOCK, rows, hidden)).double().unbind(0)
