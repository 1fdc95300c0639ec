"""What must be remembered, and when: given by a task, or estimated from its targets.

Items are entries of the input, (tau, i). With item m drawn anew from its own law and all else as it
is, the targets y become y'. The need of m at step t is the largest share that m has in one of the
scored targets from t on, as y_t is read after u_t entered:

    weight[t, m] = max over scored y of steps t' >= t of  E (y' - y)^2 / (2 Var y),   0 if t < tau

This is the total effect of m in a target (Sobol), estimated as Jansen did: 1 for a copy of m and
for every factor of a product of signs, 1/n for each of n equal terms of a sum. A mean over later
targets instead of the largest would fall towards the end of a sequence, and would depend on its
length; of items that depend on each other (one-hot, cues) one drawn alone leaves their law.

References: Jansen (1999), doi:10.1016/S0010-4655(98)00154-4; Saltelli et al. (2010),
doi:10.1016/j.cpc.2009.09.018, for total effects and their estimators.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from emtkit import NotApplicable, Stream, Subject, Task
from emtkit_std._theory.facts import Array, Mask

MOST_ITEMS = 1024
MOST_STEPS = 256
"""Scored steps whose targets are looked at; of longer sequences the beginning."""
MOST_ENUMERATED = 10
"""Signs whose values are all tried out."""
BUDGET = 1e7
"""Targets that an estimate computes in all, for it to take less than a second."""
SEQUENCES = 1024
FEWEST = 32

Answer = Callable[[Tensor], Tensor]
"""Targets (B T O) of inputs (B s I)."""


@dataclass(frozen=True)
class Item:
    """The entry of input channel `channel` at step `step`, both from 0."""

    step: int
    channel: int


@dataclass(frozen=True, eq=False)
class RequiredMemory:
    """The `weight` (T M) of each of M `items` at each of T steps: 0 not needed, 1 decides a target.

    Source: this module.
    """

    items: tuple[Item, ...]
    weight: Array

    def at(self, step: int) -> list[int]:
        """Which items a state must hold at a step."""
        return np.flatnonzero(self.weight[step] > 0).tolist()


def required_memory(subject: Subject) -> RequiredMemory:
    """That which the task gives, or else an estimate.

    Raises:
        NotApplicable: it gives none, and its targets are no function of its inputs.
    """
    if RequiredMemory in subject.task.offers:
        try:
            return subject.task.facts(RequiredMemory)
        except NotApplicable:
            pass  # not of this setting, in closed form
    return estimated(subject.task, subject.stream.fork("required memory"))


def entries(steps: int, channels: int) -> tuple[Item, ...]:
    """All inputs of the first `steps` steps, one step after the other."""
    if steps * channels > MOST_ITEMS:
        raise NotApplicable(
            f"{steps} steps of {channels} inputs are {steps * channels} items; what must be "
            f"remembered is asked of at most {MOST_ITEMS}"
        )
    return tuple(Item(*place) for place in product(range(steps), range(channels)))


def of_delays(delays: tuple[int, ...], scored: Mask) -> RequiredMemory:
    """Channel i is repeated delays[i] steps later, in the scored steps (T)."""
    steps = len(scored)
    items = entries(steps, len(delays))
    weight = np.zeros((steps, len(items)))
    for column, item in enumerate(items):
        due = item.step + delays[item.channel]
        if due < steps and scored[due]:
            weight[item.step : due + 1, column] = 1.0
    return RequiredMemory(items, weight)


def of_linear(answer: Answer, steps: int, channels: int) -> RequiredMemory:
    """Targets that are linear in `steps` inputs of equal variance, scored after them."""
    items = entries(steps, channels)
    units = torch.eye(len(items), dtype=torch.float64).view(-1, steps, channels)
    coefficients = answer(units).numpy().copy()
    coefficients[:, :steps] = 0.0
    if not np.isfinite(coefficients).all():
        raise NotApplicable("the targets grow beyond all numbers")
    largest = np.abs(coefficients).max(0)
    squares = np.square(coefficients / np.where(largest > 0, largest, 1.0))
    total = squares.sum(0)
    return _needed(items, squares / np.where(total > 0, total, 1.0))


def of_signs(answer: Answer, steps: int, channels: int) -> RequiredMemory:
    """Targets that are any function of `steps` inputs of independent signs, scored after them.

    Raises:
        NotApplicable: the signs are too many to try all their values.
    """
    items = entries(steps, channels)
    if len(items) > MOST_ENUMERATED:
        raise NotApplicable(
            f"{len(items)} signs have more values than can be tried; up to {MOST_ENUMERATED} are"
        )
    values = torch.tensor(list(product((-1.0, 1.0), repeat=len(items))), dtype=torch.float64)
    targets = answer(values.view(-1, steps, channels)).numpy().copy()
    targets[:, :steps] = 0.0
    each = targets.reshape(*(2,) * len(items), *targets.shape[1:])
    axes = range(len(items))
    # drawn anew, a sign is the other one half of the time
    halves = [np.square(np.diff(each, axis=m)).mean(tuple(axes)) / 2 for m in axes]
    return _needed(items, _shares(np.stack(halves), targets.var(0)))


def estimated(task: Task, stream: Stream) -> RequiredMemory:
    """By drawing one item anew at a time, from that of another sequence.

    Raises:
        NotApplicable: the task does not say its targets as a function of its inputs.
    """
    horizon = None if task.horizon is None else min(task.horizon, MOST_STEPS)
    probe = task.sample(2, stream, horizon)
    items = entries(probe.input_steps, task.channels.inputs)
    each = len(items) * probe.steps * task.channels.outputs
    batch = task.sample(int(np.clip(BUDGET / each, FEWEST, SEQUENCES)), stream, horizon)
    inputs, scored = batch.inputs.double(), batch.scored_steps.numpy() > 0
    targets = task.targets(inputs)
    if targets is None:
        raise NotApplicable(
            f"'{task.name}' says neither what must be remembered nor what its targets are for "
            "other inputs; write `targets(inputs)` in the task, or offer the fact RequiredMemory"
        )
    changes = []
    for item in items:
        drawn = inputs.clone()
        drawn[:, item.step, item.channel] = inputs[:, item.step, item.channel].roll(1, 0)
        moved = task.targets(drawn)
        assert moved is not None
        changes.append((moved - targets).square().mean(0).numpy())
    shares = _shares(np.stack(changes), targets.numpy().var(0))
    shares[:, ~scored] = 0.0
    return _needed(items, np.minimum(shares, 1.0))


def _shares(changes: Array, variance: Array) -> Array:
    """E (y' - y)^2 (M T O) over 2 Var y (T O); 0 for what never varies."""
    return np.asarray(changes / np.where(variance > 0, 2 * variance, np.inf))


def _needed(items: tuple[Item, ...], shares: Array) -> RequiredMemory:
    """Of shares (M T O), 0 where nothing is scored, the largest from each step on."""
    largest = shares.max(2)[:, ::-1]
    weight = np.maximum.accumulate(largest, axis=1)[:, ::-1].T.copy()
    came = np.array([item.step for item in items])
    weight[np.arange(len(weight))[:, None] < came] = 0.0
    return RequiredMemory(items, weight)
