"""Wavefields: how far the state is a history that travels one column per step.

The substrate of working memory holds s columns of d values, oldest first. In a perfect wave

    Z_{i-1}(t+1) = Z_i(t)  (i = 2..s),     Z_s(t+1) = f(Z(t)),

that is, content moves from column s to column 1 and the rule f writes column s anew. Residuals
are root mean squares relative to the field's own, so 0 is a perfect wave and sqrt(2) is what
independent columns give.

Shapes: states (B T H), basis (H, s d), field (B T s d), operator f (d, s d).

References: Karuvally, Sejnowski and Siegelmann, "Hidden traveling waves bind working memory
variables in recurrent neural networks", ICML 2024, Eqs. 3, 6, 21-24. Their Eq. 3 prints the
shift the other way round; Eq. 24 and Fig. 2 fix it as above.
"""

from dataclasses import dataclass

import numpy as np

from emtkit_std._theory.facts import Array, Mask
from emtkit_std._theory.standard_error import Ratio

FADED = 1e-3
"""Steps whose amplitude is below this share of the first step's are left out: a dying network
otherwise looks like a good wave."""


@dataclass(frozen=True)
class Wavefield:
    """Coordinates `values` (B T s d), zero where `kept` (s d) is False; column 1 is the oldest.

    `kept` leaves out the coordinates that the smallest exact circuit does not hold.
    """

    values: Array
    kept: Mask

    @property
    def history(self) -> int:
        """Number of columns s."""
        return int(self.values.shape[2])

    def until(self, steps: int) -> "Wavefield":
        """The first `steps` steps."""
        return Wavefield(self.values[:, :steps], self.kept)


@dataclass(frozen=True)
class NativeColumns:
    """A fact of models that hold columns by construction: `basis` (H, s d), oldest first.

    `history` s and `dimension` d are the model's own; they need not be the task's.
    """

    history: int
    dimension: int
    basis: Array


@dataclass(frozen=True)
class Columns:
    """How states become columns: Z = dual (h - offset), h = offset + Psi Z where nothing is lost.

    `basis` Psi (H, s d), `dual` (kept, H), `kept` (s, d), `offset` (H): the fixed point or mean of
    a network with bias.
    """

    basis: Array
    dual: Array
    kept: Mask
    offset: Array


@dataclass(frozen=True)
class ShiftFit:
    """Shift residual after one gain per column; `gains` (s-1) for columns 2..s (NaN: not kept)."""

    residual: Ratio
    gains: Array


@dataclass(frozen=True)
class OperatorResiduals:
    """How far Psi^+ J Psi is from a shift (`shift`) and from the rule (`boundary`)."""

    shift: float
    boundary: float


def field_of(values: Array, kept: Mask | None = None) -> Wavefield:
    """A field given in its own coordinates (B T s d)."""
    whole = np.ones(values.shape[2:], dtype=bool) if kept is None else kept
    return Wavefield(np.where(whole, values, 0.0), whole)


def coordinates(states: Array, columns: Columns) -> Wavefield:
    """Z = dual (h - offset), for the coordinates that are kept; not the ambient projection."""
    values = np.zeros((*states.shape[:2], columns.kept.size))
    values[..., columns.kept.ravel()] = (states - columns.offset) @ columns.dual.T
    return Wavefield(values.reshape(*states.shape[:2], *columns.kept.shape), columns.kept)


def shift_residual(field: Wavefield) -> Ratio:
    """rms(Z_{i-1}(t+1) - Z_i(t)) / rms(Z_i(t)) over i = 2..s; sqrt(2) for independent columns."""
    pairs = field.kept[:-1] & field.kept[1:]
    later, earlier = field.values[:, 1:, :-1][..., pairs], field.values[:, :-1, 1:][..., pairs]
    return _ratio(later - earlier, earlier)


def gain_corrected_shift(field: Wavefield) -> ShiftFit:
    """Shift residual of a wave that gains or loses g_i per step on leaving column i.

    rms(Z_{i-1}(t+1) - g_i Z_i(t)) / rms(Z_{i-1}(t+1)), g_i by least squares; 1 without a wave.
    """
    later, earlier = field.values[:, 1:, :-1], field.values[:, :-1, 1:]
    pairs = field.kept[:-1] & field.kept[1:]
    power = (earlier**2 * pairs).sum(axis=(0, 1, 3))
    product = (later * earlier * pairs).sum(axis=(0, 1, 3))
    gains = np.divide(product, power, out=np.full(len(power), np.nan), where=power > 0)
    missed = (later - np.nan_to_num(gains)[:, None] * earlier)[..., pairs]
    return ShiftFit(_ratio(missed, later[..., pairs]), gains)


def boundary_residual(field: Wavefield, operator: Array) -> Ratio:
    """rms(Z_s(t+1) - f(Z(t))) / rms(Z_s(t+1)) on autonomous steps; f (d, s d)."""
    kept = field.kept[-1]
    flat = field.values[:, :-1].reshape(*field.values[:, :-1].shape[:2], -1)
    written = field.values[:, 1:, -1]
    return _ratio((written - flat @ operator.T)[..., kept], written[..., kept])


def operator_residuals(jacobian: Array, columns: Columns, operator: Array) -> OperatorResiduals:
    """Residuals of Phi^ = dual J Psi, with J (H, H) the Jacobian at the fixed point.

    shift = ||Phi^[:(s-1) d] - [0 I]||_F / sqrt((s-1) d), boundary = ||Phi^[last d] - F||_F /
    ||F||_F; rows and columns of coordinates that are not kept are left out of both.
    """
    chosen = columns.kept.ravel()
    size, dimension = chosen.size, columns.kept.shape[1]
    measured = columns.dual @ jacobian @ columns.basis[:, chosen]
    theory = np.eye(size, k=dimension)
    theory[size - dimension :] = operator
    theory = theory[np.ix_(chosen, chosen)]
    newest = (np.arange(size) >= size - dimension)[chosen]
    off = measured - theory
    return OperatorResiduals(
        float(np.linalg.norm(off[~newest]) / np.sqrt(max(1, int((~newest).sum())))),
        float(np.linalg.norm(off[newest]) / np.linalg.norm(theory[newest])),
    )


def amplitudes(field: Wavefield) -> Array:
    """rms of the field at each step (T)."""
    return np.asarray(np.sqrt((field.values[..., field.kept] ** 2).mean(axis=(0, 2))))


def amplitude_ratio(field: Wavefield) -> Ratio:
    """rms of the last step over that of the first; NaN where the first is zero."""
    living = field.values[..., field.kept]
    return _ratio(living[:, -1], living[:, 0])


def living_steps(field: Wavefield) -> int:
    """How many steps from the first on have an amplitude of at least `FADED` of the first's."""
    sizes = amplitudes(field)
    faded = np.flatnonzero(~(sizes >= FADED * sizes[0]))
    return int(faded[0]) if len(faded) else len(sizes)


def motion(field: Wavefield) -> float:
    """Share of the field that changes in time: rms(Z - time mean) / rms(Z); 0 when static."""
    moving = field.values - field.values.mean(axis=1, keepdims=True)
    return _ratio(moving[..., field.kept], field.values[..., field.kept]).value


def _ratio(numerator: Array, denominator: Array) -> Ratio:
    return Ratio(_by_sequence(numerator), _by_sequence(denominator), 0.5)


def _by_sequence(values: Array) -> Array:
    return np.square(values).reshape(len(values), -1).sum(1)
