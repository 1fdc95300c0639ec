"""The loss of a rectified readout for amplitudes without bound, from integrals over frequencies.

With phi(w) = E exp(i w Y) and psi(w) = E[tau exp(i w Y)],

    E[Y |Y|]   = (4 / pi) int_0^inf (w E Y - Im phi) / w³ dw,
    E[tau |Y|] = (2 / pi) int_0^inf (E tau - Re psi) / w² dw,

and relu(Y)² = (Y² + Y |Y|) / 2. That no input is active (Y = b) is added apart, so that phi decays.
Gauss points in panels that widen with w; below the first panel the integrands are even powers of w.
The error is the distance to the same panels with half the points, the bound beyond the last, and
rounding in the first, where waves less their means cancel.

Source: derived here.
"""

from dataclasses import dataclass

import numpy as np

from emtkit_std._theory.facts import Array
from emtkit_std._theory.superposition.amplitudes import Complexes, Waves

# Frequencies, in units of 1 / (root mean square of Y + |b|).
_LEAST, _MOST = 1e-4, 1e6
_ROUNDING = 4 * float(np.finfo(np.float64).eps)
_RATIO = 2.0  # of the ends of a panel
_POINTS = 16
# Half a panel of waves exp(i w b) turns by at most this; beyond _RESOLVED turns phi is negligible.
_TURN, _RESOLVED = 4.0, 3e3


@dataclass(frozen=True)
class IntegralLoss:
    """E relu(Y)² - 2 E[tau relu(Y)] and the estimate of its error."""

    loss: float
    error: float


@dataclass(frozen=True)
class SparseSum:
    """Y = b + sum_e gain_e x_e and tau = sum_e target_e x_e of inputs x = B U (E).

    Waves, mean and second moment (E) are those of each U.
    """

    gain: Array
    target: Array
    density: Array
    bias: float
    waves: tuple[Waves, ...]
    mean: Array
    second_moment: Array

    def loss(self) -> IntegralLoss:
        """The loss without E tau²."""
        means, variances = self._means(), self._variances()
        first, asked = self.bias + self.gain @ means, self.target @ means
        second = first**2 + self.gain**2 @ variances
        product = asked * first + (self.gain * self.target) @ variances
        if not self.gain.any():
            level = max(self.bias, 0.0)
            return IntegralLoss(level**2 - 2.0 * asked * level, 0.0)
        silent = float(np.prod(1.0 - self.density))
        size = np.sqrt(second) + abs(self.bias)
        edges = self._edges(size)
        coarse, fine = (
            self._integrals(edges, points, silent) for points in (_POINTS // 2, _POINTS)
        )
        square = 4.0 / np.pi * fine.squares + silent * self.bias * abs(self.bias)
        share = 2.0 / np.pi * fine.products
        gap = np.abs([fine.squares - coarse.squares, fine.products - coarse.products])
        error = 2.0 / np.pi * (gap[0] + gap[1] + fine.rest)
        error += _ROUNDING / _LEAST * size * (size + np.abs(self.target).max())
        return IntegralLoss(0.5 * (second + square) - (product + share), float(error))

    def _means(self) -> Array:
        return self.density * self.mean

    def _variances(self) -> Array:
        return self.density * self.second_moment - self._means() ** 2

    def _edges(self, size: float) -> Array:
        """Ends of the panels (N + 1)."""
        edges = [_LEAST / size]
        while edges[-1] < _MOST / size:
            step = (_RATIO - 1.0) * edges[-1]
            if self.bias and edges[-1] * abs(self.bias) < _RESOLVED:
                step = min(step, 2.0 * _TURN / abs(self.bias))
            edges.append(edges[-1] + step)
        return np.array(edges)

    def _integrals(self, edges: Array, points: int, silent: float) -> "_Integrals":
        nodes, weights = np.polynomial.legendre.leggauss(points)
        half = np.diff(edges)[:, None] / 2.0
        least, most = edges[0], edges[-1]
        w = np.concatenate([(edges[:-1, None] + half * (1.0 + nodes)).ravel(), [least, 2 * least]])
        weights = (half * weights).ravel()
        phi, psi = self._characteristic(w)
        mean = self.bias * (1.0 - silent) + self.gain @ self._means()
        phi = phi - silent * np.exp(1j * w * self.bias)
        asked = float(self.target @ self._means())
        totals = []
        for values, tail in (
            ((w * mean - phi.imag) / w**3, mean / most),
            ((asked - psi.real) / w**2, asked / most),
        ):
            curve = (values[-1] - values[-2]) / 9.0  # of c_0 + c_2 w², c_2 least² / 3
            totals.append(weights @ values[:-2] + least * (values[-2] - 2.0 * curve) + tail)
        rest = abs(phi[-3]) / most**2 + 2.0 * abs(psi[-3]) / most
        return _Integrals(float(totals[0]), float(totals[1]), float(rest))

    def _characteristic(self, w: Array) -> tuple[Complexes, Complexes]:
        """phi and psi (N) at frequencies w."""
        phi, psi = np.exp(1j * w * self.bias), np.zeros(len(w), complex)
        entries = zip(self.gain, self.target, self.density, self.waves, strict=True)
        for gain, target, density, waves in entries:
            factor = 1.0 + density * waves.less_one(w * gain)
            psi = psi * factor
            if target:
                psi = psi + target * density * waves.with_amplitude(w * gain) * phi
            phi = phi * factor
        return phi, psi


@dataclass(frozen=True)
class _Integrals:
    squares: float
    products: float
    rest: float
