"""The loss of linear recurrences with a rectified readout at one density, as a search needs it.

The network is a filter (see `filters`) and a readout C (H): a_s = C w_s. A point is its angles,
then its readout. Since relu is homogeneous the best scale is known, and the loss relative to the
target's energy E tau² is

    1 - (E tau relu(Y))² / (E relu(Y)² E tau²).

Starts are compared on a stratified sample of windows: many filters and readouts, of which the best
of each regime (dense, alternating, sparse; see `projections`) are led downhill on it, and so are
the shapes of linear optima and their mirror images (theta -> 180 - theta), near which dense and
alternating codes are. Beyond that the loss is exact (see `relu_slopes`) where the amplitudes have
a series with derivatives, and that of the sample elsewhere.

With sparse inputs and long delays the infimum lies at radius 0, where the silenced projections grow
without bound (a_0 ~ radius^-k). Networks are therefore compared up to sum |a| = MOST_REACH |a_k|:
beyond, the squared logarithm of the excess counts as loss in the search.

Source: derived here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from emtkit_std._theory.facts import Array, DelayLaw, Mask
from emtkit_std._theory.superposition.filters import (
    Slopes,
    comb_angles,
    descend,
    filters,
    scattered_angles,
)
from emtkit_std._theory.superposition.projections import Regime, regime
from emtkit_std._theory.superposition.rectified_loss import relu_losses
from emtkit_std._theory.superposition.rectified_windows import Windows
from emtkit_std._theory.superposition.relu_slopes import (
    WAVES,
    ScaledLosses,
    relu_slopes,
    target_energy,
)

MOST_REACH = 100.0
REGIMES: tuple[Regime, ...] = ("dense", "alternating", "sparse")
# Candidates, and of each regime how many are led downhill.
_SCREENED, _LED = 3000, 16
_FEW, _SOME = 1000, 2000  # windows to compare, to lead
_STEP = 1e-5
# Hessians: the precision of losses there, and the least curvature.
_CURVED, _FLAT = 1e-1, 1e-2
_EXACT_STEP, _SEARCHED, _EXACT_ITERATIONS = 5e-4, 2e-6, 15


@dataclass(frozen=True)
class Precision:
    """What a descent takes for a gain, and to what its losses are precise at least."""

    loss: float
    gain: float
    iterations: int


@dataclass(frozen=True)
class Led:
    """What a descent reached: points (N, 2 H) with readouts of length 1, projections (N, S).

    Projections are at their best scale; inverse Hessians (N, 2 H, 2 H).
    """

    points: Array
    gains: Array
    values: Array
    inverse: Array


@dataclass(frozen=True)
class Problem:
    """One feature's law, the scored steps, and the number of units."""

    law: DelayLaw
    scored: Mask
    hidden: int

    @property
    def has_series(self) -> bool:
        """Whether gradients of the exact loss are at hand."""
        return self.law.amplitude in WAVES

    @property
    def energy(self) -> float:
        """E tau², the mean over the scored steps."""
        return target_energy(self.law, self.scored)

    def gains(self, points: Array) -> Array:
        """Projections (N, S) of points (N, 2 H)."""
        angles, readouts = points[:, : self.hidden], points[:, self.hidden :]
        directions = filters(angles).directions(len(self.scored))
        return np.asarray((directions @ readouts[..., None])[..., 0])

    def minima(self, starts: Array, precision: Precision, inverse: Array | None = None) -> Led:
        """What is below starts (N, 2 H), from inverse Hessians (N, 2 H, 2 H) or from measured ones.

        Exact where there is a series, on some windows elsewhere.
        """
        starts = self._unit(starts)
        if inverse is None:
            inverse = _inverse_hessians(lambda p: self._losses(p, _CURVED), starts)
        found = descend(
            lambda points: self._losses(points, precision.loss),
            starts,
            iterations=precision.iterations,
            tolerance=precision.gain,
            inverse=inverse,
        )
        points = self._unit(found.points)
        gains = self.gains(points)
        scale = self._scaled(gains, precision.loss).scale
        return Led(points, scale[:, None] * gains, found.values, found.inverse)

    def exact_minima(self, led: Led, precision: Precision) -> Led:
        """The same by differences of the exact loss, for amplitudes without a series."""
        starts = self.lengthened(led.points, led.gains)
        found = descend(
            self._differences, starts, iterations=_EXACT_ITERATIONS, tolerance=precision.gain
        )
        gains = self.gains(found.points)
        return Led(self._unit(found.points), gains, found.values, found.inverse)

    def lengthened(self, points: Array, gains: Array) -> Array:
        """Points (N, 2 H) whose readouts are as long as projections (N, S) in proportion ask."""
        longer = np.linalg.norm(gains, axis=1) / np.linalg.norm(self.gains(points), axis=1)
        return np.concatenate(
            [points[:, : self.hidden], points[:, self.hidden :] * longer[:, None]], 1
        )

    def values(self, points: Array) -> Array:
        """Relative losses (N) of points at their best scale, roughly."""
        return self._losses(points, _CURVED).values

    def starts(self) -> Led:
        """Minima on some windows: below the best of points all over, and below combs."""
        points = scattered_angles(_SCREENED, 2 * self.hidden)
        # Readouts: normal quantiles of the lattice's other places.
        points[:, self.hidden :] = ndtri(points[:, self.hidden :] / (0.97 * np.pi) + 0.5)
        gains = self.gains(points)
        mirrored = np.sign(gains[:, self.law.delay[0], None])
        points[:, self.hidden :] *= mirrored
        gains *= mirrored
        few, some = Windows.of(self.law, self.scored, _FEW), self._windows
        chosen = self._best_of_each(gains, few.losses(gains).values, _LED)
        found = descend(
            lambda moved: self._slopes(moved, some.losses),
            self._unit(np.concatenate([points[chosen], self._combs()])),
            iterations=40,
            tolerance=1e-4,
        )
        return Led(found.points, self.gains(found.points), found.values, found.inverse)

    def _best_of_each(self, gains: Array, values: Array, count: int) -> NDArray[np.intp]:
        """The places of the `count` best projections (N, S) of every regime."""
        regimes = np.array(self.regimes(gains))
        found = [np.flatnonzero(regimes == one) for one in REGIMES]
        return np.concatenate([at[np.argsort(values[at])[:count]] for at in found])

    def regimes(self, gains: Array) -> list[Regime]:
        """Regime of each of the projections (N, S), of a readout that rectifies."""
        others = np.delete(gains, self.law.delay[0], axis=1)
        whole = np.maximum(np.square(others).sum(1), 1e-300)
        hidden = np.square(np.minimum(others, 0.0)).sum(1) / whole
        return [regime(float(share)) for share in hidden]

    def _unit(self, points: Array) -> Array:
        """With readouts of length 1: nothing else has a scale, and angles are then as steep."""
        length = np.linalg.norm(points[:, self.hidden :], axis=1)[:, None]
        return np.concatenate([points[:, : self.hidden], points[:, self.hidden :] / length], 1)

    def _scaled(self, gains: Array, tolerance: float) -> ScaledLosses:
        if self.has_series:
            return relu_slopes(gains, self.law, self.scored, tolerance)
        return self._windows.losses(gains)

    def _losses(self, points: Array, tolerance: float) -> Slopes:
        return self._slopes(points, lambda gains: self._scaled(gains, tolerance))

    @cached_property
    def _windows(self) -> Windows:
        return Windows.of(self.law, self.scored, _SOME)

    def _combs(self) -> Array:
        """Points (N, 2 H) with poles on an arc or its mirror image, read where the item is."""
        angles = comb_angles(self.law.delay[0], self.hidden)
        directions = filters(angles).directions(len(self.scored))
        return np.concatenate([angles, directions[:, self.law.delay[0]]], axis=1)

    def _slopes(self, points: Array, losses: Callable[[Array], ScaledLosses]) -> Slopes:
        """Losses of projections and what reaches too far, with their gradient in the points."""
        count, lags, hidden = len(points), len(self.scored), self.hidden
        angles, readouts = points[:, :hidden], points[:, hidden:]
        eye = np.eye(hidden)
        moves = _STEP * np.concatenate([np.zeros((1, hidden)), eye, -eye])
        made = filters((angles + moves[:, None]).reshape(-1, hidden)).directions(lags)
        made = made.reshape(-1, count, lags, hidden)
        gains = (made[0] @ readouts[..., None])[..., 0]
        found, beyond = losses(gains), self._beyond(gains)
        slope = found.gradients + beyond.gradients
        turned = (made[1 : hidden + 1] - made[hidden + 1 :]) / (2.0 * _STEP)
        change = (turned @ readouts[..., None])[..., 0]
        by_angle = (change * slope).sum(2).T
        by_readout = (slope[:, None] @ made[0])[:, 0]
        return Slopes(found.values + beyond.values, np.concatenate([by_angle, by_readout], 1))

    def _beyond(self, gains: Array) -> Slopes:
        """Squared log of how far sum |a| exceeds `MOST_REACH` |a_k|, and its gradient (N, S)."""
        size, delay = np.abs(gains), self.law.delay[0]
        own, total = (np.maximum(part, 1e-12) for part in (size[:, delay], size.sum(1)))
        excess = np.maximum(np.log(total / (MOST_REACH * own)), 0.0)
        gradient = np.sign(gains) / total[:, None]
        gradient[:, delay] -= np.sign(gains[:, delay]) / own
        return Slopes(excess**2, 2.0 * excess[:, None] * gradient)

    def _differences(self, points: Array) -> Slopes:
        count, size = points.shape
        moves = _EXACT_STEP * np.concatenate([np.zeros((1, size)), np.eye(size), -np.eye(size)])
        gains = self.gains((points[:, None] + moves).reshape(-1, size))
        exact = relu_losses(gains[:, None, None], self.law, self.scored, tolerance=_SEARCHED)
        found = (exact.loss / self.energy + self._beyond(gains).values).reshape(count, -1)
        return Slopes(
            found[:, 0], (found[:, 1 : size + 1] - found[:, size + 1 :]) / (2.0 * _EXACT_STEP)
        )


def _inverse_hessians(function: Callable[[Array], Slopes], points: Array) -> Array:
    """Inverse Hessians (N, P, P) by differences of gradients; curvatures count as positive."""
    count, size = points.shape
    moves = _STEP * np.concatenate([np.eye(size), -np.eye(size)])
    turns = function((points[:, None] + moves).reshape(-1, size)).gradients
    turns = turns.reshape(count, 2, size, size)
    hessian = (turns[:, 0] - turns[:, 1]) / (2.0 * _STEP)
    curvature, axes = np.linalg.eigh((hessian + hessian.transpose(0, 2, 1)) / 2.0)
    weight = 1.0 / np.maximum(np.abs(curvature), _FLAT)
    return np.asarray((axes * weight[:, None]) @ axes.transpose(0, 2, 1))
