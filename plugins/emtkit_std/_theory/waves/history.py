"""Is the state a sliding history: readings on unseen sequences, against models without a wave.

chi(t) = (x(t-s+1), .., x(t)) is the sliding history of the true sequence. A wave is a state from
which one affine map reads chi at all times. So would, in part,

    memoryless: the state carries x(t) alone;
    register: item tau keeps the place tau mod s, for one affine map reads the places,

the first exact where nothing recurs, the second for slots that are addressed by the time. The
excess of a state is R²(chi) - max(0, R²(memoryless), R²(register)): 1 - 1/s for independent items
that travel, 0 or less for what does not.

Readings are in whitened coordinates (h -> A h changes nothing) and judged on sequences and at times
that they were not fitted to: untrained networks of many units give every time a subspace of its
own, and a map fitted to all of them reads whatever it likes. The null pairs every state with the
history of another sequence.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emtkit_std._theory.emt.memories import windows
from emtkit_std._theory.facts import Array, Mask
from emtkit_std._theory.standard_error import of_mean
from emtkit_std._theory.whitened import Explained, explained, whiten

SHARE_REQUIRED = 0.75
"""Random networks at the edge of stability hold part of a wave: of 8 bits for 12 steps, 1 in 6 of
64 units reaches one half of an exact wave, 1 in 75 three quarters (150 each); of 16 bits, none."""
PINV_FLOOR = 1e-8


@dataclass(frozen=True)
class Reading:
    """On unseen sequences: the sliding history, and what both models without a wave explain."""

    history: Explained
    memoryless: Explained
    register: Explained

    @property
    def excess(self) -> float:
        """What the sliding history explains beyond the better of the two."""
        return self.history.r2 - max(0.0, self.memoryless.r2, self.register.r2)

    @property
    def excess_apart(self) -> Array:
        """How far each sequence, alone, moves it (N)."""
        rival = max(self.memoryless, self.register, key=lambda found: found.r2)
        return self.history.apart - (rival.apart if rival.r2 > 0 else 0.0)


@dataclass(frozen=True)
class WaveTest:
    """A state's reading, that of an exact wave, and the excesses of permuted sequences (draws)."""

    reading: Reading
    exact: Reading
    null: Array

    @property
    def share(self) -> float:
        """(excess - null) / (exact - null): 1 exact wave, 0 null.

        The null is its mean, and no less than 0: readings of many units fail on unseen sequences by
        more than the mean does, and what misses by less than they do has not become a wave.
        """
        return self._in_units(self.reading.excess)

    @property
    def share_error(self) -> float:
        """Standard error over the sequences, with the null and the exact wave as they are."""
        return of_mean(self.reading.excess_apart) / self._whole

    @property
    def null_share(self) -> float:
        """The largest of the null, in units of the share."""
        return self._in_units(float(self.null.max()))

    @property
    def is_wave(self) -> bool:
        """Whether the excess is beyond every draw of the null and 3/4 of an exact wave's."""
        return self.share >= SHARE_REQUIRED and self.reading.excess > float(self.null.max())

    def _in_units(self, excess: float) -> float:
        return (excess - self._middle) / self._whole

    @property
    def _middle(self) -> float:
        return max(0.0, float(self.null.mean()))

    @property
    def _whole(self) -> float:
        whole = self.exact.excess - self._middle
        return whole if whole > 0 else float("nan")


@dataclass(frozen=True)
class HistoryFit:
    """h(t) = offset + Psi chi(t) by least squares in whitened coordinates, for all t.

    `basis` Psi (H, s d) and `dual` (s d, H), which reads the columns; `offset` (H).
    """

    basis: Array
    dual: Array
    offset: Array


def sliding_history(values: Array, history: int) -> Array:
    """Windows (B, T-s+1, s, d) of a sequence (B T d): row t holds the s values up to t + s - 1."""
    flat = windows(values, history)
    return flat.reshape(*flat.shape[:2], history, values.shape[-1])


def by_place(history: Array) -> Array:
    """The same items (B T s d), the one of time tau at place tau mod s instead of by its age."""
    steps, size = history.shape[1:3]
    column = (np.arange(size) - np.arange(steps)[:, None]) % size
    return history[:, np.arange(steps)[:, None], column]


def judge_wave(states: Array, history: Array, kept: Mask, orders: NDArray[np.int64]) -> WaveTest:
    """Whether states (B T H) are a sliding history (B T s d); `orders` (draws, B) pair anew.

    `kept` (s, d) are the coordinates of chi that are asked for.

    Raises:
        NotApplicable: too few sequences for so many units.
    """
    reader, exact = _Reader(states, history, kept), _Reader(history, history, kept)
    null = [reader.read(history[order]).excess for order in orders]
    return WaveTest(reader.read(history), exact.read(history), np.array(null))


def fit_history(states: Array, history: Array) -> HistoryFit:
    """Least squares of whitened states (B T H) on the history (B T s d): one map for all b and t.

    Raises:
        NotApplicable: too few sequences for so many units.
    """
    rows, chi = _rows(states), _rows(history)
    white = whiten(rows, rows[:0], _different(history))
    mean = chi.mean(0)
    solved = np.linalg.lstsq(chi - mean, white.fitted, rcond=None)[0].T
    basis = white.back @ solved
    dual = np.linalg.pinv(solved, rcond=PINV_FLOOR) @ white.into
    return HistoryFit(basis, dual, white.mean - basis @ mean)


class _Reader:
    """Whitened states of two halves of the sequences at alternate spells of s steps."""

    def __init__(self, states: Array, history: Array, kept: Mask) -> None:
        sequences, steps, size = history.shape[:3]
        spell = np.arange(steps) // min(size, max(steps // 2, 1)) % 2 == 0
        first = np.arange(sequences) < sequences // 2
        self.fitted, self.judged = np.ix_(first, spell), np.ix_(~first, ~spell)
        self.kept = kept.ravel()
        fitted = history[self.fitted]
        self.white = whiten(
            _rows(states[self.fitted]), _rows(states[self.judged]), _different(fitted)
        )

    def read(self, history: Array) -> Reading:
        """All three R² with the states of sequence b paired with history[b]."""
        weights, placed = self._fit(history), by_place(history)
        newest = np.linalg.qr(weights[:, -history.shape[-1] :])[0]  # what it knows of x(t)
        everything = np.ones_like(self.kept)
        return Reading(
            self._judge(history, weights, self.kept),
            self._judge(history, newest @ (newest.T @ weights), self.kept),
            self._judge(placed, self._fit(placed), everything),
        )

    def _fit(self, values: Array) -> Array:
        rows = _rows(values[self.fitted])
        return np.asarray(self.white.fitted.T @ (rows - rows.mean(0)))

    def _judge(self, values: Array, weights: Array, kept: Mask) -> Explained:
        guess = _rows(values[self.fitted]).mean(0) + self.white.judged @ weights
        true = values[self.judged]
        return explained(_rows(true)[:, kept], guess[:, kept], len(true))


def _rows(values: Array) -> Array:
    """A row per sequence and step (B T, ...) of values (B T ...)."""
    return values.reshape(values.shape[0] * values.shape[1], -1)


def _different(history: Array) -> int:
    """Rows that differ although rules repeat: after s steps a history may come again."""
    sequences, steps, size = history.shape[:3]
    return int(sequences * min(steps, size))
