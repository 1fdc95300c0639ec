"""Every stable linear filter with H units, as angles; and a descent from many starts at once.

The product of H plane rotations by angles phi_i in the planes (i, i + 1) is an orthogonal matrix
[[A, B], [C, D]] of H + 1 rows. Its (A, B) is stable for |phi_i| < 90 degrees, -sin phi_i being the
reflection coefficients of the characteristic polynomial, and every stable polynomial is reached,
real poles as well as complex ones. Since A A' + B B' = I, the directions w_s = A^s B are
orthonormal over infinite history (sum_s w_s w_s' = I): nothing cancels when poles approach each
other or 1.

Shapes: angles (N, H), directions (N, S, H).

Source: the normalised lattice of Gray and Markel (1975).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emtkit_std._theory.facts import Array

_STEP = 1e-6
_ARMIJO = 1e-4
_HALVINGS = 12


@dataclass(frozen=True)
class Filters:
    """Recurrent weights A (N, H, H) and input weights B (N, H)."""

    W_hh: Array
    W_uh: Array

    def directions(self, lags: int) -> Array:
        """w_s = A^s B for s below `lags` (N, S, H), by doubling."""
        found, power = self.W_uh[:, None], self.W_hh.transpose(0, 2, 1)
        while found.shape[1] < lags:
            found = np.concatenate([found, found @ power], axis=1)
            power = power @ power
        return found[:, :lags]


def filters(angles: Array) -> Filters:
    """The filters of these angles."""
    count, hidden = angles.shape
    product = np.broadcast_to(np.eye(hidden + 1), (count, hidden + 1, hidden + 1)).copy()
    cosine, sine = np.cos(angles), np.sin(angles)
    for place in range(hidden):
        c, s = cosine[:, place, None], sine[:, place, None]
        left, right = product[:, :, place].copy(), product[:, :, place + 1].copy()
        # Rotation and exchange: all angles 0 are the shift register.
        product[:, :, place] = s * left + c * right
        product[:, :, place + 1] = c * left - s * right
    return Filters(product[:, :-1, :-1], product[:, :-1, -1])


def scattered_angles(count: int, hidden: int) -> Array:
    """Angles (count, H) all over the cube, by an additive lattice: every call gives the same."""
    steps = np.sqrt([n for n in range(2, 30 + 10 * hidden) if all(n % d for d in range(2, n))])
    shares = np.arange(1, count + 1)[:, None] * steps[:hidden] % 1.0
    return np.pi * 0.97 * (shares - 0.5)


def comb_angles(delay: int, hidden: int) -> Array:
    """Angles (N, H) of filters whose poles lie on an arc at equal distances, about a turn / delay.

    That is what the best linear filters for long delays look like, and their mirror images.
    """
    spacing = 2.0 * np.pi / (delay + np.array([0.5, 2.0, 4.0, 7.0]))
    radius = np.array([0.6, 0.75, 0.88, 0.94])
    turns = np.arange(hidden) - (hidden - 1) / 2.0
    poles = radius[:, None, None] * np.exp(1j * spacing[:, None] * turns)
    poles = np.concatenate([poles, -poles]).reshape(-1, hidden)
    polynomial = np.ones((len(poles), 1), complex)
    for pole in poles.T:
        longer = np.pad(polynomial, ((0, 0), (0, 1)))
        longer[:, 1:] -= pole[:, None] * polynomial
        polynomial = longer
    return _angles_of(polynomial.real)


def _angles_of(polynomial: Array) -> Array:
    """Angles (N, H) of monic stable polynomials (N, H + 1), by the step-down recursion."""
    hidden = polynomial.shape[1] - 1
    angles = np.zeros((len(polynomial), hidden))
    for order in range(hidden, 0, -1):
        last = np.clip(polynomial[:, order, None], -1.0 + 1e-9, 1.0 - 1e-9)
        angles[:, order - 1] = -np.arcsin(last[:, 0])
        polynomial = (polynomial - last * polynomial[:, ::-1])[:, :order] / (1.0 - last**2)
    return angles


@dataclass(frozen=True)
class Slopes:
    """A function's values (N) and gradients (N, P)."""

    values: Array
    gradients: Array


