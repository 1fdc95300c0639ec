"""Is working memory a travelling wave: residuals, speed, direction and coherence of the columns."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from emtkit import Analysis, Control, Findings, NotApplicable, Scalar, ScalarInfo, Subject, hookimpl
from emtkit_std._controls import REPEAT_COPY, UNTRAINED
from emtkit_std._findings import Measured, undefined
from emtkit_std._parameters import Sequences, Steps
from emtkit_std._theory.emt.memories import dual_memories, spectral_core
from emtkit_std._theory.facts import Array, LinearHistoryLaw, Mask
from emtkit_std._theory.linearise import POINT_SCALARS, Linearisation, Point, attempt
from emtkit_std._theory.observe import draw, linear_law_of, memory_span, run
from emtkit_std._theory.standard_error import Ratio, of_mean
from emtkit_std._theory.waves import drawings, speed, wavefield
from emtkit_std._theory.waves.history import (
    SHARE_REQUIRED,
    WaveTest,
    fit_history,
    judge_wave,
    sliding_history,
)
from emtkit_std._theory.waves.wavefield import Columns, NativeColumns, Wavefield

THRESHOLD = 0.9
IN_FREQUENCY = 32
"""Sequences that are transformed to frequencies, which costs most."""
OF_THE_FORM = (
    *("shift_residual", "shift_residual_gain", "speed", "direction", "coherence"),
    *("shift_residual_error", "shift_residual_gain_error", "coherence_error"),
)
OF_THE_RULE = (
    *("boundary_residual", "boundary_residual_error"),
    *("operator_shift_residual", "operator_boundary_residual"),
)
OF_THE_FIELD = (
    *("amplitude_ratio", "shift_residual", "shift_residual_gain", "coherence"),
    "boundary_residual",
)
SAMPLED = ("wave_share", "history_r2", "memoryless_r2", "register_r2", *OF_THE_FIELD)
"""Those that have a standard error over the sequences."""
OF_A_POINT = ("amplitude_ratio", "flag", *OF_THE_FORM, *OF_THE_RULE)
"""The scalars of the columns, which are counted from the point, and of the Jacobian there."""


class TwmWaves(Analysis):
    """The state as s columns of d values: does content move a column a step, and f write the last?

        h_i(t+1) = h_{i+1}(t)  for i < s,     h_s(t+1) = f(h_1(t), ..., h_s(t))

    Whether there is a wave at all is asked first, of states in whitened coordinates (so that
    h -> A h changes no answer) and of sequences that nothing was fitted to. `history_r2` is the R^2
    with which one affine map, the same at all times, reads the sliding history chi; `memoryless_r2`
    that of what the state knows of the newest item alone; `register_r2` that of the items at places
    that stay. The excess history_r2 - max(0, memoryless_r2, register_r2) counts as

        wave_share = (excess - null) / (exact - null):   1 exact wave, 0 no wave,

    null: the mean excess with the states of other sequences, not below 0 (`null_share` is the
    largest of the `draws`), exact: that of chi itself.

    `flag`: wave (wave_share of 3/4 or more, and beyond every draw of the null), static, dying
    (amplitude below 1e-3 of the start, those steps left out), none, or undefined (not finite).
    Where inputs come at every step, what would be a wave is `driven`: if W_hh^k W_uh,
    k < s, are independent, a linear state is the last s inputs in other coordinates, in which
    content moves a column a step whatever W_hh is, as a controllable system has a shift as its
    canonical form. Untrained networks pass; it says that s items are held, and no more.

    Residuals are relative rms, 0 for a wave and sqrt(2) without one (1 after gains); `speed` in
    columns per step, positive towards column 1; `coherence` and `direction` 0 without a wave
    (compare `direction` to 0, not 1). A regression on chi always finds unit speed, so under
    `basis: regression` they are undefined where the history is no wave. `point_norm`,
    `point_residual`, `point_kind`: the fixed point of the `operator_` residuals, from which the
    columns of `emt` and `regression` are counted too (where there is none: from the best offset).

    Only steps at which the state has received a whole history are measured. Where the task has no
    autonomous rule, the boundary residuals are NaN.

    References: Karuvally, Sejnowski and Siegelmann, ICML 2024, Figs 3 and 4; Keller et al. 2023,
    arXiv:2309.08045, for the wavenumber-frequency picture.
    """

    name = "twm_waves"
    version = 6  # without a law, as far back as inputs are needed
    scalars = {
        "wave_share": ScalarInfo(
            "how much of the history travels: 1 exact wave, 0 none or no more than the nulls",
            undefined="where states do not vary",
        ),
        "flag": ScalarInfo("wave, driven, static, dying, none or undefined"),
        "history_r2": ScalarInfo(
            "R² with which one map, the same at all times, reads the sliding history",
            undefined="where states do not vary",
        ),
        "memoryless_r2": ScalarInfo(
            "the same for what the state knows of the newest item alone",
            undefined="where states do not vary",
        ),
        "register_r2": ScalarInfo(
            "the same for items at places that stay", undefined="where states do not vary"
        ),
        "null_share": ScalarInfo(
            "largest wave share among states of other sequences",
            undefined="where states do not vary",
        ),
        "amplitude_ratio": ScalarInfo(
            "amplitude of the field at the end over that at the start",
            undefined="where the field begins at zero",
        ),
        "steps_used": ScalarInfo("number of steps with a living field", unit="steps"),
        "shift_residual": ScalarInfo(
            "relative rms of the shift: 0 for a wave, 1.41 without one",
            better="lower",
            undefined="where there is no wave",
        ),
        "shift_residual_gain": ScalarInfo(
            "the same after a gain for each column",
            better="lower",
            undefined="where there is no wave",
        ),
        "boundary_residual": ScalarInfo(
            "relative rms of the boundary rule: 0 exact, 1.41 none",
            better="lower",
            undefined="without an autonomous rule",
        ),
        "operator_shift_residual": ScalarInfo(
            "shift residual of the Jacobian at the fixed point",
            better="lower",
            undefined="without a fixed point",
        ),
        "operator_boundary_residual": ScalarInfo(
            "boundary residual of the Jacobian at the fixed point",
            better="lower",
            undefined="without a fixed point",
        ),
        "speed": ScalarInfo(
            "speed of the wave, positive towards column 1",
            unit="columns per step",
            undefined="where there is no wave",
        ),
        "direction": ScalarInfo(
            "share of power that travels one way, less the other",
            undefined="where there is no wave",
        ),
        "coherence": ScalarInfo(
            "share of power on the line of one speed", undefined="where there is no wave"
        ),
        **{
            f"{name}_error": ScalarInfo(f"standard error of `{name}`, over the sequences")
            for name in SAMPLED
        },
        **POINT_SCALARS,
    }
    drawings = {
        "wavefield": drawings.draw_wavefield,
        "frequency": drawings.draw_frequency,
        "basis_change": drawings.draw_basis_change,
    }
    conditions = {"point_kind": OF_A_POINT}
    controls = (
        Control(REPEAT_COPY, {"use": "twm_linear", "exact": True}, "flag", equals="wave"),
        Control(REPEAT_COPY, {"use": "twm_linear", "exact": True}, "shift_residual", most=1e-9),
        Control(REPEAT_COPY, UNTRAINED, "wave_share", most=SHARE_REQUIRED),
    )

    def __init__(
        self,
        *,
        basis: Annotated[
            Literal["native", "emt", "regression"],
            Field(
                description="Where the columns come from: the model is built of them, Algorithm 1 "
                "(dual) at the fixed point, or a regression of the states on the true history chi."
            ),
        ] = "regression",
        sequences: Annotated[Sequences, Field(ge=8)] = 256,
        steps: Annotated[Steps, Field(ge=3)] = None,
        draws: Annotated[
            int, Field(ge=2, description="Number of permutations of the sequences in the null.")
        ] = 20,
        history: Annotated[
            int | None,
            Field(
                ge=2,
                description="Number of columns s; null takes the history of the task, one more "
                "than its longest delay, or, without a law, the ages that are needed.",
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
        states, told = seen.states[:, seen.first :], sliding_history(seen.sequence, span)
        pairs = subject.stream.fork("null").uniform((self.draws, self.sequences)).numpy()
        kept = _kept(linear_law_of(subject), *told.shape[2:])
        test = judge_wave(states, told, kept, pairs.argsort(-1))
        place = attempt(subject, self.point)
        columns = self._columns(subject, states, told, kept, place)
        whole = wavefield.coordinates(states, columns)
        field = whole.until(max(2, wavefield.living_steps(whole)))
        some = Wavefield(field.values[:IN_FREQUENCY], field.kept)
        moved, picture = speed.wave_speed(field), speed.spectrum(some)
        flag = speed.flag_of(whole, moved, test.is_wave)
        scalars: dict[str, Scalar] = {
            **self._with_error("amplitude_ratio", wavefield.amplitude_ratio(whole)),
            "flag": "driven" if flag == "wave" and _driven(subject) else flag,
            "steps_used": field.values.shape[1],
            **place.scalars,
        }
        reasons = {"amplitude_ratio": "the field begins at zero", **place.reasons}
        for part in (
            _held(test),
            self._form(field, moved, speed.coherence(some), picture, test),
            self._rule(field, columns, place, linear_law_of(subject), test),
        ):
            scalars |= part.scalars
            reasons |= part.reasons
        fitted = self.basis == "regression"
        reasons |= {f"{x}_error": _FITTED if fitted else reasons[x] for x in OF_THE_FIELD}
        arrays = {
            "field": whole.values[0],
            "states": states[0],
            "power": picture.power,
            "gains": wavefield.gain_corrected_shift(field).gains,
        }
        return Findings(scalars, arrays=arrays, reasons=reasons)

    def _columns(
        self, subject: Subject, states: Array, told: Array, kept: Mask, place: Linearisation
    ) -> Columns:
        law, local = linear_law_of(subject), place.local
        if self.basis == "regression":
            fit = fit_history(states, told)
            offset = fit.offset if local is None else local.point
            return Columns(fit.basis, fit.dual[kept.ravel()], kept, offset)
        if self.basis == "native":
            if NativeColumns not in subject.model.offers:
                raise NotApplicable(
                    f"{subject.model.name} is not built of columns; use basis: regression, or emt"
                )
            own = subject.model.facts(NativeColumns)
            everything = np.ones((own.history, own.dimension), dtype=bool)
            dual = np.linalg.pinv(own.basis)
            return Columns(own.basis, dual, everything, np.zeros(states.shape[-1]))
        span = told.shape[2]
        if law is None or law.history != span:
            raise NotApplicable("basis: emt reads the memories of a task's linear law of history")
        if local is None:
            raise NotApplicable(f"basis: emt needs the Jacobian at a fixed point: {place.reason}")
        try:
            core = spectral_core(local.jacobian, THRESHOLD)
            found = dual_memories(core, local.jacobian, local.readout, span, law.mask)
        except (ValueError, np.linalg.LinAlgError) as error:
            raise NotApplicable(f"basis: emt finds no memories: {error}") from error
        basis = np.zeros((states.shape[-1], law.mask.size))
        basis[:, law.mask] = found.basis
        return Columns(basis, found.dual, kept, local.point)

    def _form(
        self,
        field: Wavefield,
        moved: speed.Speed,
        coherence: Ratio,
        picture: speed.FrequencyWavenumberSpectrum,
        test: WaveTest,
    ) -> Measured:
        """What follows from the field's form alone."""
        if self.basis == "regression" and not test.is_wave:
            return undefined(OF_THE_FORM, _NO_WAVE)
        scalars: dict[str, Scalar] = {
            **self._with_error("shift_residual", wavefield.shift_residual(field)),
            **self._with_error(
                "shift_residual_gain", wavefield.gain_corrected_shift(field).residual
            ),
            "speed": moved.value,
            "direction": speed.direction_index(picture),
            **self._with_error("coherence", coherence),
        }
        reasons: dict[str, str] = dict.fromkeys(scalars, "the field is zero or does not move")
        reasons["speed"] = "two columns leave no direction"
        if not moved.peak >= speed.PEAK_REQUIRED:
            reasons["speed"] = (
                f"no column is another's past: peak correlation {moved.peak:.2f}, not "
                f"{speed.PEAK_REQUIRED} or more"
            )
        return Measured(scalars, reasons)

    def _with_error(self, name: str, found: Ratio) -> dict[str, Scalar]:
        error = float("nan") if self.basis == "regression" else found.error
        return {name: found.value, f"{name}_error": error}

    def _rule(
        self,
        field: Wavefield,
        columns: Columns,
        place: Linearisation,
        law: LinearHistoryLaw | None,
        test: WaveTest,
    ) -> Measured:
        """What follows from comparing with the task's rule f."""
        if law is None or columns.kept.shape != (law.history, law.dimension):
            reason = "these columns follow no autonomous rule, so it is unknown what f should write"
            return undefined(OF_THE_RULE, reason)
        if self.basis == "regression" and not test.is_wave:
            return undefined(OF_THE_RULE, _NO_WAVE)
        without = undefined(OF_THE_RULE, place.reason)
        written = wavefield.boundary_residual(field, law.operator)
        scalars = {**without.scalars, **self._with_error("boundary_residual", written)}
        if place.local is not None:
            found = wavefield.operator_residuals(place.local.jacobian, columns, law.operator)
            scalars |= {
                "operator_shift_residual": found.shift,
                "operator_boundary_residual": found.boundary,
            }
        return Measured(
            scalars, {**without.reasons, "boundary_residual": "the newest column is zero"}
        )


