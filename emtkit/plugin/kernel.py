"""What an author may add to a recurrent network: its passes through time by hand, for M at once."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Unrolled:
    """A pass through time: `states` (T M B H), and what `backward` needs besides."""

    states: Tensor
    kept: tuple[Tensor, ...] = ()


class StackedKernel(ABC):
    """The states of a network's `trace`, and their derivative, without autograd.

    `weights` are the module's parameters by name, each with a leading M; its buffers are those of
    the module that made the kernel. `inputs` (s M B I) are the driven steps, after which the input
    is zero; where fewer steps are asked for, only those. Readout and loss stay the module's and the
    task's. The module is the reference: `emtkit check` holds the kernel to it. It is called on the
    processor.
    """

    @abstractmethod
    def forward(self, weights: Mapping[str, Tensor], inputs: Tensor, steps: int) -> Unrolled:
        """All states of `steps` steps."""

    @abstractmethod
    def backward(
        self, weights: Mapping[str, Tensor], inputs: Tensor, run: Unrolled, slopes: Tensor
    ) -> dict[str, Tensor]:
        """dL/dweight of what moves the state, by name.

        `slopes` are dL/dstate of the last K steps (K M B H).
        """
