"""Relative losses of rectified readouts with their gradients in the projections, for searches.

One feature, amplitudes U with E exp(i x U) = phi(x) bounded by 1. With A = E tau relu(Y) and
B = E relu(Y)², means over the scored steps, the loss at the best scale is 1 - A² / (B E tau²).
A and B are the series of `relu_series` with M = sum |a| and p, q = 1 - p taken together,

    E[Y |Y|] = sum_s p q^t a_s |a_s| E[U |U|] + M E' Y - M² sum_n 8 / (pi n)³ Im Phi_n,
    Phi_n = prod_s (q + p phi_s) - q^(t+1) - p q^t sum_s phi_s,   phi_s = phi(n pi a_s / M),

where E' is over two active inputs or more: what at most one contributes is known, and the rest
falls by two powers of n faster. Products over the lags s <= t are running ones, so that further
scored steps are nearly free, and their derivatives come from one pass back. What the terms beyond
the last add is bounded as there; M may be held fixed, as the exact sum does not depend on it.

Source: derived here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emtkit_std._theory.facts import Array, DelayLaw, Mask
from emtkit_std._theory.superposition.amplitudes import AMPLITUDES

_FEWEST, _MOST = 1 << 5, 1 << 13
_ROUNDING = 1e-15
_CHUNK = 1 << 15  # numbers of one array

Complexes = NDArray[np.complex128]
Pair = tuple[Complexes, Complexes]


@dataclass(frozen=True)
class ScaledLosses:
    """Relative loss at the best scale (N), that scale (N) and the gradient in the gains (N, S)."""

    values: Array
    scale: Array
    gradients: Array


def target_energy(law: DelayLaw, scored: Mask) -> float:
    """E tau² of one feature, the mean over the scored steps."""
    due = float((np.flatnonzero(scored) >= law.delay[0]).mean())
    return law.density[0] * law.second_moment[0] * due


def relu_slopes(gains: Array, law: DelayLaw, scored: Mask, tolerance: float) -> ScaledLosses:
    """Of projections (N, S) of one feature, to `tolerance` where as many terms as allowed reach it.

    Networks that never answer have loss 1 and gradient 0.
    """
    problem = _Problem.of(law, scored)
    terms = problem.terms(gains, tolerance)
    found = ScaledLosses(np.ones(len(gains)), np.zeros(len(gains)), np.zeros_like(gains))
    for count in np.unique(terms):
        alike = np.flatnonzero(terms == count)
        size = max(_CHUNK // (int(count) * gains.shape[1]), 1)
        for start in range(0, len(alike), size):
            chosen = alike[start : start + size]
            part = problem.losses(gains[chosen], int(count))
            found.values[chosen], found.scale[chosen] = part.values, part.scale
            found.gradients[chosen] = part.gradients
    return found


@dataclass(frozen=True)
class _Moments:
    """A and B (N) as far as no series is needed, and their gradients (N, S)."""

    product: Array
    square: Array
    product_slope: Array
    square_slope: Array


@dataclass(frozen=True)
class _Problem:
    density: float
    delay: int
    mean: float
    second: float
    folded: float  # E[U |U|]
    waves: "_Waves"
    steps: NDArray[np.intp]
    lags: int
    energy: float

    @classmethod
    def of(cls, law: DelayLaw, scored: Mask) -> "_Problem":
        known, steps = AMPLITUDES[str(law.amplitude)], np.flatnonzero(scored)
        return cls(
            law.density[0],
            law.delay[0],
            known.mean,
            known.second_moment,
            known.second_moment if known.one_signed else 0.0,
            WAVES[str(law.amplitude)],
            steps,
            int(steps.max()) + 1,
            target_energy(law, scored),
        )

    def terms(self, gains: Array, tolerance: float) -> NDArray[np.int64]:
        """How many terms each network (N) needs."""
        size = np.abs(gains[:, : self.lags])
        whole, own = size.sum(1), np.maximum(size[:, self.delay], 1e-300)
        terms, left = np.full(len(gains), _FEWEST), np.arange(len(gains))
        # Gains are compared at the scale a_k = 1, which is near the best one.
        aim = tolerance * self.energy * own**2
        while len(left) and terms[left[0]] < _MOST:
            last = 2.0 * terms[left[0]]
            turn = size[left] * (np.pi * last / np.maximum(whole[left], 1e-300))[:, None]
            decay = np.minimum(1.0, 2.0 / np.maximum(turn, 1e-300))
            rest = np.max([self._two(decay[:, : step + 1]) for step in self.steps], axis=0)
            square = whole[left] ** 2 * (8 / np.pi**3 / (4.0 * last**2)) * rest
            asked = own[left] * whole[left] * (4 / np.pi**2 / (2.0 * last)) * rest
            left = left[(square / 2.0 + asked) > aim[left]]
            terms[left] *= 2
        return terms

    def _two(self, decay: Array) -> Array:
        """prod (q + p d) - q^n - p q^(n-1) sum d of factors d (N, S), never below rounding."""
        p, q, count = self.density, 1.0 - self.density, decay.shape[1]
        more = (q + p * decay).prod(1) - q**count - p * q ** (count - 1) * decay.sum(1)
        return np.maximum(more, _ROUNDING)

    def losses(self, gains: Array, count: int) -> ScaledLosses:
        """With `count` terms."""
        used = gains[:, : self.lags]
        whole = np.maximum(np.abs(used).sum(1), 1e-300)
        n = 2.0 * np.arange(count) + 1.0
        passes = _Passes(self, used, whole, n)
        known = self._moments(used, whole)
        product = known.product - 0.5 * whole * passes.products
        square = known.square - 0.5 * whole**2 * passes.squares
        good = (product > 0) & (square > 0)
        product = np.where(good, product, 0.0)
        scale = product / np.where(good, square, 1.0)
        # d(1 - A² / B e) = (scale² dB - 2 scale dA) / e
        on_square, on_product = scale**2 / self.energy, -2.0 * scale / self.energy
        slopes = on_square[:, None] * known.square_slope
        slopes += on_product[:, None] * known.product_slope
        slopes += passes.back(-0.5 * on_square * whole**2, -0.5 * on_product * whole)
        gradients = np.zeros_like(gains)
        gradients[:, : self.lags] = slopes
        return ScaledLosses(1.0 - product * scale / self.energy, scale, gradients)

    def _moments(self, gains: Array, whole: Array) -> _Moments:
        p, q, m, v = self.density, 1.0 - self.density, self.mean, self.second
        product, square = np.zeros(len(gains)), np.zeros(len(gains))
        product_slope, square_slope = np.zeros_like(gains), np.zeros_like(gains)
        for step in self.steps:
            a, alone = gains[:, : step + 1], p * q**step
            total = a.sum(1)
            several = m * (p - alone)  # E' of an input
            squares = np.square(a)
            square += p * (v - p * m**2) * squares.sum(1) + (p * m * total) ** 2
            square += alone * self.folded * (a * np.abs(a)).sum(1) + whole * several * total
            slope = 2.0 * p * (v - p * m**2) * a + (2.0 * (p * m) ** 2 * total)[:, None]
            slope += 2.0 * alone * self.folded * np.abs(a) + (whole * several)[:, None]
            square_slope[:, : step + 1] += slope
            if step >= self.delay:
                own = a[:, self.delay]
                product += p * (v - p * m**2) * own + (p * m) ** 2 * total
                product += alone * self.folded * np.abs(own) + 0.5 * whole * several
                product_slope[:, : step + 1] += (p * m) ** 2
                product_slope[:, self.delay] += p * (v - p * m**2)
                product_slope[:, self.delay] += alone * self.folded * np.sign(own)
        share = 0.5 / len(self.steps)
        return _Moments(*(share * part for part in (product, square, product_slope, square_slope)))


class _Passes:
    """Series of networks (N) with n odd (C): sums of Im Phi and Re Psi, and back to the gains.

    Everything by lag (S, N, C).
    """

    def __init__(self, problem: _Problem, gains: Array, whole: Array, n: Array) -> None:
        self._of, self._n, self._turn = problem, n, np.pi / whole
        self._cubic, self._quadratic = 8.0 / (np.pi * n) ** 3, 4.0 / (np.pi * n) ** 2
        p, q, share = problem.density, 1.0 - problem.density, 1.0 / len(problem.steps)
        delay, scored = problem.delay, set(map(int, problem.steps))
        self._scored = scored
        self._phi, self._slope, own = problem.waves(gains.T * self._turn, n, delay)
        self._own, self._own_slope = p * own[0], p * own[1]
        self._factor = p * self._phi
        self._factor += q
        self._before = np.empty_like(self._factor)
        self._asked = np.zeros_like(self._factor)
        self.squares, self.products = np.zeros(len(gains)), np.zeros(len(gains))
        running, asked = np.ones_like(self._own), np.zeros_like(self._own)
        for lag, factor in enumerate(self._factor):
            self._before[lag], self._asked[lag] = running, asked
            if lag == delay:
                asked = running * self._own
            elif lag > delay:
                asked *= factor
            running *= factor
            if lag in scored:
                singles = self._phi[: lag + 1].sum(0)
                rest = running.imag - p * q**lag * singles.imag
                self.squares += share * (rest @ self._cubic)
                if lag >= delay:
                    rest = asked.real - q**lag * self._own.real
                    self.products += share * (rest @ self._quadratic)

    def back(self, on_squares: Array, on_products: Array) -> Array:
        """The gradient in the gains (N, S) of on_squares . squares + on_products . products."""
        of, p, q = self._of, self._of.density, 1.0 - self._of.density
        share = 1.0 / len(of.steps)
        # Derivatives are Re sum seed dPhi; Im Phi = Re(-i Phi).
        seed = (-1j * share) * on_squares[:, None] * self._cubic
        asked_seed = share * on_products[:, None] * self._quadratic
        waves, singles = np.empty_like(self._factor), np.empty_like(self._factor)
        asked = np.empty_like(self._factor)
        wave, ask, single, own = (np.zeros_like(self._own) for _ in range(4))
        for lag in range(of.lags - 1, -1, -1):
            if lag in self._scored:
                wave += seed
                single -= q**lag * seed
                if lag >= of.delay:
                    ask += asked_seed
                    own -= q**lag * asked_seed
            waves[lag], singles[lag], factor = wave, single, self._factor[lag]
            wave *= factor
            if lag > of.delay:
                asked[lag] = ask
                ask *= factor
            elif lag == of.delay:
                own += ask * self._before[lag]
                wave += ask * self._own
        waves *= self._before
        waves[of.delay + 1 :] += asked[of.delay + 1 :] * self._asked[of.delay + 1 :]
        waves += singles
        change = p * _real_sums(waves, self._slope, self._n)
        change[of.delay] += _real_sums(own, self._own_slope, self._n)
        return np.asarray((change * self._turn).T)


def _real_sums(one: Complexes, other: Complexes, n: Array) -> Array:
    """Re sum_n n x_n y_n over the last axis."""
    return np.asarray((one.real * other.real - one.imag * other.imag) @ n)


_Waves = Callable[[Array, Array, int], tuple[Complexes, Complexes, Pair]]


def _uniform(turn: Array, n: Array, delay: int) -> tuple[Complexes, Complexes, Pair]:
    """phi, phi' (S, N, C) at n x of turns x (S, N); E[U exp] and its slope at the asked (N, C)."""
    x = _apart(turn)
    half = _odd_turns(0.5 * x, len(n))
    inverse = (1.0 / x)[..., None] / n
    phi = half * (2.0 * half.imag * inverse)
    whole = half * half
    slope = (whole - phi) * inverse
    second = (1j * whole[delay] - 2.0 * slope[delay]) * inverse[delay]
    return phi, slope, (-1j * slope[delay], -1j * second)