_NO_WAVE = (
    "the history is no wave here (see wave_share and null_share), and a regression on it would "
    "find unit speed in anything"
)
_FITTED = (
    "the columns were fitted to the same sequences, and what they add to the error is not known; "
    "`basis: emt` and `native` have one"
)


def _driven(subject: Subject) -> bool:
    """Whether an input comes at every step."""
    batch = draw(subject, 1)
    return batch.input_steps == batch.steps


def _held(test: WaveTest) -> Measured:
    """Whether the history travels, beside what a state without a wave would give."""
    reading = test.reading
    scalars: dict[str, Scalar] = {
        "history_r2": reading.history.r2,
        "history_r2_error": of_mean(reading.history.apart),
        "memoryless_r2": reading.memoryless.r2,
        "memoryless_r2_error": of_mean(reading.memoryless.apart),
        "register_r2": reading.register.r2,
        "register_r2_error": of_mean(reading.register.apart),
        "wave_share": test.share,
        "wave_share_error": test.share_error,
        "null_share": test.null_share,
    }
    return Measured(scalars, dict.fromkeys(scalars, "the inputs leave no history that could move"))


def _kept(law: LinearHistoryLaw | None, span: int, dimension: int) -> Mask:
    """The coordinates that the task's smallest circuit holds; all of them where none is known."""
    if law is not None and law.history == span:
        return law.mask.reshape(span, dimension)
    return np.ones((span, dimension), dtype=bool)


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Travelling waves."""
    return [TwmWaves]
