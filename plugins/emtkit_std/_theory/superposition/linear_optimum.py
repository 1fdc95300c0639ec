"""The exact best linear network for one delayed feature, over the windows that are scored.

With projections a (S) and output bias b the mean loss over the n scored steps t is quadratic,

    L = (1 / n) sum_t [V sum_{s<=t} (a_s - d_s)² + (m sum_{s<=t} (a_s - d_s) + b)²],

d_s = 1 at the delay, V and m the variance and mean of an input. Given the poles, a = W q with the
directions W (S, H) of any network that has them, so that the best readout q and b solve a linear
system. What is left is a function of the poles alone, minimised over every stable filter (see
`filters`); of the starts with poles along an arc nearly half reach the best. Many steps of which
the last is scored are infinite history.

Source: task and loss of Sharma, Proca, Prieto and Mediano (ICLR 2026); the optimum is derived here.
Related: François, Orvieto and Bach (COLT 2025) on order-S filters for a shift.
"""

from dataclasses import dataclass

import numpy as np

from emtkit import EmtkitError
from emtkit_std._theory.facts import Array, DelayLaw, Mask
from emtkit_std._theory.superposition.filters import (
    comb_angles,
    descend,
    differences,
    filters,
    scattered_angles,
)
from emtkit_std._theory.superposition.linear_loss import input_moments

_SCATTERED = 8  # starts for each unit


@dataclass(frozen=True)
class LinearOptimum:
    """The best linear network and its loss, absolute.

    W_hh (H, H), W_uh (H, 1), W_r (1, H), bias (1).
    """

    W_hh: Array
    W_uh: Array
    W_r: Array
    bias: Array
    loss: float


def linear_optimum(
    law: DelayLaw, hidden: int, scored: Mask, *, bias: bool = False
) -> LinearOptimum:
    """The exact linear optimum for one feature with `hidden` units, over scored steps (T).

    Without mean (zero-mean amplitudes, or infinite history and a bias) the mirror image a_s ->
    (-1)^(k - s) a_s is as good; the one with the slower turn is given.
    """
    if len(law.delay) != 1 or law.inputs != 1:
        raise EmtkitError(
            f"linear_optimum: the task has {law.inputs} inputs and {len(law.delay)} outputs; "
            "the exact optimum is known for one feature"
        )
    problem = _Problem.of(law, scored, bias=bias)
    needed = law.delay[0] + 1
    # The shift register (all angles 0) is exact where it is long enough; more units stay silent.
    angles = np.zeros(needed) if hidden >= needed else problem.slower(_search(problem, hidden))
    network, readout, spare = filters(angles[None]), problem.readout(angles), hidden - len(angles)
    return LinearOptimum(
        W_hh=np.pad(network.W_hh[0], (0, spare)),
        W_uh=np.pad(network.W_uh[0], (0, spare))[:, None],
        W_r=law.sign[0] * np.pad(readout[: len(angles)], (0, spare))[None],
        bias=law.sign[0] * (readout[len(angles) :] if bias else np.zeros(1)),
        loss=problem.loss(angles, readout),
    )


def _search(problem: "_Problem", hidden: int) -> Array:
    """Angles (H) of the best filter, from starts all over and where long delays have theirs."""
    starts = scattered_angles(_SCATTERED * hidden, hidden), comb_angles(problem.delay, hidden)
    found = descend(lambda angles: differences(problem.losses, angles), np.concatenate(starts))
    return np.asarray(found.points[np.argmin(found.values)])


@dataclass(frozen=True)
class _Problem:
    """The weights of squares of a (S), and of its sums up to each scored step (n, S), with bias."""

    spread: Array
    level: Array
    held: Array
    delay: int
    mirrored: bool

    @classmethod
    def of(cls, law: DelayLaw, scored: Mask, *, bias: bool) -> "_Problem":
        moments, steps = input_moments(law), np.flatnonzero(scored)
        variance, mean = float(moments.variance[0]), float(moments.mean[0])
        if variance <= 1e-12:
            raise EmtkitError(
                "linear_optimum: the input is constant (amplitude constant, density 1), so nothing "
                "needs to be remembered; lower the density or let the amplitude vary"
            )
        entered = np.arange(len(scored)) <= steps[:, None]
        weight = 1.0 / np.sqrt(len(steps))
        return cls(
            spread=np.sqrt(variance * entered.mean(0)),
            level=weight * mean * entered,
            held=np.full((len(steps), int(bias)), weight),
            delay=law.delay[0],
            mirrored=mean == 0.0 or (bias and len(steps) == 1),
        )

    def losses(self, angles: Array) -> Array:
        """Loss (N) of the best readout of each filter."""
        reached = self._target() @ np.linalg.qr(self._basis(angles))[0]
        return np.asarray(np.square(self._target()).sum() - np.square(reached).sum(1))

    def readout(self, angles: Array) -> Array:
        """Best readout (H), and the bias after it."""
        basis = self._basis(angles[None])[0]
        return np.asarray(np.linalg.lstsq(basis, self._target(), rcond=None)[0])

    def loss(self, angles: Array, readout: Array) -> float:
        """Loss of one network, without cancellation."""
        return float(np.square(self._basis(angles[None])[0] @ readout - self._target()).sum())

    def slower(self, angles: Array) -> Array:
        """Of a filter and its mirror image, A -> -A, the one that turns less; as good."""
        if not self.mirrored:
            return angles
        mirror = angles * (-1.0) ** np.arange(1, len(angles) + 1)
        pair = filters(np.stack([angles, mirror]))
        largest = [max(np.linalg.eigvals(one), key=abs) for one in pair.W_hh]
        return (angles, mirror)[int(np.argmin(np.abs(np.angle(largest))))]

    def _target(self) -> Array:
        own = np.zeros(len(self.spread))
        own[self.delay] = self.spread[self.delay]
        return np.concatenate([own, self.level[:, self.delay]])

    def _basis(self, angles: Array) -> Array:
        """What each unit, and the bias, contributes to every square (N, S + n, H + 1)."""
        directions = filters(angles).directions(len(self.spread))
        basis = np.concatenate([self.spread[:, None] * directions, self.level @ directions], 1)
        if not self.held.size:
            return basis
        held = np.concatenate([np.zeros((len(self.spread), 1)), self.held])
        return np.concatenate([basis, np.broadcast_to(held, (len(basis), *held.shape))], 2)