def _signed(turn: Array, n: Array, delay: int) -> tuple[Complexes, Complexes, Pair]:
    """As `_uniform`."""
    x = _apart(turn)
    wave = _odd_turns(x, len(n))
    inverse = (1.0 / x)[..., None] / n
    phi = wave.imag * inverse
    slope = (wave.real - phi) * inverse
    second = (-wave.imag[delay] - 2.0 * slope[delay]) * inverse[delay]
    own = -1j * slope[delay], -1j * second
    return phi.astype(np.complex128), slope.astype(np.complex128), own


WAVES: Mapping[str, _Waves] = {"uniform": _uniform, "signed": _signed}
"""The laws with such series."""


def _apart(turn: Array) -> Array:
    """Turns no nearer to 0 than rounding allows; the waves are smooth there."""
    return np.where(np.abs(turn) < 1e-10, np.where(turn < 0, -1e-10, 1e-10), turn)


def _odd_turns(turn: Array, count: int) -> Complexes:
    """exp(i (2 n + 1) c) of turns c (...), n below `count` (..., count), from few exponentials."""
    fine = min(_FEWEST, count)
    near = np.exp(1j * turn[..., None] * (2.0 * np.arange(fine) + 1.0))
    if fine == count:
        return np.asarray(near)
    far = np.exp(1j * turn[..., None] * (2.0 * fine * np.arange(count // fine)))
    return (far[..., :, None] * near[..., None, :]).reshape(*turn.shape, count)
