"""A network seen by its lone pulses: directions, projections, and the loss that theory expects.

Networks that offer a PulseCircuit are taken at their weights, in float64. Any other is probed: one
unit pulse per input at the first step, then silence, less what it does in silence alone. A readout
that hides its negative side shows only the positive projections that way.
"""

from dataclasses import dataclass

import numpy as np
import torch

from emtkit import SequenceModel
from emtkit_std._theory.facts import ACTIVATIONS, Array, DelayLaw, Mask, PulseCircuit, Response
from emtkit_std._theory.networks.recurrence import to_array
from emtkit_std._theory.superposition import linear_loss
from emtkit_std._theory.superposition.linear_loss import MOST_BITS, LinearTerms
from emtkit_std._theory.superposition.projections import project, pulse_responses
from emtkit_std._theory.superposition.relu_loss import relu_second_order

# Above this density the second-order series is no longer trusted (section 2.4 of the theory).
SERIES_UP_TO = 0.05
# Multiplications that an enumeration may cost: about ten seconds.
_MOST_WORK = 4e9


@dataclass(frozen=True)
class Pulses:
    """Directions (L, H, I) and projections (O, I, L) of lone unit pulses."""

    directions: Array
    projections: Array


@dataclass(frozen=True)
class Expected:
    """Expected loss relative to the zero predictor, and its four terms where the net is linear.

    NaN comes with `reason`; `terms` is None with `terms_reason`.
    """

    loss: float
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


def expected_loss(
    circuit: PulseCircuit | None, pulses: Pulses, law: DelayLaw, scored: Mask
) -> Expected:
    """What theory expects: exact for linear networks and for constant amplitude, else a series."""
    if circuit is None:
        return unexpected(
            "closed forms need the weights as a PulseCircuit, which this architecture lacks"
        )
    zero = linear_loss.zero_predictor_loss(law, scored)
    linear = circuit.activation == "linear" and not circuit.b.any()
    if linear and circuit.readout == "linear":
        terms = linear_loss.finite_terms(pulses.projections, law, scored, circuit.b_r)
        terms = terms.scaled(1.0 / zero)
        return Expected(terms.total, "", terms, "")
    terms_reason = "the four terms are those of a linear recurrence with a linear readout"
    refusal = _enumeration_refusal(circuit, law, len(scored))
    if not refusal:
        response = circuit_response(circuit)
        if linear:
            response = linear_loss.linear_response(pulses.projections, circuit.readout, circuit.b_r)
        loss = linear_loss.enumerated_loss(response, law, scored)
    elif refused_too := _series_refusal(circuit, law):
        return Expected(float("nan"), f"{refusal}; {refused_too}", None, terms_reason)
    else:
        loss = relu_second_order(pulses.projections, law, scored)
    return Expected(loss / zero, "", None, terms_reason)


def unexpected(reason: str) -> Expected:
    """No closed form applies, and why."""
    return Expected(float("nan"), reason, None, reason)


def _enumeration_refusal(circuit: PulseCircuit, law: DelayLaw, steps: int) -> str:
    if law.amplitude != "constant":
        return "enumeration needs constant amplitudes"
    bits = steps * law.inputs
    if bits > MOST_BITS:
        return f"enumeration takes up to {MOST_BITS} bits, {steps} x {law.inputs} are {bits}"
    hidden = len(circuit.W_hh)
    work = 2.0**bits * steps * hidden * (hidden + law.inputs)
    if circuit.activation != "linear" and work > _MOST_WORK:
        return f"enumerating {bits} bits through {hidden} nonlinear units would take too long"
    return ""


def _series_refusal(circuit: PulseCircuit, law: DelayLaw) -> str:
    if circuit.activation != "linear":
        return "the series needs a linear recurrence"
    if circuit.biased:
        return "the series knows no bias"
    if max(law.density) > SERIES_UP_TO:
        return f"the series is trusted up to density {SERIES_UP_TO}, this is {max(law.density)}"
    if len(set(law.density)) > 1 or not law.amplitude:
        return "the series needs one density and a named law of amplitudes"
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
