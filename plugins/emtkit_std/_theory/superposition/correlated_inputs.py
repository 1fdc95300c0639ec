"""Sparse inputs that depend on one another, each with the law that it has alone.

Behind them is a Gaussian copula: normal numbers z of variance 1, an autoregression in time that is
equally correlated between all features,

    z_t = r z_{t-1} + sqrt(1 - r²) e_t,  z_1 = e_1,  e_ti = sqrt(c) g_t + sqrt(1 - c) n_ti,
    corr(z_ti, z_sj) = r^|t - s| (1 if i = j, else c),

so that Phi(z) is uniform on (0, 1). A feature is active where its uniform number is below p, and
what is below p, divided by p, is uniform again: its amplitude is that quantile of its law.

Source: Nelsen (2006), An Introduction to Copulas, for the copula; the inputs are emtkit's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from emtkit import Stream

Correlated = Literal["both", "presence", "amplitude"]


@dataclass(frozen=True)
class Correlation:
    """c between features, r from one step to the next, and what depends on z.

    `both`: presence and amplitude follow from the same z. `presence`, or `amplitude`: only that;
    the other is independent.
    """

    features: float
    time: float
    of: Correlated

    def draw(
        self, stream: Stream, sequences: int, steps: int, densities: Sequence[float]
    ) -> Tensor:
        """Numbers B V (N T I), B ~ Bernoulli(p_i) and V ~ U(0, 1) each, of the stream's dtype."""
        shape = (sequences, steps, len(densities))
        shares = self._shares(stream, shape)
        if self.of == "both":
            drawn = sparse(shares, densities)
        else:
            free = stream.uniform(shape).double()
            deciding, sizes = (shares, free) if self.of == "presence" else (free, shares)
            drawn = torch.where(deciding < deciding.new_tensor(densities), sizes, 0.0)
        return drawn.to(stream.dtype).clamp(max=_largest(stream.dtype))

    def _shares(self, stream: Stream, shape: tuple[int, int, int]) -> Tensor:
        """Phi(z) (N T I), float64."""
        common = stream.normal((*shape[:2], 1)).double()
        fresh = math.sqrt(1.0 - self.features) * stream.normal(shape).double()
        fresh = fresh + math.sqrt(self.features) * common
        state, states = fresh[:, 0], [fresh[:, 0]]
        for step in fresh.unbind(1)[1:]:
            state = self.time * state + math.sqrt(1.0 - self.time**2) * step
            states.append(state)
        return torch.special.ndtr(torch.stack(states, 1))


def sparse(shares: Tensor, densities: Sequence[float]) -> Tensor:
    """B V of uniform numbers (... I): u / p_i where that is below 1, else 0."""
    scaled = shares / shares.new_tensor(densities)
    return torch.where(scaled < 1, scaled, 0.0).clamp(max=_largest(shares.dtype))


def _largest(dtype: torch.dtype) -> float:
    """The largest number below 1, at which every law has a finite quantile."""
    return 1.0 - torch.finfo(dtype).eps / 2
