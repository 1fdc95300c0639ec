"""Is working memory a travelling wave: residuals, speed, direction and coherence of the columns."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from emtkit import Analysis, Control, Findings, NotApplicable, Scalar, Subject, hookimpl
from emtkit_std._controls import REPEAT_COPY
from emtkit_std._findings import Measured, undefined
from emtkit_std._parameters import Sequences, Steps
from emtkit_std._theory.emt.memories import dual_memories, spectral_core
from emtkit_std._theory.facts import Array, HistoryLaw, Mask
from emtkit_std._theory.linearise import Linearisation, Point, attempt
from emtkit_std._theory.observe import law_of, memory_span, run
from emtkit_std._theory.waves import drawings, speed, wavefield
from emtkit_std._theory.waves.wavefield import HistoryFit, NativeColumns, Wavefield

THRESHOLD = 0.9
NULL_SEQUENCES = 32
OF_A_POINT = (
    *("amplitude_ratio", "flag", "unexplained", "shift_residual", "shift_residual_gain"),
    *("speed", "speed_fft", "contrast", "direction", "coherence"),
    *("coherence_z_columns", "coherence_z_time"),
    *("boundary_residual", "operator_shift_residual", "operator_boundary_residual"),
)
"""The scalars of the columns, which are counted from the point, and of the Jacobian there."""


@dataclass(frozen=True)
class _Columns:
    """How states become columns: `basis` (H, s d), `dual` (kept, H) or None for the pseudo-inverse.

    `offset` (H) is taken off the states first. `is_law`: the columns are the task's.
    """

    history: int
    basis: Array
    kept: Mask
    offset: Array
    dual: Array | None
    is_law: bool


class TwmWaves(Analysis):
    """The state as s columns of d values: does content move a column a step, and f write the last?

        h_i(t+1) = h_{i+1}(t)  for i < s,     h_s(t+1) = f(h_1(t), ..., h_s(t))

    Residuals of a regression are partly circular, as chi itself is a perfect wave: read them beside
    `history_r2`.

    `history_r2` is the share of the states that one time-invariant linear map of chi explains: 1
    for a wave, 1/s for registers that keep their place. Residuals are relative rms, 0 for a wave
    and sqrt(2) without one (1 after gains); `speed` (by lag) and `speed_fft` in columns per step,
    positive towards column 1; `contrast` 1 and `coherence`, `direction` 0 without a wave (compare
    `direction` to 0, not 1). `flag`: wave, static, dying (amplitude below 1e-3 of the start, those
    steps left out) or undefined. z-scores against shuffles of columns and of time. `point_norm`,
    `point_residual`, `point_kind`: the fixed point of the `operator_` residuals, from which the
    columns of `emt` and `regression` are counted too (where there is none: from the best offset).

    Only steps at which the state has received a whole history are measured. Where the task has no
    autonomous rule, the boundary residuals are NaN.

    References: Karuvally, Sejnowski and Siegelmann, ICML 2024, Figs 3 and 4; Keller et al. 2023,
    arXiv:2309.08045, for the wavenumber-frequency picture.
    """

    name = "twm_waves"
    version = 2  # the point and the kink test of all analyses
    drawings = {
        "wavefield": drawings.draw_wavefield,
        "frequency": drawings.draw_frequency,
        "basis_change": drawings.draw_basis_change,
    }
    conditions = {"point_kind": OF_A_POINT}
    controls = (Control(REPEAT_COPY, {"use": "twm_linear"}, "shift_residual", most=1e-9),)

    def __init__(
        self,
        *,
        basis: Annotated[
            Literal["native", "emt", "regression"],
            Field(
                description="Where the columns come from: the model is built of them, Algorithm 1 "
                "(dual) at the fixed point, or a regression of the states on the true history chi."
            ),
        ] = "native",
        sequences: Annotated[Sequences, Field(ge=8)] = 128,
        steps: Annotated[Steps, Field(ge=8)] = 64,
        draws: Annotated[
            int, Field(ge=2, description="Number of shuffles behind each z-score.")
        ] = 50,
        history: Annotated[
            int | None,
            Field(
                ge=2,
                description="Number of columns s; null takes the history of the task, or one more "
                "than its longest delay.",
            ),
        ] = None,
        point: Point = "auto",
    ) -> None:
        self.basis, self.sequences, self.steps, self.draws = basis, sequences, steps, draws
        self.history, self.point = history, point

    def measure(self, subject: Subject) -> Findings:
        """All scalars; arrays `field` (T s d) of one sequence, `states` (T H), `power`, `gains`."""
        span = memory_span(subject, self.history)
        seen = run(subject, self.sequences, self.steps, span)
        states = seen.states[:, seen.first :]
        fit = wavefield.fit_history(states, wavefield.sliding_history(seen.sequence, span))
        place = attempt(subject, self.point)
        columns = self._columns(subject, fit, span, place)
        form = (columns.basis, columns.history, columns.kept, columns.offset, columns.dual)
        found = wavefield.coordinates(states, *form)
        whole = found.field
        field = whole.until(max(2, wavefield.living_steps(whole)))
        by_lag, picture = speed.lag_speed(field), speed.spectrum(field)
        scalars: dict[str, Scalar] = {
            "history_r2": fit.r2,
            "amplitude_ratio": wavefield.amplitude_ratio(whole),
            "flag": speed.flag_of(whole, by_lag),
            "steps_used": field.values.shape[1],
            "unexplained": found.unexplained,
            **place.scalars,
        }
        reasons = {
            "history_r2": "the states do not vary",
            "amplitude_ratio": "the field begins at zero",
            "unexplained": "the states are zero",
            **place.reasons,
        }
        for part in (
            _form(field, by_lag, picture),
            _rule(field, columns, place, law_of(subject)),
            self._nulls(subject, field),
        ):
            scalars |= part.scalars
            reasons |= part.reasons
        arrays = {
            "field": whole.values[0],
            "states": states[0],
            "power": picture.power,
            "gains": wavefield.gain_corrected_shift(field).gains,
        }
        return Findings(scalars, arrays=arrays, reasons=reasons)

    def _columns(
        self, subject: Subject, fit: HistoryFit, span: int, place: Linearisation
    ) -> _Columns:
        law, local = law_of(subject), place.local
        width, size = fit.basis.shape
        kept = np.ones((span, size // span), dtype=bool)
        if law is not None and law.history == span:
            kept = law.mask.reshape(kept.shape)
        if self.basis == "regression":
            offset = fit.offset if local is None else local.point
            return _Columns(span, fit.basis, kept, offset, None, law is not None)
        if self.basis == "native":
            if NativeColumns not in subject.model.offers:
                raise NotApplicable(
                    f"{subject.model.name} is not built of columns; use basis: regression, or emt"
                )
            own = subject.model.facts(NativeColumns)
            everything = np.ones((own.history, own.dimension), dtype=bool)
            same = law is not None and own.history == law.history
            return _Columns(own.history, own.basis, everything, np.zeros(width), None, same)
        if law is None or law.history != span:
            raise NotApplicable("basis: emt reads the memories of a task's law of history")
        if local is None:
            raise NotApplicable(f"basis: emt needs the Jacobian at a fixed point: {place.reason}")
        try:
            core = spectral_core(local.jacobian, THRESHOLD)
            found = dual_memories(core, local.jacobian, local.readout, span, law.mask)
        except (ValueError, np.linalg.LinAlgError) as error:
            raise NotApplicable(f"basis: emt finds no memories: {error}") from error
        basis = np.zeros((width, size))
        basis[:, law.mask] = found.basis
        return _Columns(span, basis, kept, local.point, found.dual, True)

    def _nulls(self, subject: Subject, field: Wavefield) -> Measured:
        _, steps, columns, dimension = field.values.shape
        field = Wavefield(field.values[:NULL_SEQUENCES], field.kept)
        stream = subject.stream.fork("null")
        by_column = stream.uniform((self.draws, dimension, columns)).numpy().argsort(-1)
        by_time = stream.uniform((self.draws, steps)).numpy().argsort(-1)
        scalars: dict[str, Scalar] = {
            "coherence_z_columns": speed.shuffle_z(field, speed.coherence, "columns", by_column),
            "coherence_z_time": speed.shuffle_z(field, speed.coherence, "time", by_time),
        }
        return Measured(scalars, dict.fromkeys(scalars, "coherence is undefined, or never varies"))


def _form(
    field: Wavefield, by_lag: speed.LagSpeed, picture: speed.FrequencyWavenumberSpectrum
) -> Measured:
    """What follows from the field's form alone."""
    by_frequency = speed.frequency_speed(picture)
    scalars: dict[str, Scalar] = {
        "shift_residual": wavefield.shift_residual(field),
        "shift_residual_gain": wavefield.gain_corrected_shift(field).residual,
        "speed": by_lag.speed,
        "speed_fft": by_frequency.speed,
        "contrast": by_frequency.contrast,
        "direction": speed.direction_index(picture),
        "coherence": speed.coherence(field),
    }
    reasons: dict[str, str] = dict.fromkeys(scalars, "the field is zero or does not move")
    reasons["speed"] = "the columns move together, or two columns leave no direction"
    if not by_lag.peak >= speed.PEAK_REQUIRED:
        reasons["speed"] = (
            f"no column is its neighbour's past: peak correlation {by_lag.peak:.2f}, not "
            f"{speed.PEAK_REQUIRED} or more"
        )
    return Measured(scalars, reasons)


def _rule(
    field: Wavefield, columns: _Columns, place: Linearisation, law: HistoryLaw | None
) -> Measured:
    """What follows from comparing with the task's rule f."""
    names = ("boundary_residual", "operator_shift_residual", "operator_boundary_residual")
    if law is None or not columns.is_law:
        reason = "these columns follow no autonomous rule, so it is unknown what f should write"
        return undefined(names, reason)
    without = undefined(names, place.reason)
    written = wavefield.boundary_residual(field, law.operator)
    scalars = {**without.scalars, names[0]: written}
    if place.local is not None:
        form = (columns.basis, columns.history, law.operator, columns.kept, columns.dual)
        found = wavefield.operator_residuals(place.local.jacobian, *form)
        scalars |= {names[1]: found.shift, names[2]: found.boundary}
    return Measured(scalars, {**without.reasons, names[0]: "the newest column is zero"})


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Travelling waves."""
    return [TwmWaves]
