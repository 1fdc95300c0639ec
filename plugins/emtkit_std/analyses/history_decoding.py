"""Which past items are in the state: the question that every architecture can answer.

Shapes: states (B T H), windows of the true history (B T s d) oldest first, directions (L H I).
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from emtkit import Analysis, Control, Findings, NotApplicable, Scalar, ScalarInfo, Subject, hookimpl
from emtkit_std._controls import EXACT_CIRCUIT, REPEAT_COPY
from emtkit_std._findings import Measured, long_table
from emtkit_std._parameters import Lags, Sequences, Steps
from emtkit_std._theory.facts import Array, DelayLaw
from emtkit_std._theory.observe import draw, driven_jacobians, memory_span, run
from emtkit_std._theory.standard_error import apart, of_mean
from emtkit_std._theory.superposition.projections import Regime, order_parameters
from emtkit_std._theory.superposition.pulses import circuit_of
from emtkit_std._theory.svd import decompose
from emtkit_std._theory.waves.drawings import draw_decoding, draw_overlap
from emtkit_std._theory.waves.history import sliding_history
from emtkit_std._theory.whitened import whiten

JACOBIAN_SEQUENCES = 8
MOST_TIMES = 16


class HistoryDecoding(Analysis):
    """R^2 of x(t-k) from the state, by an affine map for each t, and the geometry of the past.

        x(t-k) = A_tk h(t) + b_tk + error,   k = 0 .. lags - 1
        r2(k) = 1 - sum_t E|error|^2 / sum_t Var x

    As every time has a map of its own, this asks whether an item is there, wherever it is kept
    (`twm_waves` asks whether one map serves all times). `r2` per lag is on unseen sequences, in
    whitened coordinates (h -> A h changes nothing), over the steps that the task trains; `capacity`
    sums what is positive of it, `mean_r2` is its share of the lags, `decodable` counts lags above
    one half, `oldest_r2` is that of the last lag. Standard errors (`mean_r2_error`) are those of
    one map over the sequences that it is judged on.

    The input Jacobian, averaged over sequences, gives the projections dy(t)/du(t-k) and the
    directions dh(t)/du(t-k) of every age k, at the first autonomous step, or the last where all
    steps are driven. `overlap` is the mean squared cosine between the subspaces of two of the first
    `lags` ages (0 if orthogonal, about I/H by chance; L ages of I features leave no less than
    (L I / H - 1) / (L - 1) in H < L I units) in raw coordinates, which are not identifiable for a
    linear recurrence with an untied readout; projections are. Where the task has a law of delays,
    `hidden_share` and `regime` follow from the projections as in `superposition`: undefined
    without a rectified readout or for inputs of both signs; `silent` where all outputs are zero.

    References: Jaeger 2001 (memory capacity, here in all dimensions at once); Sharma, Proca,
    Prieto and Mediano (ICLR 2026) for projections and order parameters.
    """

    name = "history_decoding"
    version = 6  # without a law, as far back as inputs are needed
    scalars = {
        "capacity": ScalarInfo(
            "sum of the positive R² over the lags",
            unit="items",
            better="higher",
            undefined="where inputs do not vary",
        ),
        "mean_r2": ScalarInfo(
            "mean R² with which the past items are read from the state",
            better="higher",
            undefined="where inputs do not vary",
        ),
        "decodable": ScalarInfo(
            "number of lags with R² above one half", unit="lags", better="higher"
        ),
        "oldest_r2": ScalarInfo(
            "R² of the last lag", better="higher", undefined="where inputs do not vary"
        ),
        "overlap": ScalarInfo(
            "mean squared cosine between the subspaces of two ages, in raw coordinates",
            undefined="where an age has no direction",
        ),
        "hidden_share": ScalarInfo(
            "share of the interference that the rectifier hides",
            undefined="but for rectified readouts of inputs of one sign",
        ),
        "capacity_error": ScalarInfo("standard error of `capacity`, over the sequences"),
        "mean_r2_error": ScalarInfo("the same of `mean_r2`"),
        "oldest_r2_error": ScalarInfo("the same of `oldest_r2`"),
        "regime": ScalarInfo("dense, alternating, sparse or silent, by the hidden share"),
    }
    drawings = {"decoding": draw_decoding, "overlap": draw_overlap}
    controls = (Control(REPEAT_COPY, EXACT_CIRCUIT, "capacity", least=4 - 1e-6),)

    def __init__(
        self,
        *,
        sequences: Annotated[Sequences, Field(ge=16)] = 1024,
        steps: Annotated[Steps, Field(ge=1)] = None,
        lags: Annotated[Lags, Field(ge=1)] = None,
    ) -> None:
        self.sequences, self.steps, self.lags = sequences, steps, lags

    def measure(self, subject: Subject) -> Findings:
        """Scalars; tables `decoding`, `projections` and `directions`."""
        span = memory_span(subject, self.lags)
        seen = run(subject, self.sequences, self.steps, span, least=1)
        windows = sliding_history(seen.sequence, span)
        found = decode_history(seen.states[:, seen.first :], windows)
        ages = np.arange(span)
        decoding = pd.DataFrame({"lag": ages, "r2": found.r2, "accuracy": found.accuracy})
        scalars: dict[str, Scalar] = {
            "capacity": float(np.maximum(found.r2, 0.0).sum()),
            "mean_r2": float(found.r2.mean()),
            "decodable": int((found.r2 > 0.5).sum()),
            "oldest_r2": float(found.r2[-1]),
            "capacity_error": of_mean(found.apart[:, found.r2 > 0].sum(1)),
            "mean_r2_error": of_mean(found.apart.mean(1)),
            "oldest_r2_error": of_mean(found.apart[:, -1]),
        }
        past = _past(subject)
        table = overlaps(past.directions)
        used = table[:span, :span]
        pairs = used[~np.eye(len(used), dtype=bool)]
        scalars["overlap"] = float(pairs.mean()) if len(pairs) else float("nan")
        reasons = dict.fromkeys(scalars, "the inputs do not vary")
        reasons["overlap"] = "some age has no direction at all, or there is only one age"
        order = _order(subject, past.projections, silent=not seen.outputs.any())
        return Findings(
            scalars | order.scalars,
            {
                "decoding": decoding,
                "projections": _by_lag(past.projections),
                "directions": _between_lags(table, past.first_lag),
            },
            {"directions": past.directions},
            reasons | order.reasons,
        )


@dataclass(frozen=True)
class Decoding:
    """Per lag k = 0..s-1, on unseen sequences: `r2` of x(t-k) and `accuracy` of its sign.

    `apart` (N s): how far each of the N sequences, alone, moves r2 from its mean; of mean 0.
    """

    r2: Array
    accuracy: Array
    apart: Array


def decode_history(states: Array, windows: Array) -> Decoding:
    """An affine map from states (B T H) to the whole history (B T s d) for each time.

    Fitted on the first half of the sequences and measured on the other half, at up to `MOST_TIMES`
    times; R^2 may be negative there.

    Raises:
        NotApplicable: too few sequences for so many units.
    """
    half = len(states) // 2
    times = np.unique(np.linspace(0, states.shape[1] - 1, MOST_TIMES).round().astype(int))
    missed, total = np.zeros((2, len(states) - half, windows.shape[2]))
    right = np.zeros(windows.shape[2])
    for time in times:
        white = whiten(states[:half, time], states[half:, time], half)
        values, true = windows[:half, time], windows[half:, time]
        mean = values.mean(0)
        weights = np.tensordot(white.fitted.T, values - mean, 1)
        guess = mean + np.tensordot(white.judged, weights, 1)
        missed += np.square(true - guess).sum(2)
        total += np.square(true - true.mean(0)).sum(2)
        right += ((guess >= 0) == (true >= 0)).mean((0, 2))
    scale = np.where(total.any(0), total.mean(0), np.nan)
    r2 = 1.0 - missed.mean(0) / scale
    return Decoding(r2[::-1], right[::-1] / len(times), apart(missed, total)[:, ::-1])


def subspace_overlap(first: Array, second: Array) -> float:
    """Mean squared cosine of the principal angles between the columns of two matrices (H I).

    0 where orthogonal, 1 where one holds the other; NaN where either is zero.
    """
    bases = [_orthonormal(first), _orthonormal(second)]
    smallest = min(basis.shape[1] for basis in bases)
    if smallest == 0:
        return float("nan")
    return float(np.linalg.norm(bases[0].T @ bases[1]) ** 2 / smallest)


def overlaps(directions: Array) -> Array:
    """`subspace_overlap` of every pair of ages (L, L) of directions (L H I)."""
    return np.array([[subspace_overlap(a, b) for b in directions] for a in directions])


@dataclass(frozen=True)
class _Past:
    """Mean input Jacobians: `projections` (O, I, L), `directions` (L, H, I) from `first_lag` on."""

    projections: Array
    directions: Array
    first_lag: int


def _past(subject: Subject) -> _Past:
    batch = draw(subject, JACOBIAN_SEQUENCES, 1)
    autonomous = batch.steps > batch.input_steps
    step = batch.input_steps if autonomous else batch.steps - 1
    found = driven_jacobians(subject, batch, step)
    states, outputs = found.states.mean(0)[::-1], found.outputs.mean(0)[::-1]
    if not np.isfinite(states).all():
        raise NotApplicable("the input Jacobian overflows")
    projections = np.moveaxis(outputs, 0, -1)
    if autonomous:
        # no input comes at the autonomous step itself: lag 0 is empty
        projections = np.concatenate([np.zeros_like(projections[..., :1]), projections], -1)
    return _Past(projections, states, int(autonomous))


def _order(subject: Subject, projections: Array, *, silent: bool) -> Measured:
    try:
        law = subject.fact(DelayLaw)
    except NotApplicable as why:
        return _no_order("undefined", str(why))
    if silent:
        return _no_order("silent", "silent: every output is zero")
    circuit = circuit_of(subject.model)
    found = order_parameters(projections, law, None if circuit is None else circuit.readout)
    scalars: dict[str, Scalar] = {"hidden_share": found.hidden_share, "regime": found.regime}
    return Measured(scalars, {"hidden_share": found.reason})


def _no_order(regime: Regime, reason: str) -> Measured:
    return Measured({"hidden_share": float("nan"), "regime": regime}, {"hidden_share": reason})


def _orthonormal(matrix: Array) -> Array:
    found = decompose(matrix)
    values = found.values
    keep = values > 1e-10 * values[0] if values[0] > 0 else np.zeros(len(values), dtype=bool)
    return found.left[:, keep]


def _by_lag(projections: Array) -> pd.DataFrame:
    table = long_table(("feature_out", "feature_in", "lag"), {"value": projections})
    return table[["lag", "feature_in", "feature_out", "value"]]


def _between_lags(overlap: Array, first_lag: int) -> pd.DataFrame:
    table = long_table(("lag_a", "lag_b"), {"overlap": overlap})
    table[["lag_a", "lag_b"]] += first_lag
    return table


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Linear decoding of the past."""
    return [HistoryDecoding]
