"""The expected squared error of a delay task for a ReLU readout, as a series in the density p.

A readout y = relu(sum_s a_s x_{t-s}) on a linear recurrence sees nothing of negative projections,
so to first order (one active input at a time) they are free; what is left at second order is
composition: an active silenced item wipes the output. First order is right for any recurrence whose
lone-pulse projections are given; second order needs the recurrence to be linear.

Losses are absolute, sums over outputs weighted by importance; no bias.

Source: first order Sharma, Proca, Prieto and Mediano (ICLR 2026); second order is derived here.
"""

from collections.abc import Iterator

import numpy as np

from emtkit import EmtkitError
from emtkit_std._theory.facts import Array, DelayLaw, Mask
from emtkit_std._theory.superposition.linear_loss import perfect_projections, scored_steps
from emtkit_std._theory.superposition.projections import own_gains


def relu_second_order(projections: Array, law: DelayLaw, scored: Mask | None = None) -> float:
    """Second order in p of the loss of y = relu(sum a x), stationary or mean over scored steps.

    L = p sum_s l({s}) + p² sum_{s<s'} (l({s,s'}) - l({s}) - l({s'})) + O(p³),
    l(A) = E[(relu(sum_A a U) - [own in A] U)²]. Needs the law of U by name and equal densities.
    """
    if scored is None:
        own_gains(projections, law)
        return _to_second_order(projections, law)
    steps = scored_steps(projections, law, scored)
    losses = [_to_second_order(projections[..., : step + 1], law) for step in steps]
    return float(np.mean(losses))


def uniform_relu_moments(first: Array, second: Array) -> tuple[Array, Array]:
    """E[relu(a U + b V)²] and E[U relu(a U + b V)] for independent U, V ~ U(0, 1).

    Piecewise polynomials by the signs of a and b, each a series in the smaller over the larger, so
    that nothing cancels near 0 (inclusion-exclusion over corners divides by a² b).
    """
    a, b = np.broadcast_arrays(first, second)
    square_all, cross_all = (a**2 + b**2) / 3.0 + a * b / 2.0, a / 3.0 + b / 4.0
    size_a, size_b = np.abs(a), np.abs(b)
    small, large = np.minimum(size_a, size_b), np.maximum(size_a, size_b)
    ratio = small / np.where(large > 0, large, 1.0)
    # Where the signs differ: moments over the corner of the unit square in which the smaller wins.
    square_part = small**2 * ratio / 12.0
    a_smaller = np.where(a > 0, size_a <= size_b, size_a < size_b)
    cross_part = np.where(a_smaller, small * ratio / 8.0, small * ratio**2 / 24.0)
    wins = np.where(a > 0, size_a > size_b, size_b > size_a)
    # Where the positive one is larger the whole square counts, less that corner.
    square_mixed = np.where(wins, square_all - square_part, square_part)
    cross_mixed = np.where(wins, cross_all + cross_part, cross_part)
    both_up, both_down = (a >= 0) & (b >= 0), (a <= 0) & (b <= 0)
    square = np.where(both_up, square_all, np.where(both_down, 0.0, square_mixed))
    cross = np.where(both_up, cross_all, np.where(both_down, 0.0, cross_mixed))
    return square, cross


def _to_second_order(projections: Array, law: DelayLaw) -> float:
    density, loss = law.density[0], 0.0
    for weight, gains, own in _outputs(projections, law):
        alone = _lone_losses(gains, own, law)
        together = _pair_losses(gains, own, law) - alone[:, None] - alone[None, :]
        pairs = float(np.triu(together, 1).sum())
        loss += weight * (density * float(alone.sum()) + density**2 * pairs)
    return loss


def _outputs(projections: Array, law: DelayLaw) -> Iterator[tuple[float, Array, Array]]:
    """Importance, projections (I L) and perfect projections (I L) of each output."""
    if len(set(zip(law.density, law.mean, law.second_moment, strict=True))) > 1:
        raise EmtkitError(
            "the p-series needs inputs of equal density and amplitude, but the densities are "
            f"{law.density} and the second moments {law.second_moment}"
        )
    targets = perfect_projections(projections, law)
    for weight, gains, own in zip(law.importance, projections, targets, strict=True):
        yield weight, gains.ravel(), own.ravel()


def _lone_losses(gains: Array, own: Array, law: DelayLaw) -> Array:
    """l({s}) for each entry: E[(relu(a U) - target U)²]."""
    second_moment = law.second_moment[0]
    up = np.square(np.maximum(gains, 0.0) - own)
    if law.amplitude != "signed":
        return second_moment * up
    return 0.5 * second_moment * (up + np.square(np.maximum(-gains, 0.0) + own))


def _pair_losses(gains: Array, own: Array, law: DelayLaw) -> Array:
    """l({s, s'}) for each pair (N, N); the diagonal has no meaning."""
    first, second = gains[:, None], gains[None, :]
    own_first, own_second = own[:, None], own[None, :]
    if law.amplitude == "constant":
        value = law.mean[0]
        return np.square(value * (np.maximum(first + second, 0.0) - own_first - own_second))
    if law.amplitude == "uniform":
        return _uniform_pair(first, second, own_first, own_second)
    if law.amplitude == "signed":  # four equally likely quadrants of two U(0, 1)
        quadrants = [
            _uniform_pair(i * first, j * second, i * own_first, j * own_second)
            for i in (1.0, -1.0)
            for j in (1.0, -1.0)
        ]
        return np.asarray(sum(quadrants)) / 4.0
    raise EmtkitError(
        "the second-order ReLU loss needs the law of the amplitudes by name; "
        f"the task's is {law.amplitude!r}, allowed: constant, signed, uniform"
    )


def _uniform_pair(first: Array, second: Array, own_first: Array, own_second: Array) -> Array:
    """E[(relu(a U + b V) - g U - h V)²] for independent U, V ~ U(0, 1)."""
    square, with_first = uniform_relu_moments(first, second)
    _, with_second = uniform_relu_moments(second, first)
    target = (np.square(own_first) + np.square(own_second)) / 3.0 + own_first * own_second / 2.0
    return square - 2.0 * (own_first * with_first + own_second * with_second) + target
