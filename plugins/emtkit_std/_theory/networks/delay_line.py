"""What a memory of the last items has to do for a task that repeats them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emtkit import NotApplicable, Task
from emtkit_std._theory.emt.circuit import linear_law
from emtkit_std._theory.facts import Array, DelayLaw, LinearHistoryLaw

DIGITS = frozenset({-1.0, 0.0, 1.0})


@dataclass(frozen=True, eq=False)
class DelayLine:
    """The items z_t = u_t + F z_{t-L} of the last L steps, of which y_t = sum_a G_a z_{t-a}.

    `returns` F (I, I) is what comes back of the oldest item, zero where inputs never end; `reads` G
    (L, O, I), age 0 first. `values`: all that an entry can be, where that is known.
    """

    returns: Array
    reads: Array
    values: frozenset[float] = frozenset()

    @property
    def length(self) -> int:
        """The number of items L."""
        return len(self.reads)

    @property
    def inputs(self) -> int:
        """The number of entries I of an item."""
        return len(self.returns)

    def weights(self) -> dict[str, Tensor]:
        """`returns` (I, I), and `reads` (O, L I) of the items side by side, the newest first."""
        reads = np.ascontiguousarray(np.concatenate(list(self.reads), axis=1))
        return {"returns": torch.from_numpy(self.returns.copy()), "reads": torch.from_numpy(reads)}


def delay_line_of(task: Task) -> DelayLine | str:
    """What `task` asks of a memory from rest, or why that is no line of delays."""
    if LinearHistoryLaw in task.offers:
        law = linear_law(task)
        if isinstance(law, str):
            return law
        oldest, newer = np.split(law.operator, [law.dimension], axis=1)
        if newer.any():
            return (
                f"the rule of '{task.name}' reads items that come before the last input has, so "
                "that a memory from rest is polluted by it; rule: repeat reads the oldest alone"
            )
        reads = np.zeros((law.history, law.dimension, law.dimension))
        reads[0] = np.eye(law.dimension)
        signs = frozenset() if law.real_values else frozenset({-1.0, 1.0})
        return DelayLine(oldest, reads, signs)
    if DelayLaw not in task.offers:
        return f"'{task.name}' asks for no delayed items: it offers no DelayLaw"
    try:
        delays = task.facts(DelayLaw)
    except NotApplicable as reason:
        return f"{reason}"
    reads = np.zeros((max(delays.delay) + 1, len(delays.delay), delays.inputs))
    for output, (delay, source, sign) in enumerate(
        zip(delays.delay, delays.source, delays.sign, strict=True)
    ):
        reads[delay, output, source] = sign
    digital = {*delays.amplitudes} == {"constant"}
    values = frozenset({0.0, 1.0}) if digital else frozenset[float]()
    return DelayLine(np.zeros((delays.inputs, delays.inputs)), reads, values)


def refuse_without_digits(task: Task) -> str | None:
    """Why `task` does not repeat digits -1, 0 and 1; None where it does."""
    line = delay_line_of(task)
    if isinstance(line, str):
        return line
    if not line.values or line.values - DIGITS:
        return (
            f"'{task.name}' has other values here than the digits -1, 0 and 1, which alone can be "
            "told apart or corrected (amplitude: constant, or signs, would do)"
        )
    return None


def required_line(task: Task) -> DelayLine:
    """The same, where it is known that there is one."""
    line = delay_line_of(task)
    if isinstance(line, str):
        raise NotApplicable(line)
    return line


def refuse_without_line(task: Task) -> str | None:
    """Why `task` asks for no delayed items, or None."""
    line = delay_line_of(task)
    return line if isinstance(line, str) else None
