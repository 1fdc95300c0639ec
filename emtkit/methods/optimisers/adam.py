"""Adam."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from emtkit.methods.optimisers.base import Betas, Optimiser, Update
from emtkit.methods.settings import Positive, Since

if TYPE_CHECKING:
    from torch import Tensor


class Adam(Optimiser):
    """Adam; weight decay is coupled (L2).

        m <- b1 m + (1 - b1) g,   v <- b2 v + (1 - b2) g^2
        change = rate m / (1 - b1^n) / (sqrt(v / (1 - b2^n)) + eps)   in step n = 1, 2, ...

    Source: Kingma and Ba 2015, algorithm 1.
    """

    kind: Literal["adam"] = "adam"
    """Name of the optimizer."""
    betas: Annotated[Betas, Since.LATER] = (0.9, 0.999)
    """Shares of the means of the gradient and of its square that a step keeps."""
    eps: Annotated[Positive, Since.LATER] = 1e-8
    """What is added to the root of the second moment."""

    @property
    def buffers(self) -> tuple[str, ...]:
        """m and v."""
        return ("first", "second")

    def factors(self, rate: float, iteration: int) -> tuple[float, ...]:
        """The rate over the first moment's share, and the root of the second moment's."""
        first, second = self.betas
        size = rate / (1 - first ** (iteration + 1))
        return size, math.sqrt(1 - second ** (iteration + 1))

    def change(self, update: Update) -> Tensor:
        """See `Adam`."""
        gradients, (size, root) = update.gradients, update.factors
        first, second = update.buffers["first"], update.buffers["second"]
        first.lerp_(gradients, 1 - self.betas[0])
        second.mul_(self.betas[1])
        second.addcmul_(gradients, gradients, value=1 - self.betas[1])
        spread = second.sqrt().div_(root).add_(self.eps)
        return (first / spread).mul_(size)
