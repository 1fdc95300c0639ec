"""RMSprop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from emtkit.methods.optimisers.base import Optimiser, Update
from emtkit.methods.settings import Decay, Positive

if TYPE_CHECKING:
    from torch import Tensor


class RmsProp(Optimiser):
    """RMSprop; weight decay is coupled (L2).

        v <- alpha v + (1 - alpha) g^2,   change = rate g / (sqrt(v) + eps)

    Source: Tieleman and Hinton 2012, Neural networks for machine learning, lecture 6.5; `eps` is
    added to the root, and 0.99 the default of `alpha`, as in PyTorch.
    """

    kind: Literal["rmsprop"] = "rmsprop"
    """Name of the optimizer."""
    alpha: Decay = 0.99
    """Share of the mean of the gradient's square that a step keeps."""
    eps: Positive = 1e-8
    """What is added to the root of that mean."""

    @property
    def buffers(self) -> tuple[str, ...]:
        """v."""
        return ("second",)

    def change(self, update: Update) -> Tensor:
        """See `RmsProp`."""
        gradients, (rate,) = update.gradients, update.factors
        second = update.buffers["second"].mul_(self.alpha)
        second.addcmul_(gradients, gradients, value=1 - self.alpha)
        return (gradients / second.sqrt().add_(self.eps)).mul_(rate)
