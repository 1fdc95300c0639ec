"""Closed forms of the expected squared error of a delay task, for a linear readout.

With projections a (O, I, L), output bias b and inputs x = B U (density p, E[U] = mu, E[U²] = nu),
the error of output j is sum c x + b, where c = a except c = a - sign at its own item. One input:

    L = p nu (a_k - 1)²                     task benefit
        - 2 p² mu² sum_{s≠k} a_s            mean correction
        + p nu sum_{s≠k} a_s²               projection
        + p² mu² sum_{s≠s'} a_s a_s'        composition (ordered pairs, k included)
      = V sum c_s² + (m sum c_s + b)²,      V = p nu - p² mu²,  m = p mu.

nu is the RAW second moment (with the variance in its place the loss turns negative). At step t of a
sequence that starts from rest only ages up to t have entered, and before the delay the target is 0.

Losses are absolute: sums over outputs weighted by importance, means over the scored steps. Divide
by `zero_predictor_loss` of the same steps to make the zero predictor 1.

Source: Sharma, Proca, Prieto and Mediano (ICLR 2026) for the four terms; the compact and the finite
form are derived here.
"""

from dataclasses import astuple, dataclass
from typing import Literal

import numpy as np

from emtkit import EmtkitError
from emtkit_std._theory.facts import Array, DelayLaw, Mask, Response
from emtkit_std._theory.superposition.amplitudes import AMPLITUDES
from emtkit_std._theory.superposition.projections import own_gains

MOST_BITS = 20
_CHUNK_BITS = 15


@dataclass(frozen=True)
class LinearTerms:
    """The four terms of the linear loss, which they sum to; a bias is in the mean correction."""

    task_benefit: float
    mean_correction: float
    projection: float
    composition: float

    @property
    def total(self) -> float:
        """The loss."""
        return self.task_benefit + self.mean_correction + self.projection + self.composition

    def scaled(self, factor: float) -> "LinearTerms":
        """Every term times `factor`."""
        return LinearTerms(*(factor * term for term in astuple(self)))


def delay_law(
    delay: int | tuple[int, ...],
    density: float | tuple[float, ...],
    amplitude: str | tuple[str, ...] = "uniform",
    *,
    features: int = 1,
    importance: float | tuple[float, ...] = 1.0,
) -> DelayLaw:
    """The law of `features` inputs, each repeated `delay` steps later; weights importance^i.

    A tuple has one entry for each feature; in that of the importance they are the weights.
    """
    names = (amplitude,) * features if isinstance(amplitude, str) else amplitude
    if isinstance(importance, tuple):
        weights = importance
    else:
        weights = tuple(importance**feature for feature in range(features))
    return DelayLaw(
        delay=delay if isinstance(delay, tuple) else (delay,) * features,
        source=tuple(range(features)),
        sign=(1.0,) * features,
        mean=tuple(AMPLITUDES[name].mean for name in names),
        second_moment=tuple(AMPLITUDES[name].second_moment for name in names),
        density=density if isinstance(density, tuple) else (density,) * features,
        importance=weights,
        amplitude=names,
    )


def finite_terms(
    projections: Array, law: DelayLaw, scored: Mask, bias: Array | None = None
) -> LinearTerms:
    """Mean of the four terms over the scored steps (T) of sequences that start from rest.

    `bias`, of each output (O) or of each step and output (T, O), is what it holds without input.
    """
    steps = scored_steps(projections, law, scored)
    held = np.broadcast_to(0.0 if bias is None else bias, (len(scored), len(law.delay)))
    terms = [astuple(step_terms(projections[..., : step + 1], law, held[step])) for step in steps]
    return LinearTerms(*np.mean(terms, axis=0).tolist())


def zero_predictor_loss(law: DelayLaw, scored: Mask) -> float:
    """Loss of the output 0: the weighted energy p nu of the targets at the scored steps."""
    silent = np.zeros((len(law.delay), law.inputs, len(scored)))
    return finite_terms(silent, law, scored).total


def enumerated_loss(response: Response, law: DelayLaw, scored: Mask) -> float:
    """Exact mean loss over the scored steps (T) for constant amplitudes: every activity pattern.

    `response` maps inputs (N, T, I) to outputs (N, T, O), for any network. At most 20 bits T I.
    """
    bits = len(scored) * law.inputs
    constant = np.asarray(law.second_moment) - np.square(law.mean)
    if np.abs(constant).max() > 1e-12:
        raise EmtkitError(
            "enumerated_loss: the amplitudes vary, so patterns of activity are not all there is; "
            "use it with constant amplitudes, or a Monte Carlo mean"
        )
    if law.dependence:
        raise EmtkitError(f"enumerated_loss: {law.dependence}; take a Monte Carlo mean")
    if bits > MOST_BITS:
        raise EmtkitError(
            f"enumerated_loss: {len(scored)} steps of {law.inputs} inputs are {bits} bits; "
            f"at most {MOST_BITS} are enumerated, take fewer steps or a Monte Carlo mean"
        )
    scored_steps(np.zeros((len(law.delay), law.inputs, len(scored))), law, scored)
    loss = 0.0
    for start in range(0, 1 << bits, 1 << _CHUNK_BITS):
        codes = np.arange(start, min(start + (1 << _CHUNK_BITS), 1 << bits))
        active = (codes[:, None] >> np.arange(bits)) & 1 == 1
        active = active.reshape(len(codes), len(scored), law.inputs)
        loss += _pattern_loss(response, law, scored, active)
    return loss


