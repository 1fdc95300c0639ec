"""The best linear recurrence with a rectified readout for one delayed feature, branch by branch.

The network is a filter (see `filters`) and a readout C (H): a_s = C w_s. Since relu is homogeneous
the best scale is known, and the loss relative to the target's energy E tau² is

    1 - (E tau relu(Y))² / (E relu(Y)² E tau²).

Many filters and readouts are compared on one stratified sample of windows, the best of each regime
(dense, alternating, sparse; see `projections`) are led downhill on it, and so are the shapes of
linear optima and their mirror images (theta -> 180 - theta), near which dense and alternating codes
are. The best of these in each regime are led down the exact loss (see `rectified_loss`): its minima
are the branches, the least of which is the optimum.

With sparse inputs and long delays the infimum lies at radius 0, where the silenced projections grow
without bound (a_0 ~ radius^-k). Networks are therefore compared up to sum |a| = MOST_REACH |a_k|:
beyond, the squared logarithm of the excess counts as loss in the search.

Source: derived here.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import binom

from emtkit_std._theory.facts import Array, DelayLaw, Mask
from emtkit_std._theory.superposition.amplitudes import AMPLITUDES
from emtkit_std._theory.superposition.filters import (
    Minima,
    Slopes,
    comb_angles,
    descend,
    filters,
    scattered_angles,
)
from emtkit_std._theory.superposition.projections import Regime, regime
from emtkit_std._theory.superposition.rectified_loss import relu_losses

MOST_REACH = 100.0
# Candidates, and of each regime how many are led downhill, and how many of these minima are kept.
_SCREENED, _LED, _KEPT = 3000, 16, 4
_FEW, _SOME, _MANY = 1000, 4000, 30_000  # windows to compare, to lead, to begin exactly with
_POLISH, _SEARCHED, _GAIN = 15, 2e-6, 3e-7
_STEP = 1e-5
_EXACT_STEP = 5e-4
# Losses above the least beyond which a minimum on some or many windows is not the best of all.
_SOME_ABOVE, _MANY_ABOVE = 0.1, 0.01


@dataclass(frozen=True)
class Branch:
    """A minimum: angles and readouts (2 H), projections (S), relative loss and its error."""

    regime: Regime
    point: Array
    gains: Array
    loss: float
    error: float


@dataclass(frozen=True)
class _Windows:
    """Stratified windows (N, S), their targets (N) and weights (N)."""

    inputs: Array
    targets: Array
    weights: Array
    energy: float

    @classmethod
    def of(cls, law: DelayLaw, scored: Mask, count: int) -> "_Windows":
        """Strata are the number of active inputs, and whether the target is one of them."""
        rng = np.random.default_rng(0)
        lags, density, delay = len(scored), law.density[0], law.delay[0]
        quantile = AMPLITUDES[law.amplitude].quantile
        active = np.arange(1, lags + 1)
        chances = binom.pmf(active, lags, density)
        shares = np.sqrt(chances) / np.sqrt(chances).sum()
        inputs, weights = [], []
        for n, chance, share in zip(active, chances, shares, strict=True):
            if chance < 1e-9:
                continue
            for asked, part in ((True, n / lags), (False, 1.0 - n / lags)):
                size = max(int(count * share / 2), 8)
                if part <= 0.0:
                    continue
                order = rng.random((size, lags))
                order[:, delay] = -1.0 if asked else 2.0
                place = order.argsort(1).argsort(1)
                amplitudes = quantile(torch.from_numpy(rng.random((size, lags)))).numpy()
                inputs.append(np.where(place < n, amplitudes, 0.0))
                weights.append(np.full(size, chance * part / size))
        drawn, weight = np.concatenate(inputs), np.concatenate(weights)
        steps = rng.choice(np.flatnonzero(scored), len(drawn))
        drawn[np.arange(lags) > steps[:, None]] = 0.0
        return cls(drawn, drawn[:, delay].copy(), weight, _energy(law, scored))

    def slopes(self, gains: Array) -> Slopes:
        """Relative loss at the best scale (N) and its gradient in the projections (N, S)."""
        rectified = gains @ self.inputs.T
        np.maximum(rectified, 0.0, out=rectified)
        weighted = rectified * self.weights
        squares = np.einsum("nw,nw->n", weighted, rectified)
        products = weighted @ self.targets
        good = (products > 0) & (squares > 0)
        squares = np.where(good, squares, 1.0)
        products = np.where(good, products, 0.0)
        scale = products / squares
        turned = np.multiply(weighted, scale[:, None], out=weighted)
        turned -= (rectified > 0) * (self.weights * self.targets)
        gradient = 2.0 * (scale / self.energy)[:, None] * (turned @ self.inputs)
        return Slopes(1.0 - products * scale / self.energy, gradient)

    def scale(self, gains: Array) -> Array:
        """The best factor (N) of projections (N, S)."""
        rectified = np.maximum(gains @ self.inputs.T, 0.0)
        return np.asarray(
            (rectified * self.weights)
            @ self.targets
            / np.maximum((rectified**2 @ self.weights), 1e-300)
        )


@dataclass(frozen=True)
class _Problem:
    law: DelayLaw
    scored: Mask
    hidden: int

    def gains(self, points: Array) -> Array:
        """Projections (N, S) of points (N, 2 H): angles, then readouts."""
        angles, readouts = points[:, : self.hidden], points[:, self.hidden :]
        directions = filters(angles).directions(len(self.scored))
        return np.asarray((directions @ readouts[..., None])[..., 0])

    def sampled(self, windows: _Windows, points: Array) -> Slopes:
        """Relative loss of the sample at the best scale, and its gradient in the points."""
        count, size = points.shape
        moves = np.concatenate([np.eye(size), -np.eye(size)])[:, None] * _STEP
        gains = self.gains(points)
        found, beyond = windows.slopes(gains), self.beyond(gains)
        moved = self.gains((points + moves).reshape(-1, size)).reshape(2, size, count, -1)
        change = (moved[0] - moved[1]) / (2.0 * _STEP)
        gradients = found.gradients + beyond.gradients
        return Slopes(found.values + beyond.values, np.einsum("pns,ns->np", change, gradients))

    def beyond(self, gains: Array) -> Slopes:
        """Squared log of how far sum |a| exceeds `MOST_REACH` |a_k|, and its gradient (N, S)."""
        size, delay = np.abs(gains), self.law.delay[0]
        own, total = (np.maximum(part, 1e-12) for part in (size[:, delay], size.sum(1)))
        excess = np.maximum(np.log(total / (MOST_REACH * own)), 0.0)
        gradient = np.sign(gains) / total[:, None]
        gradient[:, delay] -= np.sign(gains[:, delay]) / own
        return Slopes(excess**2, 2.0 * excess[:, None] * gradient)

    def exact(self, points: Array) -> Slopes:
        """Relative loss and its differences, exact."""
        count, size = points.shape
        moves = _EXACT_STEP * np.concatenate([np.zeros((1, size)), np.eye(size), -np.eye(size)])
        found = self.losses((points[:, None] + moves).reshape(-1, size)).reshape(count, -1)
        return Slopes(
            found[:, 0], (found[:, 1 : size + 1] - found[:, size + 1 :]) / (2.0 * _EXACT_STEP)
        )

    def nearer(self, points: Array) -> Minima:
        """The minima on many windows below points (N, 2 H), at their best scale."""
        windows = _Windows.of(self.law, self.scored, _MANY)
        led = descend(
            lambda moved: self.sampled(windows, moved), points, iterations=40, tolerance=1e-7
        )
        scaled = led.points.copy()
        scaled[:, self.hidden :] *= windows.scale(self.gains(scaled))[:, None]
        return Minima(scaled, led.values, led.inverse)

    def polished(self, points: Array, inverse: Array) -> list[Branch]:
        """The minima of the exact loss below points (N, 2 H), one by one."""
        found = descend(self.exact, points, iterations=_POLISH, tolerance=_GAIN, inverse=inverse)
        gains = self.gains(found.points)
        exact = relu_losses(gains[:, None, None], self.law, self.scored)
        losses, errors = exact.loss / self.energy, exact.error / self.energy
        rows = zip(self.regimes(gains), found.points, gains, losses, errors, strict=True)
        return [Branch(*head, float(loss), float(error)) for *head, loss, error in rows]

    def starts(self) -> Array:
        """Points (N, 2 H) all over, with the answer's own projection positive."""
        points = scattered_angles(_SCREENED, 2 * self.hidden)
        # Readouts: normal quantiles of the lattice's other places.
        points[:, self.hidden :] = ndtri(points[:, self.hidden :] / (0.97 * np.pi) + 0.5)
        points[:, self.hidden :] *= np.sign(self.gains(points)[:, self.law.delay[0], None])
        return points

    def combs(self) -> Array:
        """Points (N, 2 H) with poles on an arc or its mirror image, read where the item is."""
        angles = comb_angles(self.law.delay[0], self.hidden)
        directions = filters(angles).directions(len(self.scored))
        return np.concatenate([angles, directions[:, self.law.delay[0]]], axis=1)

    def best_of_each(self, points: Array, values: Array, count: int) -> NDArray[np.intp]:
        """The places of the `count` best points of every regime."""
        regimes = np.array(self.regimes(self.gains(points)))
        found = [np.flatnonzero(regimes == one) for one in ("dense", "alternating", "sparse")]
        return np.concatenate([at[np.argsort(values[at])[:count]] for at in found])

    def distinct(self, points: Array, values: Array, count: int) -> list[int]:
        """The places of the `count` best minima of every regime; copies are left out."""
        gains, regimes = self.gains(points), self.regimes(self.gains(points))
        scaled = gains / np.maximum(np.linalg.norm(gains, axis=1), 1e-300)[:, None]
        found: list[int] = []
        for place in map(int, np.argsort(values)):
            apart = all(np.linalg.norm(scaled[place] - scaled[one]) > 0.05 for one in found)
            alike = sum(regimes[one] == regimes[place] for one in found)
            if apart and alike < count:
                found.append(place)
        return found

    def losses(self, points: Array) -> Array:
        """Relative loss (N) to the precision that a descent needs, and what reaches too far."""
        gains = self.gains(points)
        found = relu_losses(gains[:, None, None], self.law, self.scored, tolerance=_SEARCHED)
        return found.loss / self.energy + self.beyond(gains).values

    @property
    def energy(self) -> float:
        """E tau², the mean over the scored steps."""
        return _energy(self.law, self.scored)

    def regimes(self, gains: Array) -> list[Regime]:
        """Regime of each of the projections (N, S), of a readout that rectifies."""
        others = np.delete(gains, self.law.delay[0], axis=1)
        whole = np.maximum(np.square(others).sum(1), 1e-300)
        hidden = np.square(np.minimum(others, 0.0)).sum(1) / whole
        return [regime(float(share)) for share in hidden]


