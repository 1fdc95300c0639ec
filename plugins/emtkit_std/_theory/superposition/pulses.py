"""A network seen by its lone pulses: directions, projections, and the loss that theory expects.

Networks that offer a PulseCircuit are taken at their weights, in float64. Any other is probed: one
unit pulse per input at the first step, then silence, less what it does in silence alone. A readout
that hides its negative side shows only the positive projections that way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from emtkit import SequenceModel
from emtkit_std._theory.facts import ACTIVATIONS, Array, DelayLaw, Mask, PulseCircuit, Response
from emtkit_std._theory.networks.recurrence import to_array
from emtkit_std._theory.superposition import linear_loss
from emtkit_std._theory.superposition.linear_loss import MOST_BITS, LinearTerms
from emtkit_std._theory.superposition.projections import project, pulse_responses
from emtkit_std._theory.superposition.rectified_loss import relu_losses, relu_refusal

# Multiplications that an enumeration may cost: about ten seconds.
_MOST_WORK = 4e9
_NO_TERMS = "the four terms are those of a linear recurrence with a linear readout"


@dataclass(frozen=True)
class Pulses:
    """Directions (L, H, I) and projections (O, I, L) of lone unit pulses."""

    directions: Array
    projections: Array


@dataclass(frozen=True)
class Expected:
    """Expected loss relative to the zero predictor, and its four terms where the net is linear.

    `error` bounds its distance from the exact value (0 where only rounding is left). NaN comes with
    `reason`; `terms` is None with `terms_reason`.
    """

    loss: float
    error: float
    reason: str
    terms: LinearTerms | None
    terms_reason: str


def circuit_of(model: SequenceModel) -> PulseCircuit | None:
    """The network's weights as a circuit, or None for networks of another form."""
    return model.facts(PulseCircuit) if PulseCircuit in model.offers else None


def circuit_pulses(circuit: PulseCircuit, lags: int) -> Pulses:
    """Directions w_s of the state before the activation; biases are left out."""
    directions = pulse_responses(circuit.W_hh, circuit.W_uh, lags, circuit.activation)
    shown = ACTIVATIONS[circuit.activation if circuit.reads == "activation" else "linear"]
    return Pulses(directions, project(shown(directions), circuit.W_r))


def measured_pulses(model: SequenceModel, inputs: int, input_steps: int, lags: int) -> Pulses:
    """Directions and projections of a network that is probed, less its answer to silence."""
    like = next(iter(model.state_dict().values()))
    drive = torch.zeros(inputs + 1, input_steps, inputs, dtype=like.dtype, device=like.device)
    drive[range(inputs), 0, range(inputs)] = 1.0
    with torch.no_grad():
        trace = model.trace(drive, lags)
    states, outputs = to_array(trace.states), to_array(trace.outputs)
    return Pulses(
        (states[:-1] - states[-1]).transpose(1, 2, 0),
        (outputs[:-1] - outputs[-1]).transpose(2, 0, 1),
    )


def ages_received(input_steps: int, scored: Mask, lags: int) -> range:
    """Ages of the input that an answer may hold: all, or those at the first scored step."""
    if input_steps == len(scored):
        return range(lags)
    first = int(scored.argmax())
    return range(max(first - input_steps + 1, 0), first + 1)


def expected_losses(
    circuits: Sequence[PulseCircuit | None], seen: Sequence[Pulses], law: DelayLaw, scored: Mask
) -> list[Expected]:
    """Exact for every linear recurrence; by patterns of activity for others with constant input.

    That of a network is the same to the last bit, whichever others there are.
    """
    rectified: dict[int, PulseCircuit] = {}
    if not law.dependence and not relu_refusal(law):
        for at, circuit in enumerate(circuits):
            if circuit and (circuit.activation, circuit.readout) == ("linear", "relu"):
                rectified[at] = circuit
    exact: dict[int, Expected] = {}
    if rectified:
        zero = linear_loss.zero_predictor_loss(law, scored)
        shown = np.stack([seen[at].projections for at in rectified])
        held = np.stack([_held(circuit, len(scored)) for circuit in rectified.values()])
        found = relu_losses(shown, law, scored, held)
        for at, loss, error in zip(rectified, found.loss / zero, found.error / zero, strict=True):
            exact[at] = Expected(loss, error, "", None, _NO_TERMS)
    pairs = enumerate(zip(circuits, seen, strict=True))
    return [exact[at] if at in exact else _alone(*one, law, scored) for at, one in pairs]


def _alone(circuit: PulseCircuit | None, pulses: Pulses, law: DelayLaw, scored: Mask) -> Expected:
    if circuit is None:
        return unexpected(
            "closed forms need the weights as a PulseCircuit, which this architecture lacks"
        )
    if law.dependence:
        return unexpected(law.dependence)
    zero = linear_loss.zero_predictor_loss(law, scored)
    if circuit.activation != "linear":
        if refusal := _enumeration_refusal(circuit, law, len(scored)):
            return Expected(float("nan"), float("nan"), refusal, None, _NO_TERMS)
        loss = linear_loss.enumerated_loss(circuit_response(circuit), law, scored)
        return Expected(loss / zero, 0.0, "", None, _NO_TERMS)
    if circuit.readout == "linear":
        held = _held(circuit, len(scored))
        terms = linear_loss.finite_terms(pulses.projections, law, scored, held).scaled(1.0 / zero)
        return Expected(terms.total, 0.0, "", terms, "")
    return Expected(float("nan"), float("nan"), relu_refusal(law), None, _NO_TERMS)


def unexpected(reason: str) -> Expected:
    """No closed form applies, and why."""
    return Expected(float("nan"), float("nan"), reason, None, reason)


def _held(circuit: PulseCircuit, steps: int) -> Array:
    """What a linear recurrence puts out without input, before the rectifier (T, O)."""
    if not circuit.biased:
        return np.zeros((steps, len(circuit.W_r)))
    state, held = np.zeros(len(circuit.W_hh)), []
    for _ in range(steps):
        state = circuit.W_hh @ state + circuit.b
        held.append(circuit.W_r @ state + circuit.b_r)
    return np.stack(held)


def _enumeration_refusal(circuit: PulseCircuit, law: DelayLaw, steps: int) -> str:
    if law.amplitude != "constant":
        return "a nonlinear recurrence is enumerated, which needs constant amplitudes"
    bits = steps * law.inputs
    if bits > MOST_BITS:
        return f"enumeration takes up to {MOST_BITS} bits, {steps} x {law.inputs} are {bits}"
    hidden = len(circuit.W_hh)
    if 2.0**bits * steps * hidden * (hidden + law.inputs) > _MOST_WORK:
        return f"enumerating {bits} bits through {hidden} nonlinear units would take too long"
    return ""


def circuit_response(circuit: PulseCircuit) -> Response:
    """The response (N, T, I) -> (N, T, O) of a circuit from rest, step by step."""
    sigma, shown = ACTIVATIONS[circuit.activation], ACTIVATIONS[circuit.readout]
    last = sigma if circuit.reads == "activation" else ACTIVATIONS["linear"]

    def response(inputs: Array) -> Array:
        passed = np.zeros((len(inputs), len(circuit.W_hh)))
        outputs = np.empty((*inputs.shape[:2], len(circuit.W_r)))
        for step in range(inputs.shape[1]):
            state = inputs[:, step] @ circuit.W_uh.T + passed @ circuit.W_hh.T + circuit.b
            outputs[:, step] = shown(last(state) @ circuit.W_r.T + circuit.b_r)
            passed = sigma(state)
        return outputs

    return response
