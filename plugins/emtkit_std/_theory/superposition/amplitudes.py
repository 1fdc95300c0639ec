"""How large an active input is: the laws of U, by name. A new law is one record here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Reals = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class Waves:
    """Expectations at angles c (N): E exp(i c U) - 1, precise for small c, and E[U exp(i c U)]."""

    less_one: Callable[[Reals], Complexes]
    with_amplitude: Callable[[Reals], Complexes]


@dataclass(frozen=True)
class AmplitudeLaw:
    """E[U], E[U²], whether U is never negative, and U at a share u of (0, 1) of its law.

    A law has `waves`, or a Fourier series in `relu_series`; its exact losses rest on them.
    """

    mean: float
    second_moment: float
    one_signed: bool
    quantile: Callable[[Tensor], Tensor]
    waves: Waves | None = None

    def inputs(self, drawn: Tensor) -> Tensor:
        """B U from B V, V ~ U(0, 1); an active V is exactly 0 once in 2³²."""
        return torch.where(drawn > 0, self.quantile(drawn), 0.0)


def _normal(shares: Tensor) -> Tensor:
    return torch.special.ndtri(shares.double()).to(shares.dtype)


# A lognormal U has E exp(i c U) - 1 = int N(z) (exp(i c e^z) - 1) dz, taken along z + i pi / 2,
# where it is int N(z + i pi / 2) (exp(-c e^z) - 1) dz without waves.
_HEIGHTS = np.arange(-9.0, 9.01, 0.25)
_WEIGHTS = 0.25 / np.sqrt(2 * np.pi) * np.exp(-0.5 * (_HEIGHTS + 0.5j * np.pi) ** 2)


def _lognormal_less_one(angle: Reals) -> Complexes:
    inner = np.expm1(-np.abs(angle)[:, None] * np.exp(_HEIGHTS)) @ _WEIGHTS
    return np.where(angle < 0, inner.conj(), inner)


def _lognormal_with_amplitude(angle: Reals) -> Complexes:
    inner = np.exp(-np.abs(angle)[:, None] * np.exp(_HEIGHTS)) @ (1j * np.exp(_HEIGHTS) * _WEIGHTS)
    return np.where(angle < 0, inner.conj(), inner)


AMPLITUDES: Mapping[str, AmplitudeLaw] = {
    "uniform": AmplitudeLaw(1 / 2, 1 / 3, True, lambda u: u),
    "constant": AmplitudeLaw(1.0, 1.0, True, torch.ones_like),
    "signed": AmplitudeLaw(0.0, 1 / 3, False, lambda u: 2.0 * u - 1.0),
    "exponential": AmplitudeLaw(
        1.0,
        2.0,
        True,
        lambda u: -torch.log1p(-u),
        Waves(lambda c: 1j * c / (1.0 - 1j * c), lambda c: (1.0 - 1j * c) ** -2),
    ),
    "normal": AmplitudeLaw(
        0.0,
        1.0,
        False,
        _normal,
        Waves(
            lambda c: np.expm1(-0.5 * c**2).astype(np.complex128),
            lambda c: 1j * c * np.exp(-0.5 * c**2),
        ),
    ),
    "lognormal": AmplitudeLaw(
        float(np.exp(0.5)),
        float(np.exp(2.0)),
        True,
        lambda u: _normal(u).exp(),
        Waves(_lognormal_less_one, _lognormal_with_amplitude),
    ),
}
"""U(0, 1), the constant 1, U(-1, 1), the exponential law of mean 1, N(0, 1), and exp N(0, 1)."""