def _energy(law: DelayLaw, scored: Mask) -> float:
    due = float((np.flatnonzero(scored) >= law.delay[0]).mean())
    return law.density[0] * law.second_moment[0] * due


def branches(law: DelayLaw, hidden: int, scored: Mask, *, best: bool = False) -> list[Branch]:
    """The best network of every regime that has one, the best of all first.

    With `best` regimes that are clearly worse may be missing.
    """
    problem = _Problem(law, scored, hidden)
    few, some = (_Windows.of(law, scored, count) for count in (_FEW, _SOME))
    starts = problem.starts()
    values = few.slopes(problem.gains(starts)).values
    led = descend(
        lambda points: problem.sampled(some, points),
        np.concatenate([starts[problem.best_of_each(starts, values, _LED)], problem.combs()]),
        iterations=60,
        tolerance=1e-6,
    )
    # Few windows rank minima wrongly, and the exact descent is dear: many windows choose for it.
    chosen = problem.distinct(led.points, led.values, _KEPT)
    nearer = problem.nearer(led.points[_low(chosen, led.values, _SOME_ABOVE if best else np.inf)])
    chosen = problem.distinct(nearer.points, nearer.values, 1)
    chosen = _low(chosen, nearer.values, _MANY_ABOVE if best else np.inf)
    ends: dict[Regime, Branch] = {}
    found = problem.polished(nearer.points[chosen], nearer.inverse[chosen])
    for one in sorted(found, key=lambda branch: branch.loss):
        ends.setdefault(one.regime, one)
    return list(ends.values())


def _low(chosen: list[int], values: Array, above: float) -> list[int]:
    return [one for one in chosen if values[one] <= values[chosen].min() + above]


def followed(law: DelayLaw, scored: Mask, points: Array) -> list[Branch]:
    """The minima below points (N, 2 H), angles and then readouts, one by one."""
    problem = _Problem(law, scored, points.shape[1] // 2)
    nearer = problem.nearer(points)
    return problem.polished(nearer.points, nearer.inverse)
