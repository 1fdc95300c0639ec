"""Speed, direction and coherence of a wavefield.

Speeds are in columns per step, positive towards column 1. With the transform e^{-i}, the wave
Z_i(t) = g(i + v t) has its power on f_t = v f_x (cycles per step, cycles per column), and
neighbours differ in phase by 2 pi f_t / v.

Pitfalls held here: repeat copy has period s, so content that moves by v has moved by v - s too; a
smooth field correlates with itself at every lag, and a fast one skips columns.

Shapes: field (B T s d). Source: Keller et al. 2023 (arXiv:2309.08045) for the wavenumber-frequency
picture, here in physical frequencies; generalised phase as in Davis et al. 2020.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.interpolate import PchipInterpolator

from emtkit_std._theory.facts import Array
from emtkit_std._theory.standard_error import Ratio
from emtkit_std._theory.waves.wavefield import Wavefield, living_steps, motion

Flag = Literal["wave", "static", "dying", "none", "undefined"]

PEAK_REQUIRED = 0.5
MOTION_REQUIRED = 0.1
TIE = 1e-9
ROUNDING = 1e-12
"""What a static field leaves of itself when its mean is taken off counts as nothing."""
FASTEST, GRID = 4.0, 0.01


@dataclass(frozen=True)
class Speed:
    """`value`, 0 for a static field; NaN where `peak`, the largest correlation, is below 0.5."""

    value: float
    peak: float


@dataclass(frozen=True)
class FrequencyWavenumberSpectrum:
    """Mean power (2T, 4s) over `time_frequency` (cycles/step) and `wavenumber` (cycles/column)."""

    power: Array
    time_frequency: Array
    wavenumber: Array


def lag_correlations(field: Wavefield, lag: int) -> Array:
    """Correlation over (b, t, j, i) of Z_i(t) with Z_{i-D}(t + lag), for D = 1-s .. s-1."""
    centred = np.where(field.kept, field.values - field.values.mean(axis=(0, 1)), 0.0)
    early, late = centred[:, :-lag], centred[:, lag:]
    products = np.einsum("btij,btkj->ikj", early, late, optimize=True)
    sizes = (np.square(early).sum((0, 1)), np.square(late).sum((0, 1)))
    found = np.full(2 * field.history - 1, np.nan)
    for place, distance in enumerate(range(1 - field.history, field.history)):
        source = np.arange(max(0, distance), min(field.history, field.history + distance))
        both = field.kept[source] & field.kept[source - distance]
        size = np.sqrt((sizes[0][source] * both).sum() * (sizes[1][source - distance] * both).sum())
        if size > 0:
            found[place] = (products[source, source - distance] * both).sum() / size
    return found


def wave_speed(field: Wavefield) -> Speed:
    """The v along whose line D = v tau the columns correlate most, tau = 1 .. s-1.

    score(v) = sum_tau (s - |v tau|) C(v tau, tau) / sum_tau (s - |v tau|), where C(D, tau) is the
    correlation of columns D apart (interpolated without overshoot) over its largest at that tau; a
    tau at which none reaches 0.5 is left out, and of equal v the least counts. As a field of s
    columns cannot tell v from v - s, |v| is at most (s - 1) / 2: two columns have no direction.
    """
    s, steps = field.history, field.values.shape[1]
    fastest = min(FASTEST, (s - 1) / 2)
    speeds = np.arange(-round(fastest / GRID), round(fastest / GRID) + 1) * GRID
    score, weight, highest = np.zeros(len(speeds)), np.zeros(len(speeds)), 0.0
    for lag in range(1, min(s, steps // 2 + 1)):
        found = lag_correlations(field, lag)
        seen = np.isfinite(found)
        peak = float(found[seen].max(initial=0.0))
        highest = max(highest, peak)
        if peak < PEAK_REQUIRED or seen.sum() < 2:
            continue
        along = PchipInterpolator(np.arange(1 - s, s)[seen], found[seen] / peak, extrapolate=False)
        columns = np.maximum(s - np.abs(speeds * lag), 0.0)
        score += columns * np.nan_to_num(along(speeds * lag))
        weight += columns
    if not weight.any() or s < 3:
        return Speed(float("nan"), highest)
    score = np.divide(score, weight, out=np.full(len(speeds), -1.0), where=weight > 0)
    best = speeds[score >= score.max() - TIE]
    return Speed(float(round(best[np.argmin(np.abs(best))], 2)), highest)


def spectrum(field: Wavefield) -> FrequencyWavenumberSpectrum:
    """P = mean over b, j of |FFT2(Hann_t (Z - mean))|^2, padded with zeros to (2T, 4s)."""
    windowed = _windowed(field)
    steps, columns = 2 * windowed.shape[1], 4 * field.history
    amplitude = np.fft.fft2(windowed, s=(steps, columns), axes=(1, 2))
    power = (np.abs(amplitude) ** 2).mean(axis=(0, 3))
    return FrequencyWavenumberSpectrum(power, np.fft.fftfreq(steps), np.fft.fftfreq(columns))


def direction_index(spectrum: FrequencyWavenumberSpectrum) -> float:
    """(P(fx>0, ft>0) - P(fx>0, ft<0)) / their sum, without f = 0 and Nyquist.

    A perfect wave stays below 1 because the array has edges (.66 at s = 4, .83 at s = 8).
    """
    x = (spectrum.wavenumber > 0) & (spectrum.wavenumber < 0.5)
    along = spectrum.power[np.ix_((spectrum.time_frequency > 0), x)].sum()
    inner = (spectrum.time_frequency < 0) & (spectrum.time_frequency > -0.5)
    against = spectrum.power[np.ix_(inner, x)].sum()
    return float((along - against) / (along + against)) if along + against > 0 else float("nan")


def coherence(field: Wavefield) -> Ratio:
    """Power-weighted mean of cos(dphi_i - 2 pi f) over 0 < f < 1/2: 1 for a wave of unit speed.

    dphi_i = arg(A_{i+1} A_i*), A_i = FFT_t of column i, weight |A_{i+1} A_i|; 0 without a wave.
    """
    windowed = _windowed(field)
    amplitude = np.fft.fft(windowed, axis=1)
    frequency = np.fft.fftfreq(windowed.shape[1])
    inner = (frequency > 0) & (frequency < 0.5)
    neighbours = amplitude[:, inner, 1:] * amplitude[:, inner, :-1].conj()
    turned = neighbours * np.exp(-2j * np.pi * frequency[inner])[None, :, None, None]
    return Ratio(turned.real.sum((1, 2, 3)), np.abs(neighbours).sum((1, 2, 3)))


def flag_of(field: Wavefield, speed: Speed, travels: bool) -> Flag:
    """What the field is: `dying` fades below 1e-3 of its start, `static` does not move.

    `wave`: the history travels (`WaveTest.is_wave`) and its columns have a speed; `none`: not so.
    """
    if not np.isfinite(field.values).all():
        return "undefined"
    if living_steps(field) < field.values.shape[1]:
        return "dying"
    if motion(field) < MOTION_REQUIRED or speed.value == 0.0:
        return "static"
    return "wave" if travels and np.isfinite(speed.value) else "none"


def _windowed(field: Wavefield) -> Array:
    steps = field.values.shape[1]
    centred = np.where(field.kept, field.values - field.values.mean(axis=1, keepdims=True), 0.0)
    if np.linalg.norm(centred) <= ROUNDING * np.linalg.norm(field.values):
        centred = np.zeros_like(centred)
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(steps) / steps)
    return np.asarray(centred * hann[None, :, None, None])
