"""Muon: momentum whose matrices are made orthogonal."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from emtkit.methods.optimisers.adamw import AdamW
from emtkit.methods.optimisers.base import Betas, Slot, Update
from emtkit.methods.settings import Count, Decay, Positive

if TYPE_CHECKING:
    from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
SMALLEST_NORM = 1e-7


class Muon(AdamW):
    """Muon for hidden matrices W (n m), AdamW for all other parameters; decoupled weight decay.

        B <- momentum B + G,   U = G + momentum B  (`nesterov`; else U = B)
        X_0 = U / |U|_F,   X <- a X + (b A + c A^2) X,  A = X X',  `iterations` times
        change = rate sqrt(max(1, n / m)) X

    with (a, b, c) = (3.4445, -4.7750, 2.0315), which take singular values to about 0.7 ... 1.2;
    for n > m the iteration runs on U'. With `scale` "rms" the factor is 0.2 sqrt(max(n, m)): a
    change as large as that of AdamW, so that one rate serves both. Hidden are parameters of two
    dimensions, the maps from the input and to the output (`others`, by the last part of their
    names) aside. Buffer `first` is B of hidden matrices and m of the others, `second` v of these.

    Source: Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks; "rms": Liu
    et al. 2025, Muon is scalable for LLM training, equation 4.
    """

    kind: Literal["muon"] = "muon"  # type: ignore[assignment]  # another name than AdamW's
    """Name of the optimizer."""
    momentum: Decay = 0.95
    """Share of the running gradient that a step keeps."""
    nesterov: bool = True
    """Whether the gradient is added to the running one once more."""
    iterations: Count = 5
    """Number of Newton-Schulz iterations."""
    scale: Literal["shape", "rms"] = "shape"
    """Size of a change: by the matrix's shape, or (`rms`) as large as AdamW's."""
    others: tuple[str, ...] = ("W_uh", "W_r")
    """Last parts of the names of the matrices that AdamW updates."""
    betas: Betas = (0.9, 0.999)
    """Shares of the means of AdamW that a step keeps."""
    eps: Positive = 1e-8
    """What AdamW adds to the root of the second moment."""

    def factors(self, rate: float, iteration: int) -> tuple[float, ...]:
        """The rate, and those of `Adam`."""
        return (rate, *super().factors(rate, iteration))

    def change(self, update: Update) -> Tensor:
        """See `Muon`."""
        gradients, buffers = update.gradients, update.buffers
        rate, *of_adam = update.factors
        running = buffers["first"].clone()
        change = super().change(replace(update, factors=of_adam))
        for slot in update.slots:
            if not self._is_hidden(slot):
                continue
            place = slice(slot.start, slot.stop)
            momentum = running[:, place].mul_(self.momentum).add_(gradients[:, place])
            buffers["first"][:, place] = momentum
            buffers["second"][:, place] = 0.0
            if self.nesterov:
                momentum = gradients[:, place].add(momentum, alpha=self.momentum)
            matrices = momentum.reshape(-1, *slot.shape)
            turned = orthogonal(matrices, self.iterations).flatten(1)
            change[:, place] = turned.mul(rate).mul(self._scale(*slot.shape))
        return change

    def _is_hidden(self, slot: Slot) -> bool:
        return len(slot.shape) == 2 and slot.name.rpartition(".")[2] not in self.others

    def _scale(self, rows: int, columns: int) -> float:
        if self.scale == "rms":
            return 0.2 * math.sqrt(max(rows, columns))
        return math.sqrt(max(1.0, rows / columns))


def orthogonal(matrices: Tensor, iterations: int) -> Tensor:
    """Matrices (M n m) with all singular values near 1, by Newton and Schulz's iteration."""
    a, b, c = COEFFICIENTS
    wide = matrices.shape[1] <= matrices.shape[2]
    now = matrices if wide else matrices.transpose(1, 2)
    norms = now.flatten(1).norm(dim=1).clamp(min=SMALLEST_NORM)
    now = now / norms.view(-1, 1, 1)
    for _ in range(iterations):
        gram = now.bmm(now.transpose(1, 2))
        now = a * now + (b * gram + c * gram.bmm(gram)).bmm(now)
    found: Tensor = now if wide else now.transpose(1, 2)
    return found
