"""Speed, direction and coherence of a wavefield, by lag and by frequency, and their nulls.

Speeds are in columns per step, positive towards column 1. With the transform e^{-i}, the wave
Z_i(t) = g(i + v t) has its power on f_t = v f_x (cycles per step, cycles per column), and
neighbours differ in phase by 2 pi f_t / v.

Pitfalls held here: repeat copy has period s, so lag 1 ties with lag 1 - s; a static field has no
speed; few columns quantise the frequency speed (1.05-1.15 at s = 4 for a true 1).

Shapes: field (B T s d). Source: Keller et al. 2023 (arXiv:2309.08045) for the wavenumber-frequency
picture, here in physical frequencies; generalised phase as in Davis et al. 2020.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emtkit_std._theory.waves.wavefield import Array, Wavefield, living_steps, motion

Flag = Literal["wave", "static", "dying", "undefined"]
Shuffle = Literal["columns", "time"]

PEAK_REQUIRED = 0.5
MOTION_REQUIRED = 0.1
TIE = 1e-9
ROUNDING = 1e-12
"""What a static field leaves of itself when its mean is taken off counts as nothing."""
SPEEDS = np.arange(-300, 301) / 100.0


@dataclass(frozen=True)
class LagSpeed:
    """Speed from the lag of the largest correlation; NaN when `peak` = max C_1 is below 0.5.

    `lags[D-1]` is the lag at distance D = 1, 2, .. up to the last that still correlates by 0.5.
    """

    speed: float
    peak: float
    lags: tuple[int, ...]


@dataclass(frozen=True)
class FrequencyWavenumberSpectrum:
    """Mean power (2T, 4s) over `time_frequency` (cycles/step) and `wavenumber` (cycles/column)."""

    power: Array
    time_frequency: Array
    wavenumber: Array


@dataclass(frozen=True)
class FrequencySpeed:
    """Speed of the line through the origin that holds most power, and its `contrast` (1: none)."""

    speed: float
    contrast: float


def lag_correlation(field: Wavefield, distance: int, lag: int) -> float:
    """C_D(tau): correlation over (b, t, j, i) of Z_i(t) with Z_{i-D}(t + tau)."""
    steps = field.values.shape[1]
    start, stop = max(0, -lag), min(steps, steps - lag)
    source = field.values[:, start:stop, distance:]
    target = field.values[:, start + lag : stop + lag, : field.history - distance]
    pairs = field.kept[distance:] & field.kept[: field.history - distance]
    if stop - start < 1 or not pairs.any():
        return float("nan")
    x, y = source[..., pairs].ravel(), target[..., pairs].ravel()
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size > 0 else float("nan")


def lag_speed(field: Wavefield) -> LagSpeed:
    """v = sum D^2 / sum D tau*_D, tau*_D the lag of the largest C_D (regression through zero).

    Only lags with |tau - D tau*_1| < s/2 are searched and ties go to the smallest |tau|: repeat
    copy returns after s steps, and a global search finds v = 7 on a perfect network. Two columns
    leave no direction: NaN.
    """
    first = _best_lag(field, 1, 0)
    if not first.value >= PEAK_REQUIRED or field.history < 3:
        return LagSpeed(float("nan"), first.value, ())
    squares, products, lags = 0, 0, []
    for distance in range(1, field.history):
        best = _best_lag(field, distance, distance * first.lag)
        if not best.value >= PEAK_REQUIRED:
            break
        lags.append(best.lag)
        squares += distance * distance
        products += distance * best.lag
    speed = squares / products if products != 0 else float("nan")
    return LagSpeed(speed, first.value, tuple(lags))


def spectrum(field: Wavefield) -> FrequencyWavenumberSpectrum:
    """P = mean over b, j of |FFT2(Hann_t (Z - mean))|^2, padded with zeros to (2T, 4s)."""
    windowed = _windowed(field)
    steps, columns = 2 * windowed.shape[1], 4 * field.history
    amplitude = np.fft.fft2(windowed, s=(steps, columns), axes=(1, 2))
    power = (np.abs(amplitude) ** 2).mean(axis=(0, 3))
    return FrequencyWavenumberSpectrum(power, np.fft.fftfreq(steps), np.fft.fftfreq(columns))


def frequency_speed(spectrum: FrequencyWavenumberSpectrum) -> FrequencySpeed:
    """argmax over v of the mean power on |f_t - v f_x (mod 1)| <= 1/(4s), over the mean power."""
    total = float(spectrum.power.mean())
    if not total > 0:
        return FrequencySpeed(float("nan"), float("nan"))
    width = 1.0 / len(spectrum.wavenumber) + 1e-12
    time, space = spectrum.time_frequency[:, None], spectrum.wavenumber
    off = (time - float(v) * space for v in SPEEDS)
    near = (np.abs(each - np.round(each)) <= width for each in off)
    scores = [float(spectrum.power[line].mean()) / total for line in near]
    best = int(np.argmax(scores))
    return FrequencySpeed(float(SPEEDS[best]), float(scores[best]))


def direction_index(spectrum: FrequencyWavenumberSpectrum) -> float:
    """(P(fx>0, ft>0) - P(fx>0, ft<0)) / their sum, without f = 0 and Nyquist.

    A perfect wave stays below 1 because the array has edges (.66 at s = 4, .83 at s = 8).
    """
    x = (spectrum.wavenumber > 0) & (spectrum.wavenumber < 0.5)
    along = spectrum.power[np.ix_((spectrum.time_frequency > 0), x)].sum()
    inner = (spectrum.time_frequency < 0) & (spectrum.time_frequency > -0.5)
    against = spectrum.power[np.ix_(inner, x)].sum()
    return float((along - against) / (along + against)) if along + against > 0 else float("nan")


def coherence(field: Wavefield) -> float:
    """Power-weighted mean of cos(dphi_i - 2 pi f) over 0 < f < 1/2: 1 for a wave of unit speed.

    dphi_i = arg(A_{i+1} A_i*), A_i = FFT_t of column i, weight |A_{i+1} A_i|; 0 without a wave.
    """
    windowed = _windowed(field)
    amplitude = np.fft.fft(windowed, axis=1)
    frequency = np.fft.fftfreq(windowed.shape[1])
    inner = (frequency > 0) & (frequency < 0.5)
    neighbours = amplitude[:, inner, 1:] * amplitude[:, inner, :-1].conj()
    turned = neighbours * np.exp(-2j * np.pi * frequency[inner])[None, :, None, None]
    weight = float(np.abs(neighbours).sum())
    return float(turned.real.sum()) / weight if weight > 0 else float("nan")


def flag_of(field: Wavefield, speed: LagSpeed) -> Flag:
    """What the field is: `dying` fades below 1e-3 of its start, `static` does not move.

    `wave` has a defined speed (peak correlation of neighbours at least 0.5); else `undefined`.
    """
    if not np.isfinite(field.values).all():
        return "undefined"
    if living_steps(field) < field.values.shape[1]:
        return "dying"
    if motion(field) < MOTION_REQUIRED or (speed.peak >= PEAK_REQUIRED and speed.lags[:1] == (0,)):
        return "static"
    return "wave" if np.isfinite(speed.speed) else "undefined"


def shuffle_z(
    field: Wavefield,
    statistic: Callable[[Wavefield], float],
    shuffle: Shuffle,
    orders: NDArray[np.int64],
) -> float:
    """z-score of the statistic against shuffled copies of the field; NaN where they do not vary.

    `orders` (draws, d, s) permutes the columns of each dimension, which is a wavefield of its own;
    (draws, T) permutes time. At least 50 draws.
    """
    drawn = [statistic(_shuffled(field, shuffle, order)) for order in orders]
    deviation = float(np.std(drawn, ddof=1))
    return (statistic(field) - float(np.mean(drawn))) / deviation if deviation > 0 else float("nan")


@dataclass(frozen=True)
class _Lag:
    lag: int
    value: float


def _best_lag(field: Wavefield, distance: int, near: int) -> _Lag:
    reach = (field.history - 1) // 2 if field.history > 2 else 1
    best = _Lag(0, float("nan"))
    for lag in sorted(range(near - reach, near + reach + 1), key=abs):
        value = lag_correlation(field, distance, lag)
        if np.isfinite(value) and not value <= best.value + TIE:
            best = _Lag(lag, value)
    return best


def _windowed(field: Wavefield) -> Array:
    steps = field.values.shape[1]
    centred = np.where(field.kept, field.values - field.values.mean(axis=1, keepdims=True), 0.0)
    if np.linalg.norm(centred) <= ROUNDING * np.linalg.norm(field.values):
        centred = np.zeros_like(centred)
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(steps) / steps)
    return np.asarray(centred * hann[None, :, None, None])


def _shuffled(field: Wavefield, shuffle: Shuffle, order: NDArray[np.int64]) -> Wavefield:
    if shuffle == "time":
        return Wavefield(field.values[:, order], field.kept)
    index = order.T
    return Wavefield(
        np.take_along_axis(field.values, index[None, None], axis=2),
        np.take_along_axis(field.kept, index, axis=0),
    )
