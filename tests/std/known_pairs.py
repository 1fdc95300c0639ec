"""Pairs of networks of which it is known what they share, and every comparison on each of them.

`python -m tests.std.known_pairs` prints the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from emtkit import Comparison, NotApplicable, RecurrentModel, Registry, Task
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.mechanisms.register import Register
from emtkit_std.architectures.shift_register import ShiftRegister
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay
from tests.std.null_nets import Changed, OpenClock, changes, oblique
from tests.std.subjects import build, subject_of

DELAY = KDelay(delay=3)
COPY = HistoryDependentSystem(rule="repeat", history=3, dimension=2, horizon=16)


@dataclass(frozen=True)
class Pair:
    """Two networks on one task."""

    first: RecurrentModel
    second: RecurrentModel
    task: Task

    def distance(self, comparison: Comparison) -> float:
        """What a comparison says of them; NaN where it does not apply."""
        subjects = (subject_of(model, self.task) for model in (self.first, self.second))
        try:
            found = comparison.measure(*subjects)
        except NotApplicable:
            return float("nan")
        return float(found.scalars["distance"])


@cache
def linear(seed: int = 0, hidden: int = 6) -> RecurrentModel:
    """A linear network of normal weights."""
    return _drawn(build(LinearRnn, DELAY, hidden=hidden), seed)


@cache
def elman(seed: int = 0, hidden: int = 8) -> RecurrentModel:
    """An Elman network of normal weights."""
    return _drawn(build(Elman, DELAY, hidden=hidden), seed)


def _drawn(model: RecurrentModel, seed: int) -> RecurrentModel:
    rng, hidden = np.random.default_rng(seed), model.hidden
    drawn = rng.normal(size=(hidden, hidden)) * 0.8 / np.sqrt(hidden)
    model = model.double()
    model.W_hh.copy_(torch.from_numpy(drawn))
    model.W_uh.copy_(torch.from_numpy(rng.normal(size=(hidden, 1))))
    model.W_r.copy_(torch.from_numpy(rng.normal(size=(1, hidden))))
    return model


def rotated() -> Pair:
    """A network and itself in rotated coordinates."""
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))[0]
    return Pair(linear(), Changed(linear(), rotation), DELAY)


def reordered() -> Pair:
    """A network and itself with its units in another order and with other signs."""
    known = changes(6)
    move = torch.from_numpy(known["order of units"] @ known["signs"])
    copy = build(LinearRnn, DELAY, hidden=6).double()
    copy.W_hh.copy_(move @ linear().W_hh @ move.T)
    copy.W_uh.copy_(move @ linear().W_uh)
    copy.W_r.copy_(linear().W_r @ move.T)
    return Pair(linear(), copy, DELAY)


def sheared() -> Pair:
    """A network and itself in coordinates h -> A h of condition 30."""
    return Pair(linear(), Changed(linear(), oblique(6, 30.0)), DELAY)


def bent() -> Pair:
    """A register that repeats, and itself behind a nonlinear change of coordinates."""
    return Pair(build(Register, COPY), build(Register, COPY, curvature=2.0), COPY)


def clock() -> Pair:
    """A shift register and slots by a clock: both answer with the input of three steps ago."""
    return Pair(
        OpenClock(DELAY, history=4).double(), build(ShiftRegister, DELAY, hidden=4).double(), DELAY
    )


def untrained() -> Pair:
    """Two Elman networks of independent weights."""
    return Pair(elman(0), elman(1), DELAY)


PAIRS: tuple[Callable[[], Pair], ...] = (rotated, reordered, sheared, bent, clock, untrained)


SETTINGS = {"dsa": ({"delays": 3, "rank": 6}, {"delays": 3, "rank": 6, "score": "eigenvalues"})}
"""What else is printed than the defaults."""


def main() -> None:
    """Print the distance of every pair by every comparison."""
    known = Registry.installed().comparisons
    print(f"{'':24}" + "".join(f"{pair.__name__:>12}" for pair in PAIRS))
    for name, cls in sorted(known.items()):
        for settings in ({}, *SETTINGS.get(name, ())):
            found = [pair().distance(cls(**settings)) for pair in PAIRS]
            called = " ".join([name, *map(str, settings.values())])
            print(f"{called:24}" + "".join(f"{value:12.2g}" for value in found))


if __name__ == "__main__":
    main()
