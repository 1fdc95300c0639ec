"""The loss of a rectified readout for constant amplitudes, from the patterns of two halves.

Y = A + B, where A and B add up the active inputs of two halves: 2^(E/2) values each in the place
of 2^E. With B sorted and running sums of its chances, values and squares, each A meets all the B
above -A at once.

Source: derived here.
"""

import numpy as np

from emtkit_std._theory.facts import Array


def pattern_loss(gain: Array, target: Array, density: Array, bias: float) -> float:
    """E relu(Y)² - 2 E[tau relu(Y)], Y = b + sum_e gain_e B_e, tau = sum_e target_e B_e (E)."""
    value, own, chance = _patterns(gain[::2], target[::2], density[::2])
    other, other_own, other_chance = _patterns(gain[1::2], target[1::2], density[1::2])
    value, order = value + bias, np.argsort(-other)
    other, other_own, other_chance = other[order], other_own[order], other_chance[order]
    place = np.searchsorted(-other, value)
    one, first, second, asked, product = (
        np.concatenate([[0.0], np.cumsum(other_chance * part)])[place]
        for part in (np.ones_like(other), other, other**2, other_own, other * other_own)
    )
    squares = value**2 * one + 2.0 * value * first + second
    products = own * (value * one + first) + value * asked + product
    return float(chance @ (squares - 2.0 * products))


def _patterns(gain: Array, target: Array, density: Array) -> tuple[Array, Array, Array]:
    """Sum of gains, sum of targets and chance of every pattern of activity (2^E)."""
    values, targets, chances = np.zeros(1), np.zeros(1), np.ones(1)
    for a, own, p in zip(gain, target, density, strict=True):
        values = np.concatenate([values, values + a])
        targets = np.concatenate([targets, targets + own])
        chances = np.concatenate([chances * (1.0 - p), chances * p])
    return values, targets, chances