def linear_response(
    projections: Array, readout: Literal["linear", "relu"], bias: Array | None = None
) -> Response:
    """The response (N, T, I) -> (N, T, O) of a linear recurrence with projections (O, I, L)."""
    outputs, _, lags = projections.shape

    def response(inputs: Array) -> Array:
        steps = inputs.shape[1]
        drive = np.zeros((len(inputs), steps, outputs)) + (0.0 if bias is None else bias)
        for age in range(min(lags, steps)):
            drive[:, age:] += inputs[:, : steps - age] @ projections[:, :, age].T
        return np.maximum(drive, 0.0) if readout == "relu" else drive

    return response


@dataclass(frozen=True)
class InputMoments:
    """Per input (I): density p, mean m = p mu, energy p nu, variance V = p nu - m²."""

    density: Array
    mean: Array
    energy: Array
    variance: Array


def input_moments(law: DelayLaw) -> InputMoments:
    """The moments of each input x = B U (not of its amplitude)."""
    density, mean, energy = (np.empty(law.inputs) for _ in range(3))
    for output, source in enumerate(law.source):
        density[source] = law.density[output]
        mean[source] = law.density[output] * law.mean[output]
        energy[source] = law.density[output] * law.second_moment[output]
    return InputMoments(density, mean, energy, energy - mean**2)


def perfect_projections(projections: Array, law: DelayLaw) -> Array:
    """The projections (O, I, L) of the perfect network, 0 where its item has not entered yet."""
    perfect = np.zeros_like(projections)
    for output, (source, delay) in enumerate(zip(law.source, law.delay, strict=True)):
        if delay < projections.shape[2]:
            perfect[output, source, delay] = law.sign[output]
    return perfect


def step_terms(projections: Array, law: DelayLaw, bias: Array | None = None) -> LinearTerms:
    """The four terms of the last step that projections (O, I, L) reach, for output bias (O)."""
    bias = np.zeros(len(law.delay)) if bias is None else bias
    moments, targets = input_moments(law), perfect_projections(projections, law)
    weight, own = np.asarray(law.importance), targets != 0.0
    means = moments.mean[:, None] * projections
    off = np.where(own, 0.0, projections)
    target_mean = np.einsum("i,ois->o", moments.mean, targets)
    energy = moments.energy[:, None]
    benefit = (energy * np.where(own, np.square(projections - targets), 0.0)).sum((1, 2))
    correction = -2.0 * target_mean * (moments.mean[:, None] * off).sum((1, 2))
    correction += 2.0 * bias * (means.sum((1, 2)) - target_mean) + np.square(bias)
    spread = (energy * np.square(off)).sum((1, 2))
    composed = np.square(means.sum((1, 2))) - np.square(means).sum((1, 2))
    return LinearTerms(*(float(weight @ term) for term in (benefit, correction, spread, composed)))


def scored_steps(projections: Array, law: DelayLaw, scored: Mask) -> list[int]:
    """The scored steps, after checking that projections (O, I, L) and sequences are long enough."""
    own_gains(projections, law)
    steps = [int(step) for step in np.flatnonzero(scored)]
    if len(scored) > projections.shape[2] or not steps or steps[-1] < min(law.delay):
        raise EmtkitError(
            f"{len(scored)} steps, of which {steps} are scored, and {projections.shape[2]} lags: "
            f"a sequence must be longer than its delay {min(law.delay)}, score a step beyond it, "
            "and have a projection for each age"
        )
    return steps


def _pattern_loss(response: Response, law: DelayLaw, scored: Mask, active: Mask) -> float:
    """Share of the expected loss that these patterns (N, T, I) carry, mean over scored steps."""
    moments = input_moments(law)
    value = moments.mean / moments.density
    chance = np.where(active, moments.density, 1.0 - moments.density).prod((1, 2))
    inputs = active * value
    targets = linear_response(
        perfect_projections(np.zeros((len(law.delay), law.inputs, len(scored))), law), "linear"
    )
    errors = np.square(response(inputs) - targets(inputs)) @ np.asarray(law.importance)
    return float(chance @ errors[:, np.asarray(scored)].mean(1))
