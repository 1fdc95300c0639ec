"""Theory that no plugin needs, written out for tests to compare with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from emtkit_std._theory.emt.binding import phi_of
from emtkit_std._theory.emt.memories import Memories
from emtkit_std._theory.emt.selection import ModeSelection
from emtkit_std._theory.facts import ACTIVATIONS, Activation, Array, DelayLaw
from emtkit_std._theory.superposition.linear_loss import (
    LinearTerms,
    input_moments,
    perfect_projections,
    step_terms,
)
from emtkit_std._theory.superposition.projections import own_gains, project, pulse_responses
from emtkit_std._theory.waves.attention import Heads
from emtkit_std.analyses import conjugacy as gsemm


@dataclass(frozen=True)
class TimeConstants:
    """T_h and T_d of the differential equations, in units of T_f = 1."""

    hidden: float
    delay: float


def integrate(
    model: gsemm.Gsemm, start: Array, end: float, steps: int, times: TimeConstants
) -> Array:
    """V_f(end) of the differential equations from V_f = `start` (H,), V_h and V_d slaved at 0.

    Heun's method with `steps` equal steps, which must be shorter than the time constants.
    """
    s, interactions = ACTIVATIONS[model.activation], model.phi - np.eye(len(model.phi))

    def slope(fast: Array, hidden: Array, delay: Array) -> tuple[Array, Array, Array]:
        drive = model.dual @ s(fast) + interactions @ (model.dual @ delay)
        return (
            model.memories @ hidden - fast,
            (drive - hidden) / times.hidden,
            (s(fast) - delay) / times.delay,
        )

    state = (start, model.phi @ (model.dual @ s(start)), s(start))
    dt = end / steps
    for _ in range(steps):
        first = slope(*state)
        guess = tuple(x + dt * d for x, d in zip(state, first, strict=True))
        second = slope(guess[0], guess[1], guess[2])
        following = [x + dt * (a + b) / 2 for x, a, b in zip(state, first, second, strict=True)]
        state = (following[0], following[1], following[2])
    return state[0]


def integrate_slaved(model: gsemm.Gsemm, start: Array, end: float, steps: int) -> Array:
    """V_f(end) with V_h and V_d slaved at every instant: dV/dt = A s(V) - V; Heun's method."""
    state, dt = start, end / steps
    for _ in range(steps):
        first = model.step(state) - state
        guess = state + dt * first
        state = state + dt * (first + model.step(guess) - guess) / 2
    return state


def continue_history(f: ArrayLike, start: Array, steps: int) -> Array:
    """The next `steps` terms (..., steps, d) of x(t) = f(x(t-s), ..., x(t-1)) from (..., s, d)."""
    matrix = np.asarray(f, dtype=np.float64)
    history = start.shape[-2]
    terms = [start[..., k, :] for k in range(history)]
    for _ in range(steps):
        window = np.concatenate(terms[-history:], axis=-1)
        terms.append(window @ matrix.T)
    return np.stack(terms[history:], axis=-2)


def toeplitz_gap(f: ArrayLike, history: int, outputs: int) -> float:
    """How far the rule is from what any linear network can do from a zero state.

    The weight of input u(k) in output s + r of a time-invariant linear network depends on r - k
    alone; the gap is the largest difference at equal r - k over the first `outputs` outputs.
    Zero means that W_uh = Psi_s from h(0) = 0 is exact, as for repeat copy.
    """
    matrix = np.asarray(f, dtype=np.float64)
    phi = phi_of(matrix, history)
    dimension = len(matrix)
    weights, power = [], np.eye(len(phi))
    for _ in range(outputs):
        power = phi @ power
        rows = power[-dimension:]
        weights.append(rows.reshape(dimension, history, dimension).transpose(1, 0, 2))
    response = np.stack(weights)
    return float(np.abs(response[1:, 1:] - response[:-1, :-1]).max())


def basis_error(memories: Memories, basis: Array) -> float:
    """Relative Frobenius distance of the extracted basis from a known one (H, m)."""
    return float(np.linalg.norm(memories.basis - basis) / np.linalg.norm(basis))


def lag_profile(state_jacobians: Array, input_jacobians: Array) -> Array:
    """g_k (T): geometric mean over the batch of ||dh(s)/du(s-k)||_F / sqrt(I), exact."""
    size = state_jacobians.shape[-1]
    return _profile(state_jacobians, input_jacobians, np.eye(size))


