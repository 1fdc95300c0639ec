"""The exact expected squared error of a delay task for a ReLU readout on a linear recurrence.

At one step an output is y = relu(Y), Y = b + sum_s a_s x_s over every input and age that has
entered, x_s = B U; its target is tau = sign x_k, or 0 while x_k is yet to come. Wanted are the
first two of

    L = E relu(Y)² - 2 E[tau relu(Y)] + E tau².

Both are linear in moments of Y and in Fourier series on |Y| <= M (see `relu_series`). Scales: the
events "a_i is the largest of the active projections" are summed, each with the M of its own. Where
|a_i| exceeds S = |b| + sum of the smaller |a|, only U < S / |a_i| leaves the sign of Y open (there
a_i U is again uniform, up to S); beyond, relu(Y) is Y or 0 and moments suffice. So projections of
any magnitudes may meet, and in every series some a_i U spreads over a fair part of the circle. The
bounds on what the series leave out, and rounding, add up to the error that is returned. Constant
amplitudes do not spread: up to 36 inputs their patterns are enumerated (see `relu_patterns`), more
are put on a lattice (see `relu_lattice`). Amplitudes without bound have integrals
over frequencies in the place of series (see `relu_integral`).

Losses are absolute, sums over outputs weighted by importance, means over the scored steps.

Source: derived here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emtkit import EmtkitError
from emtkit_std._theory.facts import Array, DelayLaw, Mask
from emtkit_std._theory.superposition.amplitudes import AMPLITUDES
from emtkit_std._theory.superposition.linear_loss import scored_steps
from emtkit_std._theory.superposition.relu_integral import SparseSum
from emtkit_std._theory.superposition.relu_lattice import lattice_loss
from emtkit_std._theory.superposition.relu_patterns import pattern_loss
from emtkit_std._theory.superposition.relu_series import LAWS, Series

# Aimed at for what the series leave out, relative to the energy of an output's target.
TOLERANCE = 1e-7
MOST_PATTERN_BITS = 36
_ROUNDING = 32 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class ReluLosses:
    """Expected loss of each network (M) and a bound (M) on its distance from the exact value."""

    loss: Array
    error: Array


def relu_losses(
    projections: Array,
    law: DelayLaw,
    scored: Mask,
    bias: Array | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> ReluLosses:
    """Mean exact loss over the scored steps (T) of sequences that start from rest.

    Projections (M, O, I, L) of M networks; series leave out `tolerance` of the target's energy at
    most, as far as their terms reach; `bias` (M, T, O) is what an output holds at a step
    without any input. EmtkitError where the law of the amplitudes is not given by name.
    """
    if refusal := relu_refusal(law):
        raise EmtkitError(refusal)
    networks, outputs = len(projections), len(law.delay)
    steps = scored_steps(projections[0], law, scored)
    held = np.zeros((networks, len(scored), outputs)) if bias is None else bias
    rows = _rows(projections, law, steps, held[:, steps])
    if not LAWS.issuperset(rows.names):
        loss, error = _by_integrals(rows)
    elif law.amplitude == "constant":
        loss, error = _by_patterns(rows)
    else:
        loss, error = _by_largest(rows, tolerance)
    weight = np.asarray(law.importance) / len(steps)
    shape = (networks, len(steps), outputs)
    return ReluLosses((loss.reshape(shape) @ weight).sum(1), (error.reshape(shape) @ weight).sum(1))


def relu_refusal(law: DelayLaw) -> str:
    """Why there is no exact loss of a rectified readout; empty where there is one."""
    if law.dependence:
        return law.dependence
    names = set(law.amplitudes)
    if unknown := names - set(AMPLITUDES):
        return (
            "the loss of a rectified readout needs the law of the amplitudes by name; the task's "
            f"is {min(unknown)!r}, allowed: {', '.join(sorted(AMPLITUDES))}"
        )
    with_waves = {name for name in names if AMPLITUDES[name].waves is not None}
    if bare := names - with_waves - LAWS:
        return f"the amplitudes '{min(bare)}' have neither waves nor a series"
    if with_waves and with_waves != names:
        return (
            f"the amplitudes {', '.join(sorted(with_waves))} have no bound and the amplitudes "
            f"{', '.join(sorted(names - with_waves))} have one; together they have no closed form"
        )
    return ""


@dataclass(frozen=True)
class _Rows:
    """One row per network, step and output: its entries (R, E), largest projection first.

    `target` is the coefficient of the entry's amplitude in the target: 0 but for the asked item.
    `energy` p nu (R) is that of the row's target. `law` is the place of the entry's law of
    amplitudes among `names`, whose moments are `mean` and `second_moment` (names).
    """

    gain: Array
    density: Array
    target: Array
    bias: Array
    energy: Array
    law: NDArray[np.intp]
    names: tuple[str, ...]
    mean: Array
    second_moment: Array

    def of(self, *names: str) -> NDArray[np.bool_]:
        """Which entries have one of these laws (R, E)."""
        return np.isin(self.names, names)[self.law]


def _rows(projections: Array, law: DelayLaw, steps: list[int], bias: Array) -> _Rows:
    """Amplitudes are taken to their base law; what has not entered has density 0."""
    names = tuple(sorted(set(law.amplitudes)))
    scale, density = np.empty(law.inputs), np.empty(law.inputs)
    kind = np.empty(law.inputs, dtype=np.intp)
    for output, source in enumerate(law.source):
        known = AMPLITUDES[law.amplitudes[output]]
        if known.mean:
            scale[source] = law.mean[output] / known.mean
        else:
            scale[source] = np.sqrt(law.second_moment[output] / known.second_moment)
        density[source], kind[source] = law.density[output], names.index(law.amplitudes[output])
    networks, outputs, inputs, lags = projections.shape
    shape = (networks, len(steps), outputs, inputs, lags)
    entered = np.arange(lags) <= np.asarray(steps)[:, None]
    present = np.broadcast_to(entered[None, :, None, None, :], shape)
    gain = np.where(present, projections[:, None] * scale[:, None], 0.0)
    chance = np.where(present, density[:, None], 0.0)
    target = np.zeros(shape)
    for output, (source, delay) in enumerate(zip(law.source, law.delay, strict=True)):
        target[:, :, output, source, delay] = law.sign[output] * scale[source]
    target = np.where(present, target, 0.0).reshape(-1, inputs * lags)
    gain, chance = gain.reshape(target.shape), chance.reshape(target.shape)
    kinds = np.broadcast_to(kind[:, None], (len(target), inputs, lags)).reshape(target.shape)
    used = (chance > 0) & ((gain != 0) | (target != 0))
    order = np.argsort(np.where(used, -np.abs(gain), np.inf), axis=1, kind="stable")
    width = max(int(used.sum(1).max()), 1)
    gain, chance, target = (
        np.take_along_axis(np.where(used, part, 0.0), order, 1)[:, :width]
        for part in (gain, chance, target)
    )
    kinds = np.take_along_axis(kinds, order, 1)[:, :width]
    energy = np.asarray(law.density) * np.asarray(law.second_moment)
    energies = np.tile(energy, networks * len(steps))
    moments = np.array([[AMPLITUDES[n].mean, AMPLITUDES[n].second_moment] for n in names])
    return _Rows(gain, chance, target, bias.reshape(-1), energies, kinds, names, *moments.T)


def _total(values: Array) -> Array:
    """Sum of each row, entry after entry: how many zeros follow in its row changes no bit of it."""
    return np.asarray(np.cumsum(values, axis=1)[:, -1])


def _after(values: Array) -> Array:
    """Sums over the later entries of each row."""
    sums = np.zeros_like(values)
    sums[:, :-1] = np.cumsum(values[:, :0:-1], axis=1)[:, ::-1]
    return sums


@dataclass(frozen=True)
class _Parts:
    """Moments of Y and tau given that entry i is the largest active one, a_i U = c U."""

    square: Array
    output: Array
    product: Array
    target: Array


class _Later:
    """What the entries after each one (R, E) and the bias add up to."""

    def __init__(self, rows: _Rows) -> None:
        chance_mean = rows.density * rows.mean[rows.law]
        energy = rows.density * rows.second_moment[rows.law]
        own = chance_mean * rows.gain
        self.size = _after(np.abs(rows.gain))
        self.mean = rows.bias[:, None] + _after(own)
        self.variance = _after((energy - chance_mean**2) * rows.gain**2)
        self.target = _after(rows.target * chance_mean)
        self.product = self.target * self.mean + _after(
            rows.target * (energy - chance_mean**2) * rows.gain
        )

    def parts(self, gain: Array, target: Array, first: Array, second: Array) -> _Parts:
        """With c U and target part `target` U added, E[U] = first, E[U²] = second."""
        own = gain * first
        return _Parts(
            gain**2 * second + 2.0 * own * self.mean + self.variance + self.mean**2,
            own + self.mean,
            target * (gain * second + first * self.mean) + own * self.target + self.product,
            target * first + self.target,
        )


def _by_largest(rows: _Rows, tolerance: float) -> tuple[Array, Array]:
    """Loss and error of each row, summed over which entry is the largest active one."""
    later, size, level = _Later(rows), np.abs(rows.gain), np.abs(rows.bias)[:, None]
    reach = level + later.size
    silent = np.cumprod(1.0 - rows.density, axis=1)
    weight = rows.density * np.concatenate([np.ones_like(silent[:, :1]), silent[:, :-1]], axis=1)
    open_share = np.minimum(1.0, reach / np.where(size > 0, size, 1.0))
    open_share = np.where(size > 0, open_share, 1.0)
    first, second = rows.mean[rows.law], rows.second_moment[rows.law]
    fixed, positive = rows.of("constant"), rows.gain > 0
    # a_i U of a constant U is a_i: open or not
    open_share = np.where(fixed & (open_share < 1.0), 0.0, open_share)
    high, spread = (1.0 + open_share) / 2.0, (1.0 + open_share + open_share**2) / 3.0
    beyond = later.parts(
        np.where(fixed, rows.gain, size),
        np.where(fixed, 1.0, np.sign(rows.gain)) * rows.target,
        np.where(fixed, first, high),
        np.where(fixed, second, spread),
    )
    beyond_weight = (1.0 - open_share) * np.where(rows.of("signed"), 0.5, positive)
    clamped = open_share * rows.gain
    inside = later.parts(clamped, open_share * rows.target, first, second)
    whole = np.abs(clamped) + reach
    undecided = level < np.abs(clamped) + later.size
    closed = np.where(undecided, 0.0, open_share * (rows.bias > 0)[:, None])
    loss = weight * (
        beyond_weight * (beyond.square - 2.0 * beyond.product)
        + closed * (inside.square - 2.0 * inside.product)
    )
    energy = _total(second * (rows.density * rows.target**2))
    silence = silent[:, -1] * np.square(np.maximum(rows.bias, 0.0))
    error = weight * (
        beyond_weight * (beyond.square + 2.0 * np.abs(beyond.product))
        + closed * (inside.square + 2.0 * np.abs(inside.product))
    )
    error = _ROUNDING * (_total(error) + energy + silence)
    share = weight * open_share
    at = np.nonzero(undecided & (share > 0))
    if len(at[0]):
        series = _series(rows, at, clamped, open_share, whole)
        entries = (rows.density > 0).sum(1)
        aim = tolerance * rows.energy[at[0]] / entries[at[0]] / share[at]
        waves = series.sums(aim)
        squares = inside.square[at] + whole[at] * inside.output[at] - waves.squares
        products = inside.product[at] + whole[at] * inside.target[at] / 2.0 - waves.products
        loss[at] += share[at] * (squares / 2.0 - products)
        rounding = whole[at] * (whole[at] + np.abs(rows.target[at[0]]).max(1))
        rest = share[at] * (waves.rest + _ROUNDING * rounding)
        error += np.bincount(at[0], rest, len(error))
    return _total(loss) + energy + silence, error


def _series(
    rows: _Rows,
    at: tuple[NDArray[np.intp], ...],
    clamped: Array,
    open_share: Array,
    whole: Array,
) -> Series:
    """The problems of rows and entries `at`: that entry active, later ones as they are."""
    row, entry = at
    place = np.arange(rows.gain.shape[1])
    first, later = place == entry[:, None], place > entry[:, None]
    gain, target, density = (
        np.where(first, own[at][:, None], np.where(later, every[row], 0.0))
        for own, every in (
            (clamped, rows.gain),
            (open_share * rows.target, rows.target),
            (np.ones_like(clamped), rows.density),
        )
    )
    return Series(gain, target, density, rows.bias[row], whole[at], rows.law[row], rows.names)


def _by_patterns(rows: _Rows) -> tuple[Array, Array]:
    """Loss and error of each row, for constant amplitudes."""
    loss = _total(rows.density * rows.target**2)
    most = np.abs(rows.bias) + _total(np.abs(rows.gain)) + _total(np.abs(rows.target))
    error = _ROUNDING * most**2
    for row, used in enumerate(rows.density > 0):
        entries = (part[row, used] for part in (rows.gain, rows.target, rows.density))
        if used.sum() <= MOST_PATTERN_BITS:
            loss[row] += pattern_loss(*entries, rows.bias[row])
        else:
            found = lattice_loss(*entries, rows.bias[row])
            loss[row] += found.loss
            error[row] += found.error
    return loss, error


def _by_integrals(rows: _Rows) -> tuple[Array, Array]:
    """Loss and error of each row, for amplitudes without bound."""
    mean, second = rows.mean[rows.law], rows.second_moment[rows.law]
    loss = _total(second * (rows.density * rows.target**2))
    error = _ROUNDING * (np.square(rows.bias) + _total(second * np.square(rows.gain)))
    waves = [AMPLITUDES[name].waves for name in rows.names]
    for row, used in enumerate(rows.density > 0):
        entries = (part[row, used] for part in (rows.gain, rows.target, rows.density))
        own = tuple(waves[law] for law in rows.law[row, used])
        moments = mean[row, used], second[row, used]
        found = SparseSum(*entries, float(rows.bias[row]), own, *moments).loss()
        loss[row] += found.loss
        error[row] += found.error
    return loss, error
