"""Fourier series of relu(Y)² and tau relu(Y) for a sum Y of independent sparse inputs.

With |Y| <= M, w_n = n pi / M and n odd, on the circle of length 2 M

    Y |Y| = M Y - M² sum_n 8 / (pi n)³ sin(w_n Y),    |Y| = M / 2 - M sum_n 4 / (pi n)² cos(w_n Y).

Expectations of the waves are products of characteristic functions 1 - p + p E exp(i w a U), with
p E[U exp(i w a_k U)] in the place of that of the asked item. What the terms beyond n = N add to
E relu(Y)² - 2 E[tau relu(Y)] is at most, with |E exp(i c U)| <= min(1, 2 / |c|),

    M² 4 / (pi³ 4 N²) prod(N) + M 4 / (pi² 2 N) prod(N),

where each product of bounds falls with N; for constant amplitudes it does not.

Source: derived here.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import spherical_jn

from emtkit_std._theory.facts import Array

LAWS = frozenset({"uniform", "constant", "signed"})
"""Those of U that have series here; all others need `waves` (see `amplitudes`)."""

_FEWEST_TERMS, _MOST_TERMS = 1 << 6, 1 << 15
# Complex numbers of one chunk of series.
_CHUNK = 1 << 15

Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class Waves:
    """Sums of both series (R), factors M² and M included, and the bound on the rest (R)."""

    squares: Array
    products: Array
    rest: Array


@dataclass(frozen=True)
class Series:
    """Problems Y = b + sum a x with |Y| <= M: a, target, density (R, E), bias b and `whole` M (R).

    An entry of density 1 is surely active, one of density 0 is none. `law` (R, E) is the place of
    its law among the `names`.
    """

    gain: Array
    target: Array
    density: Array
    bias: Array
    whole: Array
    law: NDArray[np.intp]
    names: tuple[str, ...]

    def sums(self, aim: Array) -> Waves:
        """Both sums, with as many terms as bring the rest below `aim` (R) if that many may be."""
        terms, rest = self._terms(aim)
        squares, products = np.empty_like(rest), np.empty_like(rest)
        for count in np.unique(terms):
            alike = np.flatnonzero(terms == count)
            at_once = max(_CHUNK // int(count), 1)
            for start in range(0, len(alike), at_once):
                chosen = alike[start : start + at_once]
                squares[chosen], products[chosen] = self._sum(chosen, int(count))
        return Waves(squares, products, rest)

    def _terms(self, aim: Array) -> tuple[NDArray[np.int64], Array]:
        terms = np.full(len(aim), _FEWEST_TERMS)
        rest = self._rest(np.arange(len(aim)), _FEWEST_TERMS)
        count, short = _FEWEST_TERMS, np.flatnonzero(rest > aim)
        while len(short) and count < _MOST_TERMS:
            count *= 2
            terms[short], rest[short] = count, self._rest(short, count)
            short = short[rest[short] > aim[short]]
        return terms, rest

    def _rest(self, chosen: NDArray[np.intp], count: int) -> Array:
        """Bound on the terms beyond `count` of both series, n up to N = 2 count."""
        last, whole, density = 2.0 * count, self.whole[chosen], self.density[chosen]
        turned = np.abs(self.gain[chosen]) * (np.pi * last / whole)[:, None]
        decay, fixed = np.ones_like(turned), self._fixed(chosen)
        np.divide(2.0, turned, out=decay, where=(turned > 2.0) & ~fixed)
        factors = 1.0 - density + density * decay
        squares = whole**2 * (8 / np.pi**3 / (4.0 * last**2)) * factors.prod(1)
        most = np.where(fixed, 1.0, 0.5)
        asked = np.abs(self.target[chosen]) * density * np.minimum(most, decay)
        places = asked.argmax(1)[:, None]
        product = np.take_along_axis(asked, places, 1)[:, 0]
        np.put_along_axis(factors, places, 1.0, 1)
        product *= factors.prod(1) * whole * (4 / np.pi**2 / (2.0 * last))
        return np.asarray(squares / 2.0 + product)

    def _fixed(self, chosen: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which entries have constant amplitudes."""
        return (np.array(self.names) == "constant")[self.law[chosen]]

    def _sum(self, chosen: NDArray[np.intp], count: int) -> tuple[Array, Array]:
        n = 2.0 * np.arange(count) + 1.0
        whole = self.whole[chosen]
        wave = _odd_turns(np.pi * self.bias[chosen] / whole, count)
        asked = np.zeros_like(wave)
        for entry, law in product(range(self.gain.shape[1]), range(len(self.names))):
            there = (self.density[chosen, entry] > 0) & (self.law[chosen, entry] == law)
            here, amplitude = np.flatnonzero(there), self.names[law]
            if not len(here):
                continue
            rows = chosen[here]
            at = slice(None) if len(here) == len(chosen) else here  # a copy takes as long
            density = self.density[rows, entry]
            turn = np.pi * self.gain[rows, entry] / whole[here]
            factor = _characteristic(turn, density, count, amplitude)
            wanted = np.flatnonzero(self.target[rows, entry])
            if asked.any():
                asked[at] *= factor
            if len(wanted):
                share = (density * self.target[rows, entry])[wanted, None]
                share = share * _with_amplitude(turn[wanted, None] * n, amplitude)
                asked[here[wanted]] += wave[here[wanted]] * share
            wave[at] *= factor
        squares = (wave.imag * (8.0 / (np.pi * n) ** 3)).sum(1) * whole**2
        products = (asked.real * (4.0 / (np.pi * n) ** 2)).sum(1) * whole
        return squares, products


def _odd_turns(turn: Array, count: int) -> Complexes:
    """exp(i (2 n + 1) c) of turns c (R), n below `count` (R, count), from few exponentials."""
    fine = 1 << (count.bit_length() // 2 + 1)  # about as many of both, at best
    near = np.exp(1j * turn[:, None] * (2.0 * np.arange(fine) + 1.0))
    far = np.exp(1j * turn[:, None] * (2.0 * fine * np.arange(count // fine)))
    return (far[:, :, None] * near[:, None, :]).reshape(len(turn), count)


def _characteristic(turn: Array, density: Array, count: int, amplitude: str) -> Complexes:
    """1 - p + p E exp(i (2 n + 1) c U) of turns c and densities p (R)."""
    if amplitude == "constant":
        factor = _odd_turns(turn, count)
        factor *= density[:, None]
    else:
        half = turn if amplitude == "signed" else 0.5 * turn
        still = half == 0.0
        waves = _odd_turns(half, count)
        share = waves.imag * (1.0 / (2.0 * np.arange(count) + 1.0))
        share *= (density / np.where(still, 1.0, half))[:, None]  # p sin(x) / x
        share[still] = density[still, None]
        factor = share.astype(np.complex128) if amplitude == "signed" else waves
        if factor is waves:
            factor *= share
    factor.real += (1.0 - density)[:, None]
    return factor


def _with_amplitude(angle: Array, amplitude: str) -> Complexes:
    """E[U exp(i c U)] at angles c."""
    if amplitude == "constant":
        return np.exp(1j * angle)
    if amplitude == "signed":
        return 1j * _first_bessel(angle)
    half = angle / 2.0
    both = np.sinc(half / np.pi) + 1j * _first_bessel(half)
    return np.asarray(0.5 * np.exp(1j * half) * both)


def _first_bessel(angle: Array) -> Array:
    """The spherical Bessel function j_1, odd."""
    return np.asarray(np.sign(angle) * spherical_jn(1, np.abs(angle)))
