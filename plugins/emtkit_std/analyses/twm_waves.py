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
from emtkit_std._theory.observe import Run, law_of, memory_span, run
from emtkit_std._theory.waves.drawings import draw_basis_change, draw_frequency, draw_wavefield
from emtkit_std._theory.waves.speed import (
    PEAK_REQUIRED,
    LagSpeed,
    coherence,
    direction_index,
    flag_of,
    frequency_speed,
    lag_speed,
    shuffle_z,
    spectrum,
)
from emtkit_std._theory.waves.wavefield import (
    Coordinates,
    NativeColumns,
    Wavefield,
    amplitude_ratio,
    boundary_residual,
    coordinates,
    field_of,
    fit_history,
    gain_corrected_shift,
    living_steps,
    operator_residuals,
    shift_residual,
    sliding_history,
)

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
        "wavefield": draw_wavefield,
        "frequency": draw_frequency,
        "basis_change": draw_basis_change,
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
        fit = fit_history(states, sliding_history(seen.sequence, span))
        place = attempt(subject, self.point)
        columns = self._columns(subject, seen, span, place)
        found = _seen(states, columns)
        whole = found.field
        field = whole.until(max(2, living_steps(whole)))
        speed = lag_speed(field)
        scalars: dict[str, Scalar] = {
            "history_r2": fit.r2,
            "amplitude_ratio": amplitude_ratio(whole),
            "flag": flag_of(whole, speed),
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
            _form(field, speed),
            _rule(field, columns, place, law_of(subject)),
            self._nulls(subject, field),
        ):
            scalars |= part.scalars
            reasons |= part.reasons
        arrays = {
            "field": whole.values[0],
            "states": states[0],
            "power": spectrum(field).power,
            "gains": gain_corrected_shift(field).gains,
        }
        return Findings(scalars, arrays=arrays, reasons=reasons)

    def _columns(self, subject: Subject, seen: Run, span: int, place: Linearisation) -> _Columns:
        law = law_of(subject)
        dimension = seen.sequence.shape[-1]
        kept = np.ones((span, dimension), dtype=bool)
        if law is not None and law.history == span:
            kept = law.mask.reshape(span, dimension)
        width = seen.states.shape[-1]
        states = seen.states[:, seen.first :]
        if self.basis == "regression":
            fit = fit_history(states, sliding_history(seen.sequence, span))
            offset = fit.offset if place.local is None else place.local.point
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
        local = place.local
        if local is None:
            raise NotApplicable(f"basis: emt needs the Jacobian at a fixed point: {place.reason}")
        try:
            core = spectral_core(local.jacobian, THRESHOLD)
            found = dual_memories(core, local.jacobian, local.readout, span, law.mask)
        except (ValueError, np.linalg.LinAlgError) as error:
            raise NotApplicable(f"basis: emt finds no memories: {error}") from error
        basis = np.zeros((width, span * dimension))
        basis[:, law.mask] = found.basis
        return _Columns(span, basis, kept, local.point, found.dual, True)

    def _nulls(self, subject: Subject, field: Wavefield) -> Measured:
        _, steps, columns, dimension = field.values.shape
        field = Wavefield(field.values[:NULL_SEQUENCES], field.kept)
        stream = subject.stream.fork("null")
        by_column = stream.uniform((self.draws, dimension, columns)).numpy().argsort(-1)
        by_time = stream.uniform((self.draws, steps)).numpy().argsort(-1)
        scalars: dict[str, Scalar] = {
            "coherence_z_columns": shuffle_z(field, coherence, "columns", by_column),
            "coherence_z_time": shuffle_z(field, coherence, "time", by_time),
        }
        return Measured(scalars, dict.fromkeys(scalars, "coherence is undefined, or never varies"))


def _seen(states: Array, columns: _Columns) -> Coordinates:
    """The columns that the states hold, by the dual where the basis has one of its own."""
    kept, offset = columns.kept, columns.offset
    found = coordinates(states, columns.basis, columns.history, kept, offset)
    if columns.dual is None:
        return found
    values = np.zeros((*states.shape[:2], kept.size))
    values[..., kept.ravel()] = (states - offset) @ columns.dual.T
    field = field_of(values.reshape(*states.shape[:2], *kept.shape), kept)
    return Coordinates(field, found.unexplained)


def _form(field: Wavefield, speed: LagSpeed) -> Measured:
    """What follows from the field's form alone."""
    picture = spectrum(field)
    by_frequency = frequency_speed(picture)
    scalars: dict[str, Scalar] = {
        "shift_residual": shift_residual(field),
        "shift_residual_gain": gain_corrected_shift(field).residual,
        "speed": speed.speed,
        "speed_fft": by_frequency.speed,
        "contrast": by_frequency.contrast,
        "direction": direction_index(picture),
        "coherence": coherence(field),
    }
    reasons: dict[str, str] = dict.fromkeys(scalars, "the field is zero or does not move")
    if not speed.peak >= PEAK_REQUIRED:
        reasons["speed"] = (
            f"no column is its neighbour's past: peak correlation {speed.peak:.2f}, not "
            f"{PEAK_REQUIRED} or more"
        )
    else:
        reasons["speed"] = "the columns move together, or two columns leave no direction"
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
    scalars = {**without.scalars, "boundary_residual": boundary_residual(field, law.operator)}
    reasons = {**without.reasons, "boundary_residual": "the newest column is zero"}
    if place.local is not None:
        form = (columns.basis, columns.history, law.operator, columns.kept, columns.dual)
        found = operator_residuals(place.local.jacobian, *form)
        scalars["operator_shift_residual"] = found.shift
        scalars["operator_boundary_residual"] = found.boundary
    return Measured(scalars, reasons)


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Travelling waves."""
    return [TwmWaves]