def projected_lag_profile(
    state_jacobians: Array, input_jacobians: Array, directions: Array
) -> Array:
    """`lag_profile` estimated from standard normal `directions` (P, H): E||v G||^2 = ||G||_F^2.

    With 12 of them the decay rate has s.d. .011 at s = d = 8 and .045 at s = d = 4.
    """
    return _profile(state_jacobians, input_jacobians, directions / np.sqrt(len(directions)))


def linear_lag_profile(recurrent: Array, write: Array, lags: int) -> Array:
    """g_k (lags) of h_t = W h_{t-1} + V u_t: ||W^k V||_F / sqrt(I)."""
    reached, profile = write, []
    for _ in range(lags):
        profile.append(float(np.linalg.norm(reached)) / np.sqrt(write.shape[1]))
        reached = recurrent @ reached
    return np.array(profile)


def _profile(state_jacobians: Array, input_jacobians: Array, left: Array) -> Array:
    batch, steps = state_jacobians.shape[:2]
    inputs = input_jacobians.shape[-1]
    travelled = np.broadcast_to(left, (batch, *left.shape))
    profile = []
    for t in range(steps - 1, -1, -1):
        norms = np.linalg.norm(travelled @ input_jacobians[:, t], axis=(1, 2)) / np.sqrt(inputs)
        profile.append(float(np.exp(np.log(norms).mean())))
        travelled = travelled @ state_jacobians[:, t]
    return np.array(profile)


def to_elman(model: gsemm.Gsemm) -> Array:
    """The recurrent weights A = Xi Phi Xi^+ (H, H) of h(t+1) = s(A h(t))."""
    return model.memories @ model.phi @ model.dual


def encode(selection: ModeSelection) -> tuple[int, int, int]:
    """The published triple of a selection with distinct sources; the inverse of `decode`."""
    if len(set(selection.source)) != selection.dimension:
        raise ValueError(f"sources {selection.source} repeat; a triple needs distinct ones")
    rest = sorted(selection.source)
    b = 0
    for position, wanted in enumerate(selection.source):
        other = rest.index(wanted, position)
        b += (other - position) * selection.dimension**position
        rest[position], rest[other] = rest[other], rest[position]
    a = sum(1 << coordinate for coordinate in selection.source)
    c = sum(1 << i for i, sign in enumerate(selection.sign) if sign < 0)
    return a, b, c


def output_projections(
    W_hh: Array, W_uh: Array, W_r: Array, lags: int, activation: Activation = "linear"
) -> Array:
    """Projections (O, I, L): a_s = W_r w_s for every output, input and age."""
    return project(pulse_responses(W_hh, W_uh, lags, activation), W_r)


def linear_terms(projections: Array, law: DelayLaw, bias: Array | None = None) -> LinearTerms:
    """The four terms of a stationary step, for projections (O, I, L) and output bias (O)."""
    own_gains(projections, law)
    return step_terms(projections, law, bias)


def compact_loss(projections: Array, law: DelayLaw, bias: Array | None = None) -> float:
    """The same loss from the compact form V sum c² + (m sum c + b)², importance-weighted."""
    errors, moments = projections - perfect_projections(projections, law), input_moments(law)
    spread = np.einsum("i,ois->o", moments.variance, np.square(errors))
    shift = np.einsum("i,ois->o", moments.mean, errors) + (0.0 if bias is None else bias)
    return float(np.asarray(law.importance) @ (spread + np.square(shift)))


def relu_first_order(projections: Array, law: DelayLaw) -> float:
    """First order in p of the loss of y = relu(sum a x): one active input at a time.

    L ~ p nu [(relu(a_k) - 1)² + sum_{s≠k} relu(a_s)²], U >= 0; negative projections are free.
    """
    errors = np.maximum(projections, 0.0) - perfect_projections(projections, law)
    losses = np.einsum("i,ois->o", input_moments(law).energy, np.square(errors))
    return float(np.asarray(law.importance) @ losses)


def attention(heads: Heads, columns: Array, positions: Array | None, temperature: float) -> Array:
    """alpha (B, heads, s) of columns (B s d); `positions` (s, p) are set beside the content."""
    keys = columns
    if positions is not None:
        shared = np.broadcast_to(positions, (len(columns), *positions.shape))
        keys = np.concatenate([columns, shared], axis=-1)
    sought = np.einsum("arw,bw->bar", heads.W_Q, keys[:, -1])
    offered = np.einsum("arw,biw->bari", heads.W_K, keys)
    return softmax(temperature * np.einsum("bar,bari->bai", sought, offered), axis=-1)


def softmax_leak(strength: float, history: int) -> float:
    """Weight that a head with score `strength` on one column leaves on the others: eps.

    eps = (s - 1) / (e^strength + s - 1).
    """
    return (history - 1) / (float(np.exp(strength)) + history - 1)
