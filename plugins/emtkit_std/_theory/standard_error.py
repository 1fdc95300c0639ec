"""Standard errors over the N sequences that a finding is measured on.

They tell how far the same network's number would move with other sequences, and nothing of other
networks. NaN for a single sequence.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emtkit_std._theory.facts import Array


def of_mean(values: Array) -> float:
    """That of the mean of independent numbers (N): std / sqrt(N)."""
    if len(values) < 2:
        return float("nan")
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def apart(missed: Array, total: Array) -> Array:
    """How far each sequence alone moves R^2 = 1 - sum missed / sum total, both (N ...); of mean 0.

    To first order ((1 - R^2) total_n - missed_n) / mean total; NaN where the total is 0.
    """
    scale = np.where(total.any(0), total.mean(0), np.nan)
    return np.asarray((missed.mean(0) / scale * total - missed) / scale)


def of_function(values: Array, function: Callable[[Array], Array]) -> Array:
    """Those of function(mean of values over N), values (N ...): the jackknife.

        theta_n = function((N mean - values_n) / (N - 1))
        error^2 = (N - 1) / N sum_n (theta_n - mean theta)^2

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), Eq. 11.5.
    """
    count, total = len(values), values.sum(0)
    if count < 2:
        return np.full_like(np.asarray(function(total), dtype=np.float64), np.nan)
    each = np.array([function((total - value) / (count - 1)) for value in values])
    return np.asarray(np.sqrt((count - 1) * each.var(0)))


@dataclass(frozen=True, eq=False)
class Ratio:
    """(sum of parts / sum of wholes) ^ power, both by sequence (N)."""

    parts: Array
    wholes: Array
    power: float = 1.0

    @property
    def value(self) -> float:
        """NaN for a whole of 0."""
        return float(self._of(np.array([self.parts.sum(), self.wholes.sum()])))

    @property
    def error(self) -> float:
        """Its standard error over the sequences."""
        return float(of_function(np.stack([self.parts, self.wholes], axis=1), self._of))

    def _of(self, sums: Array) -> Array:
        part, whole = sums
        return np.asarray((part / whole) ** self.power if whole > 0 else np.nan)
