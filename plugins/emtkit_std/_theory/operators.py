"""Linear operators of trajectories, and how far apart two of them are up to a rotation."""

from itertools import pairwise

import numpy as np
from scipy.linalg import schur
from scipy.optimize import OptimizeResult, linear_sum_assignment, minimize

from emtkit_std._theory.facts import Array
from emtkit_std._theory.similarity import RANK

STARTS, CLIMBS, REFINED = 24, 40, 3
"""Random rotations, cheap steps from each, and how many of the best are followed to the end."""
STILL = 1e-10


def delay_operator(states: Array, inputs: Array, delays: int, rank: int) -> Array:
    """The operator A (r, r) of delay-embedded states, by dynamic mode decomposition with inputs.

        z_{t+1} = A z_t + B u_{t+1} + c,   z_t = V' (h_t, h_{t-1}, .., h_{t-delays+1})

    by least squares; V are the `rank` directions in which the embedded states move most (those
    above 1e-6 of the largest), scaled to unit variance. states (B T H), inputs (B T I); rotations
    and scale of h change nothing. What z is called is fixed up to rounding: directions by their
    variance, signs by their skewness.

    Source: Ostrow et al. (2023), arXiv:2306.10168, section 3.1 (eigen-time-delay coordinates);
    Proctor, Brunton and Kutz (2016), doi:10.1137/15M1013857 (inputs).
    """
    last = states.shape[1]
    parts = [states[:, delays - 1 - lag : last - lag] for lag in range(delays)]
    embedded = np.concatenate(parts, axis=-1)
    embedded = embedded - embedded.mean((0, 1))
    left, values, _ = np.linalg.svd(embedded.reshape(-1, embedded.shape[-1]), full_matrices=False)
    kept = min(rank, int((values > RANK * values[0]).sum()))
    scores = left[:, :kept] * np.sqrt(len(left))
    scores *= np.where((scores**3).sum(0) < 0, -1.0, 1.0)
    moments = scores.reshape(*embedded.shape[:2], kept)
    told = [moments[:, :-1], inputs[:, delays:], np.ones((*moments[:, 1:].shape[:2], 1))]
    known = np.concatenate(told, axis=-1).reshape(-1, kept + inputs.shape[-1] + 1)
    found = np.linalg.lstsq(known, moments[:, 1:].reshape(-1, kept), rcond=None)[0]
    return np.asarray(found[:kept].T)


def padded(first: Array, second: Array) -> tuple[Array, Array]:
    """Both square matrices, or lists of eigenvalues, the smaller filled up with zeros."""
    most = max(len(first), len(second))
    one, other = (np.pad(part, (0, most - len(part))) for part in (first, second))
    return one, other


def eigenvalue_distance(first: Array, second: Array) -> float:
    """How far apart two lists of eigenvalues are, NaN where all are 0.

    sqrt(min over pairings of sum_i |lambda_i - mu_i|^2 / (sum |lambda|^2 + sum |mu|^2)),

    the fewer filled up with 0. It is the 2-Wasserstein distance of their uniform measures, relative
    to their size.
    """
    one, other = padded(first.astype(complex), second.astype(complex))
    apart = np.square(np.abs(one[:, None] - other))
    least = apart[linear_sum_assignment(apart)].sum()
    size = float(np.square(np.abs(one)).sum() + np.square(np.abs(other)).sum())
    return float(np.sqrt(least / size)) if size > 0 else float("nan")


def rotated_distance(first: Array, second: Array) -> float:
    """min over orthogonal C of |A - C B C'|, relative to sqrt(|A|^2 + |B|^2); as far as found.

    Not convex: what is found is above the minimum or at it (`rotated_bound` is below). Starts are
    the rotations that take the symmetric parts, the antisymmetric parts and the Schur forms onto
    each other, and random ones; each climbs tr A' C B C' by polar steps, C <- polar(A C B' + A' C B
    + s C) with s = 2 |A| |B| (which never go down), and the best are refined by BFGS in Cayley's
    coordinates. The starts are fixed, and the pair is put in an order, so that both ways agree.
    """
    one, other = sorted(padded(first, second), key=lambda part: tuple(part.ravel()))
    size = float(np.square(one).sum() + np.square(other).sum())
    if not size > 0:
        return float("nan")
    shift = 2 * np.linalg.norm(one, 2) * np.linalg.norm(other, 2)
    at = np.array(_starts(one, other))
    for _ in range(CLIMBS):
        uphill = one @ at @ other.T + one.T @ at @ other + shift * at
        left, _, right = np.linalg.svd(uphill)
        at = left @ right
    reached = np.square(one - at @ other @ at.transpose(0, 2, 1)).sum((1, 2))
    best = [at[place] for place in reached.argsort()[:REFINED]]
    least = min(float(reached.min()), *(_refined(one, other, start) for start in best))
    return float(np.sqrt(max(0.0, least) / size))