def differences(function: Callable[[Array], Array], points: Array) -> Slopes:
    """Values and central differences at points (N, P)."""
    count, size = points.shape
    moves = _STEP * np.concatenate([np.zeros((1, size)), np.eye(size), -np.eye(size)])
    found = function((points[:, None] + moves).reshape(-1, size)).reshape(count, -1)
    return Slopes(found[:, 0], (found[:, 1 : size + 1] - found[:, size + 1 :]) / (2.0 * _STEP))


@dataclass(frozen=True)
class Minima:
    """Points (N, P) that a descent reached, their values (N), and inverse Hessians (N, P, P)."""

    points: Array
    values: Array
    inverse: Array


def descend(
    function: Callable[[Array], Slopes],
    starts: Array,
    *,
    iterations: int = 200,
    tolerance: float = 1e-13,
    inverse: Array | None = None,
) -> Minima:
    """BFGS from every start (N, P) at once; ends when none gains more than `tolerance`."""
    points, eye = starts.copy(), np.eye(starts.shape[1])
    found = function(points)
    values, gradients = found.values.copy(), found.gradients.copy()
    size = np.linalg.norm(gradients, axis=1)[:, None, None]
    first = 0.1 * eye / np.maximum(size, 1e-12)
    inverse = np.array(first if inverse is None else inverse)
    idle = np.zeros(len(points), int)
    for _ in range(iterations):
        moving = np.flatnonzero(idle < 2)
        if not len(moving):
            break
        steps = -np.einsum("npq,nq->np", inverse[moving], gradients[moving])
        slopes = (steps * gradients[moving]).sum(1)
        uphill = slopes >= 0
        inverse[moving[uphill]] = first[moving[uphill]] if len(first) == len(points) else eye
        steps[uphill] = -0.1 * gradients[moving[uphill]]
        slopes = (steps * gradients[moving]).sum(1)
        # The estimate of the Hessian may be poor: small steps do not prove a minimum.
        promising = np.maximum(-slopes, 10.0 * np.square(gradients[moving]).sum(1)) > tolerance
        idle[moving[~promising]] = 2
        moving, steps, slopes = moving[promising], steps[promising], slopes[promising]
        if not len(moving):
            break
        share, open_ = np.ones(len(moving)), np.arange(len(moving))
        reached = Slopes(values[moving].copy(), gradients[moving].copy())
        for _ in range(_HALVINGS):
            tried = function(points[moving[open_]] + share[open_, None] * steps[open_])
            enough = tried.values <= values[moving[open_]] + _ARMIJO * share[open_] * slopes[open_]
            reached.values[open_[enough]] = tried.values[enough]
            reached.gradients[open_[enough]] = tried.gradients[enough]
            open_ = open_[~enough]
            if not len(open_):
                break
            share[open_] *= 0.4
        share[open_] = 0.0
        moves, turns = share[:, None] * steps, reached.gradients - gradients[moving]
        gain = values[moving] - reached.values
        idle[moving] = np.where(gain > tolerance, 0, idle[moving] + 1)
        inverse[moving] = _updated(inverse[moving], moves, turns)
        points[moving] += moves
        values[moving], gradients[moving] = reached.values, reached.gradients
    return Minima(points, values, inverse)


def _updated(inverse: Array, moves: Array, turns: Array) -> Array:
    """The inverse Hessians (N, P, P) after steps (N, P) that turned the gradients (N, P) so."""
    curved = (moves * turns).sum(1)
    useful = curved > 1e-14 * np.linalg.norm(moves, axis=1) * np.linalg.norm(turns, axis=1)
    scale = np.where(useful, 1.0 / np.where(useful, curved, 1.0), 0.0)[:, None, None]
    project = np.eye(moves.shape[1]) - scale * moves[:, :, None] * turns[:, None, :]
    return np.asarray(
        project @ inverse @ project.transpose(0, 2, 1)
        + scale * moves[:, :, None] * moves[:, None, :]
    )
