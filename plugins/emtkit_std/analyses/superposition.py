"""How the ages of an input share the state: projections, interference, order parameters."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
from pydantic import AfterValidator, Field

from emtkit import (
    Analysis,
    Batch,
    Control,
    Findings,
    NotApplicable,
    ScalarInfo,
    Subject,
    hookimpl,
)
from emtkit_std._controls import LAST_DELAY, REGISTER
from emtkit_std._theory.facts import DelayLaw, Mask, PulseCircuit
from emtkit_std._theory.superposition import projections, pulses
from emtkit_std._theory.superposition.drawings import draw_directions, draw_projections
from emtkit_std._theory.superposition.estimated import answered, sharing
from emtkit_std._theory.superposition.linear_loss import zero_predictor_loss
from emtkit_std._theory.superposition.pulse_tables import pulse_tables
from emtkit_std._theory.superposition.pulses import Expected, Pulses

# Numbers in one chunk of fresh data; another value is another evaluation set, hence version.
_CHUNK = 1 << 18


MOST_ESTIMATED = 8192
OF_CODES = ("code_overlap", "features_needed", "directions")
_NO_DELAYS = (
    "the ages of the input, and closed forms of their loss, need a law of delays; offer the fact "
    "DelayLaw in the task, or see `code_overlap`"
)


def _several(samples: int) -> int:
    if samples == 1:
        raise ValueError("one sequence has no standard error; give 0, or 2 and more")
    return samples


class Superposition(Analysis):
    """How the ages of an input share the state of a network.

    Directions w_s (state s steps after a lone unit pulse), projections a_s = W_r w_s. Scalars:

    - `relative_loss` on fresh sequences, by the kinds that the task draws (the zero predictor has
      1), its standard error
      `relative_loss_error`; `expected_loss` from theory, for linear recurrences exact up to
      `expected_loss_error`; with a linear readout its four terms.
    - `hidden_share` H = sum relu(-a)² / sum a² off target, `visible_interference` = sum relu(a)²,
      `tail` = sum a² beyond the delay; `regime`: dense H < .35, alternating, sparse from .75,
      silent where every output on the fresh sequences is zero. H and the regime are undefined
      where `relative_loss` is not below 1, and but for rectified readouts and inputs of one sign:
      elsewhere nothing is hidden (and `visible_interference` is all of it), and the mirror image
      of a network has another H at equal outputs.
      On a task that runs on after its input (hds) they take the ages that the first scored step
      has received, for an older one may be an answer again; there `expected_loss` is undefined.
    - `travelled_angle` k |arg| of the largest eigenvalue of W_hh, degrees, unfolded;
      `travelled_angle_folded` where the problem has the mirror symmetry. Two units make it an
      angle; in more the ages turn in several planes, and `principal_angle_mean` is over the
      principal angles between the spans of w_s and of w_{s+1} up to the delay.
    - `feature_angle_mean` (successive directions up to the delay), `input_norm` ||w_0||,
      `represented` (outputs with own gain above 1/2).

    A linear recurrence with an untied readout is the same network in any basis: its raw angles
    (`feature_angle_mean`, `principal_angle_mean`, table `angles`) and `input_norm` are NOT
    identifiable. Projections, eigenvalues, losses and `travelled_angle` are.

    A task without a law of delays (`law`: none) has the loss on `samples` or MOST_ESTIMATED fresh
    sequences, by its own measure, and how what must be remembered shares the state: `code_overlap`,
    the mean squared cosine between the codes of two needed inputs in whitened coordinates (by
    chance 1 / `directions`), and `features_needed`, the most at one time. All else is undefined.

    References: Sharma, Proca, Prieto and Mediano (ICLR 2026), "Temporal superposition".
    """

    name = "superposition"
    version = 9  # tasks without a law of delays, by codes
    scalars = {
        "relative_loss": ScalarInfo(
            "loss on fresh sequences; 1 is that of the answer 0",
            better="lower",
            undefined="without sequences (`samples: 0`)",
        ),
        "relative_loss_error": ScalarInfo(
            "its standard error", undefined="without sequences (`samples: 0`)"
        ),
        "expected_loss": ScalarInfo(
            "expected relative loss, from theory",
            better="lower",
            undefined="where theory has no closed form",
        ),
        "expected_loss_error": ScalarInfo(
            "error bound of the expected loss", undefined="where theory has no closed form"
        ),
        "task_benefit": ScalarInfo(
            "term of the linear readout's loss: what the target gains",
            undefined="but for linear readouts",
        ),
        "mean_correction": ScalarInfo(
            "term of the linear readout's loss: the means", undefined="but for linear readouts"
        ),
        "projection": ScalarInfo(
            "term of the linear readout's loss: interference", undefined="but for linear readouts"
        ),
        "composition": ScalarInfo(
            "term of the linear readout's loss: interference of the means",
            undefined="but for linear readouts",
        ),
        "hidden_share": ScalarInfo(
            "share of the interference that the rectifier hides",
            undefined="but for rectified readouts of inputs of one sign, or if nothing is learned, "
            "or nothing interferes",
        ),
        "visible_interference": ScalarInfo(
            "sum of the squared projections off target that reach the output", better="lower"
        ),
        "tail": ScalarInfo("sum of the squared projections beyond the delay", better="lower"),
        "represented": ScalarInfo("number of outputs with own gain above 1/2", better="higher"),
        "regime": ScalarInfo(
            "dense (hidden share below .35), alternating, sparse (from .75), silent or undefined"
        ),
        "travelled_angle": ScalarInfo(
            "delay times the angle of the largest eigenvalue, unfolded",
            unit="degrees",
            undefined="but for two units, and without a mode",
        ),
        "travelled_angle_folded": ScalarInfo(
            "the same where the problem has the mirror symmetry",
            unit="degrees",
            undefined="without that symmetry",
        ),
        "feature_angle_mean": ScalarInfo(
            "mean angle between successive directions up to the delay",
            unit="degrees",
            undefined="where it is not identifiable",
        ),
        "principal_angle_mean": ScalarInfo(
            "mean principal angle between the spans of successive ages up to the delay",
            unit="degrees",
            undefined="where no two successive ages have directions",
        ),
        "input_norm": ScalarInfo(
            "length of the direction of a lone pulse at age 0",
            undefined="where it is not identifiable",
        ),
        "code_overlap": ScalarInfo(
            "mean squared cosine between the codes of two needed inputs, in whitened coordinates",
            undefined="with a law of delays, or fewer than two codes in the state",
        ),
        "features_needed": ScalarInfo(
            "most inputs that a state must hold at one time",
            undefined="where the task has a law of delays, or what it needs is unknown",
        ),
        "directions": ScalarInfo("directions that states fill", undefined="as `features_needed`"),
        "law": ScalarInfo("delays, or none where the task has no law of delays"),
    }
    drawings = {"projections": draw_projections, "directions": draw_directions}
    controls = (
        Control(LAST_DELAY, REGISTER, "relative_loss", most=1e-12),
        Control(LAST_DELAY, {"use": "relu_rnn", "hidden": 2}, "relative_loss", least=0.3),
    )

    def __init__(
        self,
        *,
        samples: Annotated[
            int,
            Field(
                ge=0,
                description="Number of fresh sequences behind `relative_loss`; 0, where the exact "
                "`expected_loss` is enough.",
            ),
            AfterValidator(_several),
        ] = 200_000,
    ) -> None:
        self.samples = samples

    def measure(self, subject: Subject) -> Findings:
        """Pulses from the weights, losses from theory and from fresh data."""
        return self.measure_many([subject])[0]

    def measure_many(self, subjects: Sequence[Subject]) -> list[Findings]:
        """With the same sequences for all networks, and their exact losses at once."""
        first = subjects[0]
        if all(DelayLaw not in one.offers for one in (first.task, first.model)):
            return [self._without_delays(subject) for subject in subjects]
        law = first.fact(DelayLaw)
        if len(subjects) > 1 and DelayLaw not in first.task.offers:
            return [self.measure(subject) for subject in subjects]  # each may have its own law
        probe = first.task.sample(1, first.stream.fork("mask"))
        scored: Mask = probe.mask.reshape(-1).cpu().numpy() > 0
        lags = max(len(scored), max(law.delay) + 1)
        circuits = [pulses.circuit_of(subject.model) for subject in subjects]
        seen = [
            pulses.measured_pulses(subject.model, law.inputs, probe.input_steps, lags)
            if circuit is None
            else pulses.circuit_pulses(circuit, lags)
            for subject, circuit in zip(subjects, circuits, strict=True)
        ]
        ages = pulses.ages_received(probe.input_steps, scored, lags)
        if len(ages) == lags:
            expected = pulses.expected_losses(circuits, seen, law, scored)
        else:
            reason = "the closed forms have input at every step; here it ends"
            expected = [pulses.unexpected(reason)] * len(subjects)
        values = [_Values() for _ in subjects]
        if self.samples:
            silent = _fresh(subjects, law, probe, scored, self.samples, values)
        else:
            silent = [abs(one.loss - 1.0) <= one.error + 1e-12 for one in expected]
            for name in ("relative_loss", "relative_loss_error"):
                for of in values:
                    of.add(name, float("nan"), "no sequences were drawn (samples: 0)")
        tables, findings = pulse_tables(seen, law), []
        for at, (circuit, pulse, found) in enumerate(zip(circuits, seen, values, strict=True)):
            _expected(expected[at], found)
            _order(pulse, ages, law, circuit, found, silent=silent[at])
            _angles(circuit, pulse, law, found)
            arrays = {
                "projections": pulse.projections,
                "directions": pulse.directions,
                "readout": np.zeros((0, 0)) if circuit is None else circuit.W_r.T,
            }
            for name in OF_CODES:
                found.add(name, float("nan"), "the ages of a law of delays have exact directions")
            found.scalars["law"] = "delays"
            findings.append(Findings(found.scalars, tables[at], arrays, found.reasons))
        return findings

    def _without_delays(self, subject: Subject) -> Findings:
        """The loss, and how codes share the state."""
        found = _Values()
        for name in self.scalars:
            found.add(name, float("nan"), _NO_DELAYS)
        found.scalars |= {"regime": "undefined", "law": "none"}
        if self.samples:
            right = answered(subject, min(self.samples, MOST_ESTIMATED))
            found.add("relative_loss", right.loss.value, "the network's outputs are not finite")
            found.add("relative_loss_error", right.loss.error, "the outputs are not finite")
            found.scalars["represented"] = right.represented
        try:
            shared = sharing(subject)
        except NotApplicable as reason:
            for name in OF_CODES:
                found.add(name, float("nan"), str(reason))
            return Findings(found.scalars, reasons=found.reasons)
        found.add("code_overlap", shared.overlap, "fewer than two needed inputs are in the state")
        found.scalars |= {"features_needed": shared.features, "directions": shared.directions}
        return Findings(found.scalars, reasons=found.reasons)


class _Values:
    """Scalars as they are found, and why some of them are undefined."""

    def __init__(self) -> None:
        self.scalars: dict[str, float | int | bool | str] = {}
        self.reasons: dict[str, str] = {}

    def add(self, name: str, value: float | int | str, reason: str = "") -> None:
        """Keep a scalar; a NaN or infinite one is undefined and needs its reason."""
        if isinstance(value, float) and not np.isfinite(value):
            value = float("nan")
            self.reasons[name] = reason or "the value is not finite"
        self.scalars[name] = value


def _fresh(
    subjects: Sequence[Subject],
    law: DelayLaw,
    probe: Batch,
    scored: Mask,
    samples: int,
    values: Sequence[_Values],
) -> list[bool]:
    """Relative loss of each network on fresh sequences, which weigh their scored steps and outputs.

    Which of them are silent.
    """
    weights = torch.from_numpy(np.asarray(law.importance) / zero_predictor_loss(law, scored))
    # The chunks follow from the task alone, so that every network receives the same sequences.
    chunk = max(_CHUNK // (probe.steps * max(probe.inputs.shape[-1], probe.targets.shape[-1])), 2)
    task, stream = subjects[0].task, subjects[0].stream
    means, variances, silent = ([start] * len(subjects) for start in (0.0, 0.0, True))
    for size in _sizes(samples, chunk):
        drawn = task.sample_strata(size, stream)
        for at, subject in enumerate(subjects):
            outputs = _scored_outputs(subject, drawn.batch)
            silent[at] &= not bool(outputs.any())
            errors = (outputs - drawn.batch.targets[:, scored]).double()
            losses = (torch.square(errors) @ weights).mean(1)
            means[at] += drawn.strata.mean(losses) * size / samples
            variances[at] += (drawn.strata.error(losses) * size / samples) ** 2
    for of, mean, variance in zip(values, means, variances, strict=True):
        of.add("relative_loss", mean, "the network's outputs are not finite")
        of.add("relative_loss_error", variance**0.5, "the network's outputs are not finite")
    return silent


def _sizes(samples: int, chunk: int) -> list[int]:
    """At least `chunk` in each, where there are as many: one sequence would show no spread."""
    ends = np.linspace(0, samples, max(samples // chunk, 1) + 1).round().astype(int)
    return np.diff(ends).tolist()


def _scored_outputs(subject: Subject, batch: Batch) -> torch.Tensor:
    """Outputs (B scored O)."""
    like = next(iter(subject.model.state_dict().values()))
    with torch.no_grad():
        trace = subject.model.trace(batch.inputs[:, : batch.input_steps].to(like), batch.steps)
    return trace.outputs.cpu()[:, batch.mask.reshape(-1) > 0]


def _expected(expected: Expected, values: _Values) -> None:
    values.add("expected_loss", expected.loss, expected.reason)
    values.add("expected_loss_error", expected.error, expected.reason)
    terms = expected.terms
    for name in ("task_benefit", "mean_correction", "projection", "composition"):
        value = float("nan") if terms is None else float(getattr(terms, name))
        values.add(name, value, expected.terms_reason)


def _order(
    seen: Pulses,
    ages: range,
    law: DelayLaw,
    circuit: PulseCircuit | None,
    values: _Values,
    *,
    silent: bool,
) -> None:
    received = np.zeros_like(seen.projections)
    received[..., ages] = seen.projections[..., ages]
    readout = None if circuit is None else circuit.readout
    order = projections.order_parameters(received, law, readout)
    if silent:
        nan, why = float("nan"), "silent: every output is zero"
        order = projections.OrderParameters(nan, nan, nan, 0, "silent", why)
    elif order.regime != "undefined" and not (loss := _loss_of(values)) < 1.0:
        why = "no better than silence: nothing is remembered"
        if np.isnan(loss):
            why = "no sequences were drawn (samples: 0), and no closed form tells it from silence"
        order = replace(order, hidden_share=float("nan"), regime="undefined", reason=why)
    for name in ("hidden_share", "visible_interference", "tail", "represented", "regime"):
        values.add(name, getattr(order, name), order.reason)


def _loss_of(values: _Values) -> float:
    """The loss on fresh sequences; without those, the exact one."""
    sampled = float(values.scalars["relative_loss"])
    return float(values.scalars["expected_loss"]) if np.isnan(sampled) else sampled


def _angles(circuit: PulseCircuit | None, seen: Pulses, law: DelayLaw, values: _Values) -> None:
    delay, nan = max(law.delay), float("nan")
    if circuit is None:
        reason = "no recurrent matrix: the architecture offers no PulseCircuit"
        angle = folded = nan
    elif len(set(law.delay)) > 1:
        reason, angle, folded = "the outputs have different delays", nan, nan
    elif (units := len(circuit.W_hh)) != 2:
        reason = f"{units} units do not turn in one plane; `principal_angle_mean` is by age"
        angle = folded = nan
    else:
        reason = "every eigenvalue of the recurrent matrix is 0"
        angle = projections.travelled_angle(circuit.W_hh, delay)
        folded = projections.travelled_angle(circuit.W_hh, delay, folded=True)
    values.add("travelled_angle", angle, reason)
    linear = circuit is not None and circuit.activation == circuit.readout == "linear"
    if not np.isnan(folded) and (not linear or any(law.mean)):
        folded, reason = nan, "only a linear readout of zero-mean inputs has the mirror symmetry"
    values.add("travelled_angle_folded", folded, reason)
    between = projections.successive_angles(seen.directions[: delay + 1])
    known = between[~np.isnan(between)]
    mean = float(known.mean()) if known.size else nan
    values.add("feature_angle_mean", mean, "no two successive directions up to the delay")
    spans = projections.principal_angles(seen.directions, delay)
    known = spans[~np.isnan(spans)]
    mean = float(known.mean()) if known.size else nan
    values.add("principal_angle_mean", mean, "no two successive directions up to the delay")
    values.add("input_norm", float(np.linalg.norm(seen.directions[0])))


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """The analysis of this module."""
    return [Superposition]
