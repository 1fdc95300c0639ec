"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import model_validator

from emtkit.methods.optimisers.base import Optimiser, Update
from emtkit.methods.settings import Decay, Since

if TYPE_CHECKING:
    from torch import Tensor


class Sgd(Optimiser):
    """Gradient descent; weight decay is coupled (L2).

        b <- momentum b + g,   change = rate b,   with `nesterov` rate (g + momentum b)

    Source: Polyak 1964; Nesterov's momentum as in Sutskever et al. 2013, equations 1-4, the
    weights taken at the point that is looked ahead to.
    """

    kind: Literal["sgd"] = "sgd"
    """Name of the optimizer."""
    momentum: Annotated[Decay, Since.LATER] = 0.0
    """Share of the running change that a step keeps; 0 keeps none."""
    nesterov: Annotated[bool, Since.LATER] = False
    """Whether the gradient is added to the running change once more."""

    @model_validator(mode="after")
    def _has_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("`nesterov` needs a `momentum` above 0, for instance 0.9")
        return self

    @property
    def buffers(self) -> tuple[str, ...]:
        """b, where there is any momentum."""
        return ("momentum",) if self.momentum else ()

    def change(self, update: Update) -> Tensor:
        """See `Sgd`."""
        gradients, (rate,) = update.gradients, update.factors
        if not self.momentum:
            return gradients * rate
        running = update.buffers["momentum"].mul_(self.momentum).add_(gradients)
        if self.nesterov:
            running = gradients.add(running, alpha=self.momentum)
        return running * rate
