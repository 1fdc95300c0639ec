"""A network left alone for thousands of steps: how long its answers hold, and where its state ends.

After the last input the state moves by F(h) = step(h, 0). Of every history (row):

    d_k = |F^k(h) - h| / size,   size = max(|h| at the end, |h| after the last input)
    Lyapunov exponent = mean log of the growth per step of a small separation

and the kind of motion follows (`kinds`). Everything is in float64.

References: Strogatz (2015), Nonlinear Dynamics and Chaos, sections 8.6 and 10.5; Benettin et al.
(1980), doi:10.1007/BF02128236 (exponents from a separation that is scaled back at every step).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emtkit import StateMap, find_cycles
from emtkit_std._theory.facts import Array

Kind = Literal[
    "fixed point",
    "cycle",
    "dead",
    "quasi-periodic",
    "chaotic",
    "drifting",
    "unresolved",
    "diverging",
]

BLOCK = 250
LARGEST = 1e50
SEPARATION = 1e-7
REPEATS = 1e-9
"""A state is on a cycle as it is where it returns to within this share of its size, every turn."""
RETURNS, REACH = 1e-2, 5e-2
"""Else Newton's method is asked where the state returns to within RETURNS, and its cycle is taken
if it attracts and lies within REACH: two contents of a memory are farther apart."""
SAME = 1e-4
"""Fixed points nearer than this share of the size are one."""
NEUTRAL = 1e-6
"""A radius per step within this of 1 neither attracts nor repels."""
CHAOTIC = 1e-2
"""A neighbour departs (or, negative, approaches) faster than this per step; two frequencies with
shear give ln W / W, .004 in 2,000 steps."""
RECURRENT = 2.0
"""A state recurs where it returns in the second half within so many times what it did before."""


@dataclass(frozen=True)
class Answers:
    """Share of right signs at every output after the last input (B, T), and the state then."""

    right: Array
    states: Tensor

    @property
    def lifetimes(self) -> NDArray[np.int64]:
        """Outputs before the first with a wrong sign (B); T where there is none."""
        wrong = self.right < 1.0
        return np.where(wrong.any(1), wrong.argmax(1), self.right.shape[1])


@dataclass(frozen=True)
class Returns:
    """`distances` d_k (B, W) of F^k(h) from h for k = 1 ... W, and the exponents (B)."""

    distances: Array
    exponents: Array


@dataclass(frozen=True)
class Ends:
    """Where each history ends, one entry per row in each.

    `periods` is 0 without a cycle; `radii`, the largest modulus of the multipliers per step, is
    NaN then. `before`, `residuals` and `moved` are shares of the size: how far a turn misses the
    state, how far it misses Newton's cycle, and how far Newton's method went; NaN where it was not
    asked. `multipliers` (B, H), per step, largest first.
    """

    kinds: NDArray[np.str_]
    periods: NDArray[np.int64]
    radii: Array
    before: Array
    residuals: Array
    moved: Array
    exponents: Array
    multipliers: NDArray[np.complex128]

    @property
    def stable(self) -> NDArray[np.bool_]:
        """Whether the history ends on a cycle, or in a fixed point, that attracts."""
        return (self.periods > 0) & (np.nan_to_num(self.radii, nan=np.inf) < 1.0 - NEUTRAL)


def answers(
    state_map: StateMap, read: Callable[[Tensor], Tensor], states: Tensor, targets: Tensor
) -> Answers:
    """Go on from `states` (B' H) in silence, and compare with the signs `targets` (B T O).

    B <= B': the last rows may go on without being judged.
    """
    judged, shares = len(targets), []
    for signs in targets.split(BLOCK, 1):
        walked = []
        for _ in range(signs.shape[1]):
            states = state_map(states)
            walked.append(states[:judged])
        outputs = read(torch.stack(walked, 1))
        agree = ((outputs >= 0) == (signs >= 0)) & outputs.isfinite()
        shares.append(agree.double().mean(-1).numpy())
    return Answers(np.concatenate(shares, 1), states)


def returns(
    state_map: StateMap, states: Tensor, sizes: Tensor, directions: Tensor, steps: int
) -> Returns:
    """How near `states` (B H) come to where they are now, and how a neighbour departs.

    `directions` (B H) are those of the neighbour, SEPARATION of the size away.
    """
    rows, reach = len(states), SEPARATION * sizes
    apart = directions / torch.linalg.vector_norm(directions, dim=1, keepdim=True)
    here, growth = states, sizes.new_zeros(rows)
    distances = sizes.new_empty(rows, steps)
    for step in range(steps):
        both = state_map(torch.cat([here, here + reach[:, None] * apart]))
        here, moved = both[:rows], both[rows:] - both[:rows]
        size = torch.linalg.vector_norm(moved, dim=1)
        growth += torch.log((size / reach).clamp(min=1e-12))
        # What has collapsed to nothing starts anew, in the direction in which it was.
        apart = torch.where((size > 0)[:, None], moved / size.clamp(min=1e-300)[:, None], apart)
        distances[:, step] = torch.linalg.vector_norm(here - states, dim=1) / sizes
    return Returns(distances.numpy(), (growth / steps).numpy())


def sizes_of(first: Tensor, last: Tensor) -> Tensor:
    """The larger norm of two states of each row, of which distances are shares; 1 for 0 and 0."""
    size = torch.maximum(*(torch.linalg.vector_norm(states, dim=1) for states in (first, last)))
    return torch.where(size > 0, size, 1.0)


def ends(state_map: StateMap, states: Tensor, sizes: Tensor, seen: Returns) -> Ends:
    """The kind of motion of each of `states` (B H); the last row is a network that was never fed.

    A state that ends in the same fixed point as the last row holds nothing: it is dead.
    """
    distances, scale = seen.distances, sizes.numpy()
    bounded = (distances < LARGEST).all(1) & (states.abs() < LARGEST).all(1).numpy()
    periods = np.array([_period(row) for row in distances]) * bounded
    farthest = np.array(
        [
            row[period - 1 :: period].max() if period else np.inf
            for row, period in zip(distances, periods, strict=True)
        ]
    )
    repeats = farthest <= REPEATS
    # Cycles that repel lie next to every chaotic state; there is nothing to ask.
    asked = np.flatnonzero((periods > 0) & (repeats | (seen.exponents <= CHAOTIC)))
    rows = torch.from_numpy(asked)
    found = find_cycles(state_map, states[rows], torch.from_numpy(periods[asked]), sizes[rows])
    at = _Asked(asked, len(states))
    multipliers = at.spread(found.multipliers.numpy(), 0.0)
    radii = abs(multipliers[:, 0])
    closed = at.spread(found.closed.numpy(), False)
    moved = at.spread(found.moved.numpy() / scale[asked], np.nan)
    attracted = closed & (radii < 1.0 - NEUTRAL) & (moved <= REACH)
    there = repeats | (attracted & (farthest <= 2.0 * moved + REPEATS))
    kinds = np.array(
        [
            _cycle(period) if settled else _motion(*row)
            for period, settled, *row in zip(
                periods, there, bounded, distances, seen.exponents, strict=True
            )
        ]
    )
    if kinds[-1] == "fixed point":
        points = states.clone()
        points[rows] = found.points
        away = torch.linalg.vector_norm(points - points[-1], dim=1).numpy()
        kinds[(kinds == "fixed point") & (away < SAME * scale)] = "dead"
    return Ends(
        kinds=kinds,
        periods=np.where(there, periods, 0),
        radii=np.where(there, radii, np.nan),
        before=at.spread(found.before.numpy() / scale[asked], np.nan),
        residuals=at.spread(found.residuals.numpy() / scale[asked], np.nan),
        moved=moved,
        exponents=seen.exponents,
        multipliers=multipliers,
    )


@dataclass(frozen=True)
class _Asked:
    """The rows at which Newton's method was asked, of how many."""

    rows: NDArray[np.int64]
    count: int

    def spread(self, values: NDArray[Any], rest: complex) -> NDArray[Any]:
        """Values of these rows among all; `rest` elsewhere."""
        whole = np.full((self.count, *values.shape[1:]), rest, dtype=values.dtype)
        whole[self.rows] = values
        return whole


def _period(distances: Array) -> int:
    """The first return of the first half of d_k (W): exact, or else the nearest; 0 without one."""
    near = distances[: len(distances) // 2]
    least = max(REPEATS, 2.0 * float(near.min()))
    return int((near <= least).argmax()) + 1 if near.min() <= RETURNS else 0


def _cycle(period: int) -> Kind:
    return "fixed point" if period == 1 else "cycle"


def _motion(bounded: bool, distances: Array, exponent: float) -> Kind:
    """The motion of a state that is on no cycle.

    A state that comes back in the second half as near as in the first is recurrent: of dense
    frequencies, or, if neighbours approach it, on a cycle that is longer. Else it goes away.
    """
    if not bounded:
        return "diverging"
    if exponent > CHAOTIC:
        return "chaotic"
    half = len(distances) // 2
    if distances[half:].min() > RECURRENT * distances[:half].min():
        return "drifting"
    return "unresolved" if exponent < -CHAOTIC else "quasi-periodic"
