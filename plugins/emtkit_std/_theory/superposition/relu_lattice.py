"""The loss of a rectified readout for constant amplitudes of very many inputs, on a lattice.

Z = sum_e a_e B_e takes 2^E values; its law is built up on points h apart, input by input,

    P'(z) = (1 - p) P(z) + p ((1 - f) P(z - j h) + f P(z - (j + 1) h)),   a = (j + f) h,

which keeps the mean of every input and adds a variance of f (1 - f) h² to it. As relu(Y)² has a
second derivative of at most 2, E relu(Y)² is off by at most V = sum_e p_e f_e (1 - f_e) h². relu(Y)
is off only where Y lies within D = E h of its kink, which is seen within 2 D on the lattice with
chance P: by D P at most, and by sqrt(V P).

Source: derived here.
"""

from dataclasses import dataclass

import numpy as np

from emtkit_std._theory.facts import Array

POINTS = 1 << 21
"""Points over the whole range of Z."""


@dataclass(frozen=True)
class LatticeLoss:
    """E relu(Y)² - 2 E[tau relu(Y)] and a bound on its error."""

    loss: float
    error: float


def lattice_loss(gain: Array, target: Array, density: Array, bias: float) -> LatticeLoss:
    """Of Y = b + sum_e gain_e B_e, tau = sum_e target_e B_e (E)."""
    step = float(np.abs(gain).sum()) / POINTS or 1.0
    everything = _law(gain, density, step)
    squares = np.square(np.maximum(everything.at + bias, 0.0)) @ everything.chance
    loss, error = float(squares), everything.variance
    for asked in np.flatnonzero(target):
        others = np.arange(len(gain)) != asked
        law = _law(gain[others], density[others], step)
        shifted = law.at + bias + gain[asked]
        weight = target[asked] * density[asked]
        loss -= 2.0 * weight * float(np.maximum(shifted, 0.0) @ law.chance)
        reach = len(gain) * step
        near = min(float(law.chance[np.abs(shifted) <= 2.0 * reach].sum()), 1.0)
        off = min(np.sqrt(law.variance * near), reach * near)
        error += 2.0 * abs(weight) * float(off)
    return LatticeLoss(loss, float(error))


@dataclass(frozen=True)
class _Law:
    """Points `at` (N) and their `chance` (N); the variance that the lattice added."""

    at: Array
    chance: Array
    variance: float


def _law(gain: Array, density: Array, step: float) -> _Law:
    """Small gains first, so that most inputs move a short array."""
    chance, origin, variance = np.ones(1), 0, 0.0
    for place in np.argsort(np.abs(gain), kind="stable"):
        a, p = gain[place] / step, density[place]
        below = int(np.floor(a))
        share = a - below
        least = min(below, 0)
        moved = np.zeros(len(chance) + max(below + 1, 0) - least)
        moved[-least : -least + len(chance)] = (1.0 - p) * chance
        start = below - least
        moved[start : start + len(chance)] += p * (1.0 - share) * chance
        moved[start + 1 : start + 1 + len(chance)] += p * share * chance
        chance, origin = moved, origin - least
        variance += p * share * (1.0 - share) * step**2
    return _Law((np.arange(len(chance)) - origin) * step, chance, variance)