def rotated_bound(first: Array, second: Array) -> float:
    """A number that `rotated_distance` cannot be below, whatever C is.

    |A - C B C'|^2 >= sum (s_i(A) - s_i(B))^2 (Mirsky), s the singular values; and its symmetric
    and antisymmetric parts are apart by at least their sorted eigenvalues (Hoffman and Wielandt).
    The larger of the two, relative to the same size.

    Source: Horn and Johnson, Matrix Analysis (2013), Cor. 7.4.9.3 and 6.3.8.
    """
    one, other = padded(first, second)
    size = float(np.square(one).sum() + np.square(other).sum())
    if not size > 0:
        return float("nan")
    singular = [np.linalg.svd(part, compute_uv=False) for part in (one, other)]
    even, odd = ([np.linalg.eigvalsh(_part(m, s)) for m in (one, other)] for s in (1, -1))
    bounds = [np.square(singular[0] - singular[1]).sum()]
    bounds.append(sum(np.square(a - b).sum() for a, b in (even, odd)))
    return float(np.sqrt(max(bounds) / size))


def _part(matrix: Array, sign: int) -> Array:
    """The symmetric part, or the antisymmetric one times i."""
    return np.asarray((matrix + sign * matrix.T) / 2 * (1 if sign > 0 else 1j))


def _starts(one: Array, other: Array) -> list[Array]:
    """Orthogonal matrices from which to climb."""
    count = len(one)
    bases = [[np.linalg.eigh(_part(part, 1))[1] for part in (one, other)]]
    for form in (lambda m: schur((m - m.T) / 2), schur):
        bases.append([form(part)[1][:, _by_size(*form(part))] for part in (one, other)])
    rng = np.random.default_rng(0)
    found = [np.eye(count)]
    for mine, theirs in bases:
        signs = rng.choice([-1.0, 1.0], size=(STARTS // 4, count))
        aligned = _signs(mine.T @ one @ mine, theirs.T @ other @ theirs)
        found += [mine * sign @ theirs.T for sign in (np.ones(count), aligned, *signs)]
    drawn = rng.normal(size=(STARTS // 4, count, count))
    return found + list(np.linalg.qr(drawn)[0])


def _by_size(form: Array, _: Array) -> list[int]:
    """The columns of a Schur form, its blocks sorted by size and angle of their eigenvalues."""
    edges = [0, *(at + 1 for at in range(len(form) - 1) if form[at + 1, at] == 0), len(form)]
    blocks = [list(range(*ends)) for ends in pairwise(edges)]
    values = [np.linalg.eigvals(form[np.ix_(block, block)]) for block in blocks]
    keys = [(-float(np.abs(v).max()), float(np.abs(np.angle(v)).max())) for v in values]
    return [
        at for place in sorted(range(len(blocks)), key=keys.__getitem__) for at in blocks[place]
    ]


def _signs(one: Array, other: Array) -> Array:
    """Signs s that make sum_ij s_i A_ij B_ij s_j large: those of the first eigenvector."""
    alike = one * other
    first = np.linalg.eigh((alike + alike.T) / 2)[1][:, -1]
    return np.where(first < 0, -1.0, 1.0)


def _refined(one: Array, other: Array, start: Array) -> float:
    """|A - C B C'|^2 at the local minimum next to `start`."""
    count = len(one)
    upper = np.triu_indices(count, 1)
    eye = np.eye(count)

    def lost(free: Array) -> tuple[float, Array]:
        skew = np.zeros((count, count))
        skew[upper] = free
        skew -= skew.T
        back = np.linalg.inv(eye - skew / 2)
        turned = back @ (eye + skew / 2) @ start
        missed = one - turned @ other @ turned.T
        slope = -2 * (missed @ turned @ other.T + missed.T @ turned @ other)
        slope = back.T @ slope @ (turned + start).T / 2
        return float(np.square(missed).sum()), (slope - slope.T)[upper]

    found: OptimizeResult = minimize(
        lost, np.zeros(len(upper[0])), jac=True, method="BFGS", options={"gtol": STILL}
    )
    return float(found.fun)
