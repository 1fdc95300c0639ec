"""Windows of one feature, drawn by strata, and the loss of a rectified readout on them.

Source: derived here.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binom

from emtkit_std._theory.facts import Array, DelayLaw, Mask
from emtkit_std._theory.superposition.amplitudes import AMPLITUDES
from emtkit_std._theory.superposition.relu_slopes import ScaledLosses, target_energy


@dataclass(frozen=True)
class Windows:
    """Stratified windows (N, S), their targets (N) and weights (N)."""

    inputs: Array
    targets: Array
    weights: Array
    energy: float

    @classmethod
    def of(cls, law: DelayLaw, scored: Mask, count: int) -> "Windows":
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
        return cls(drawn, drawn[:, delay].copy(), weight, target_energy(law, scored))

    def losses(self, gains: Array) -> ScaledLosses:
        """Relative losses at the best scale of projections (N, S)."""
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
        return ScaledLosses(1.0 - products * scale / self.energy, scale, gradient)
