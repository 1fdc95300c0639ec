"""What an optimiser is: options, the running numbers that it keeps, and the change it makes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from emtkit.methods.method import Method
from emtkit.methods.settings import Decay

if TYPE_CHECKING:
    from torch import Tensor

Betas = tuple[Decay, Decay]


@dataclass(frozen=True)
class Slot:
    """Where one parameter lies in a flat row of all."""

    name: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Update:
    """What one step of M rows works on: clipped gradients (M P), and `buffers`, moved on in place.

    `factors` are columns (M 1) of what `Optimiser.factors` gives; `slots` say which parameter lies
    where in a row.
    """

    gradients: Tensor
    buffers: Mapping[str, Tensor]
    factors: Sequence[Tensor]
    slots: Sequence[Slot]


class Optimiser(Method):
    """A rule of update, shared by all rows of a stack; rate, decay and clip are a row's own.

    The gradient g is first clipped to the norm `clip`. Then, with weights w, rate r, decay d:

        coupled (L2)   w <- w - change(g + d w)
        decoupled      w <- (1 - r d) w - change(g)

    Parameters and gradients are flat M P buffers. A row's change uses nothing of its neighbours,
    so that it has the same bits in any stack, and looks at no number, so that a device is never
    waited for.
    """

    decoupled: ClassVar[bool] = False

    @property
    @abstractmethod
    def buffers(self) -> tuple[str, ...]:
        """Names of the running numbers (each M P, zero at the beginning) that it keeps."""

    def factors(self, rate: float, iteration: int) -> tuple[float, ...]:
        """What the step of one row after `iteration` steps is made with, in double precision.

        The rate, unless a rule says otherwise.
        """
        return (rate,)

    @abstractmethod
    def change(self, update: Update) -> Tensor:
        """What is taken from the weights (M P)."""
