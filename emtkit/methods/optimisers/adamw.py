"""Adam with decoupled weight decay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from emtkit.methods.optimisers.adam import adam_change, adam_factors
from emtkit.methods.optimisers.base import Betas, Optimiser, Update
from emtkit.methods.settings import Positive, Since

if TYPE_CHECKING:
    from torch import Tensor


class AdamW(Optimiser):
    """The change of `Adam`; weight decay is decoupled: w <- (1 - rate decay) w before it.

    Source: Loshchilov and Hutter 2019, algorithm 2.
    """

    decoupled: ClassVar[bool] = True

    kind: Literal["adamw"] = "adamw"
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
        """See `adam_factors`."""
        return adam_factors(self.betas, rate, iteration)

    def change(self, update: Update) -> Tensor:
        """See `Adam`."""
        return adam_change(self.betas, self.eps, update)
