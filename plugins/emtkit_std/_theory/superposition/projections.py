"""What a lone pulse leaves behind: feature directions, output projections, order parameters.

The direction of age s is w_s, the state s steps after a unit pulse; its output projection is
a_s = W_r w_s. For a linear recurrence with an untied readout every invertible change of basis
gives the same network, so angles between raw directions are NOT identifiable there; a_s, the
eigenvalues of W_hh and the angle k |arg| are. Report those first.

Shapes: W_hh (H, H), W_uh (H, I), W_r (O, H), directions (L, H, I), projections (O, I, L); L = lags.

Source: Sharma, Proca, Prieto and Mediano (ICLR 2026), "Temporal superposition".
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import subspace_angles

from emtkit import EmtkitError
from emtkit_std._theory.facts import ACTIVATIONS, Activation, Array, DelayLaw

Regime = Literal["dense", "alternating", "sparse", "silent", "undefined"]

DENSE_BELOW = 0.35
SPARSE_FROM = 0.75
REPRESENTED_ABOVE = 0.5
EXACT_BELOW = 1e-6
"""Sum of squares off target, of a gain of 1, below which nothing else is read."""


@dataclass(frozen=True)
class OrderParameters:
    """Where the off-target projections lie, for the outputs that hold their item at all.

    `hidden_share` H = sum relu(-a)² / sum a² off target (NaN where that sum is below `EXACT_BELOW`:
    0/0 but for what training leaves); `visible_interference` I+ = sum relu(a)² off target, or sum
    a² where `all_visible`; `tail` = sum a² at ages beyond the delay; each output is first scaled to
    own gain 1. NaN comes with `reason`.
    """

    hidden_share: float
    visible_interference: float
    tail: float
    represented: int
    regime: Regime
    reason: str


def pulse_responses(
    W_hh: Array, W_uh: Array, lags: int, activation: Activation = "linear"
) -> Array:
    """Directions (L, H, I) of a lone unit pulse: w_0 = W_uh, w_s = W_hh sigma(w_{s-1}).

    Linear: w_s = W_hh^s W_uh. ReLU: exact for any amplitude >= 0, since relu is homogeneous.
    """
    if lags < 1:
        raise EmtkitError(
            f"pulse_responses: {lags} lags were requested; age 0 alone is one lag, give 1 or more"
        )
    directions = [np.asarray(W_uh, dtype=np.float64)]
    for _ in range(lags - 1):
        directions.append(np.asarray(W_hh @ ACTIVATIONS[activation](directions[-1])))
    return np.stack(directions)


def project(directions: Array, W_r: Array) -> Array:
    """Projections (O, I, L) of the directions (L, H, I) on the readout W_r (O, H)."""
    return np.einsum("oh,shi->ois", W_r, directions)


def all_visible(law: DelayLaw, readout: str | None) -> str:
    """Why no half of the state space is silent, so that H has no meaning; empty where one is.

    Only a rectifier hides negative projections, and only while no input is negative: mirror images
    of one network, x -> -x with a -> -a, have equal outputs and would have other H. `readout` is
    that of a PulseCircuit; None where the network offers none.
    """
    if readout is None:
        return "the network offers no PulseCircuit, so its readout is not known to rectify"
    if readout != "relu":
        return f"the readout is {readout}: it shows negative projections as it shows positive ones"
    if not law.one_signed:
        return "the inputs have both signs, so a negative projection is silent for half of them"
    return ""


def order_parameters(projections: Array, law: DelayLaw, readout: str | None) -> OrderParameters:
    """H, I+, tail and regime of projections (O, I, L), over the outputs that hold their item.

    H and the regime are undefined where `all_visible` says so.

    With several outputs these are the ones with own gain of at least 1/2 (features are kept all or
    none). A single output counts from a quarter of its fair share 1/(k+1): the exact linear optimum
    has a_k = .30 at k = 3 and .12 at k = 8, and is the very thing called dense. The regime follows
    from H alone, never from an angle: a mirrored spiral travels 270 degrees too.
    """
    gains = own_gains(projections, law)
    least = 0.5 if len(gains) > 1 else 0.25 / (law.delay[0] + 1)
    held = [output for output, gain in enumerate(gains) if gain >= least]
    represented = int((gains > REPRESENTED_ABOVE).sum())
    visible, hidden, tail = 0.0, 0.0, 0.0
    for output in held:
        scaled = projections[output] * (law.sign[output] / gains[output])
        tail += float(np.square(scaled[:, law.delay[output] + 1 :]).sum())
        scaled[law.source[output], law.delay[output]] = 0.0
        visible += float(np.square(np.maximum(scaled, 0.0)).sum())
        hidden += float(np.square(np.maximum(-scaled, 0.0)).sum())
    if not held:
        reason = f"no output holds its item: own gains are below {least:.3g}"
        nan = float("nan")
        return OrderParameters(nan, nan, nan, represented, "undefined", reason)
    if seen := all_visible(law, readout):
        total = hidden + visible
        return OrderParameters(float("nan"), total, tail, represented, "undefined", seen)
    exact = hidden + visible < EXACT_BELOW
    share = float("nan") if exact else hidden / (hidden + visible)
    reason = f"exact: other items are below {EXACT_BELOW:g} of the gain squared" if exact else ""
    return OrderParameters(share, visible, tail, represented, regime(share), reason)


def own_gains(projections: Array, law: DelayLaw) -> Array:
    """Gain (O) of each output for its own item: sign_j a_{j, source_j, delay_j}; 1 is perfect."""
    outputs, inputs, lags = projections.shape
    if outputs != len(law.delay) or inputs != law.inputs or lags <= max(law.delay):
        raise EmtkitError(
            f"projections have shape (O, I, L) = {projections.shape}, but the delay law has "
            f"{len(law.delay)} outputs, {law.inputs} inputs and needs more than {max(law.delay)} "
            "lags"
        )
    rows = np.arange(outputs)
    return np.asarray(law.sign) * projections[rows, list(law.source), list(law.delay)]


def regime(hidden_share: float) -> Regime:
    """Dense below .35, alternating below .75, sparse from there; undefined where H is NaN."""
    if np.isnan(hidden_share):
        return "undefined"
    if hidden_share < DENSE_BELOW:
        return "dense"
    return "alternating" if hidden_share < SPARSE_FROM else "sparse"


def travelled_angle(W_hh: Array, delay: int, *, folded: bool = False) -> float:
    """k |arg lambda| in degrees of the eigenvalue of largest modulus, unfolded beyond 180.

    `folded` takes the angle of one step to at most 90 degrees before multiplying: only in the
    linear zero-mean problem are theta and 180 - theta the same solution.
    """
    step = largest_eigenvalue_angle(W_hh)
    return delay * (min(step, 180.0 - step) if folded else step)


def largest_eigenvalue_angle(W_hh: Array) -> float:
    """|arg| in degrees (0 to 180) of the eigenvalue of largest modulus; NaN when all are 0."""
    eigenvalues = np.linalg.eigvals(W_hh)
    largest = eigenvalues[np.argmax(np.abs(eigenvalues))]
    return float(np.degrees(np.abs(np.angle(largest)))) if np.abs(largest) > 0 else float("nan")


def spectral_radius(W_hh: Array) -> float:
    """Largest modulus of the eigenvalues (not ||w_0||, which some notes call by that name)."""
    return float(np.abs(np.linalg.eigvals(W_hh)).max())


def principal_angles(directions: Array, ages: int) -> Array:
    """Principal angles in degrees (ages, min(H, I)), smallest first, of successive subspaces.

    Those of age s are between the spans of w_s and of w_{s+1} over all inputs, of `directions`
    (L, H, I). NaN where a span is zero, or where it has fewer dimensions than there are angles.
    Bjorck and Golub (1973), Mathematics of Computation 27.
    """
    if directions.shape[-1] == 1:  # lines, whose angle is at most 90
        angles = successive_angles(directions)[:ages]
        return np.minimum(angles, 180.0 - angles)
    found = np.full((ages, min(directions.shape[1:])), np.nan)
    for age in range(ages):
        first, second = directions[age], directions[age + 1]
        if first.any() and second.any():
            angles = np.degrees(subspace_angles(first, second))[::-1]
            found[age, : len(angles)] = angles
    return found


def successive_angles(directions: Array) -> Array:
    """Angles in degrees (L-1, I) between w_s and w_{s+1}; NaN where either of them is zero.

    In Kahan's form, which is accurate near 0 and 180.
    """
    lengths = np.linalg.norm(directions, axis=-2)[..., None, :]
    unit = directions / np.where(lengths > 0, lengths, 1.0)
    first, second = unit[:-1], unit[1:]
    half = np.arctan2(
        np.linalg.norm(first - second, axis=-2), np.linalg.norm(first + second, axis=-2)
    )
    present = (lengths[:-1, ..., 0, :] > 0) & (lengths[1:, ..., 0, :] > 0)
    return np.where(present, 2.0 * np.degrees(half), np.nan)
