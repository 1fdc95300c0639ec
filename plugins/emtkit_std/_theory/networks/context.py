"""Networks that look at a context: what they have in the place of a state."""

from abc import abstractmethod

import torch
from torch import Tensor

from emtkit import SequenceModel


class ContextModel(SequenceModel):
    """A network whose answer at a step is a function of the tokens that it looks at then.

    The context of step t (B n D) holds the tokens of all inputs up to t and, after the inputs, of
    the network's own outputs up to t - 1; the answer is that of the newest. The first step after
    the inputs looks at the same tokens as the last of them.
    """

    @abstractmethod
    def tokens(self, values: Tensor) -> Tensor:
        """The tokens (B t D) of inputs, or outputs, in turn (B t I)."""

    @abstractmethod
    def look(self, context: Tensor) -> Tensor:
        """The answer (B O) of the newest token of a context (B n D)."""

    def context(self, inputs: Tensor, outputs: Tensor, step: int) -> Tensor:
        """What a step looks at, after driven inputs (B s I) and outputs (B T O)."""
        seen = inputs[:, : step + 1]
        own = outputs[:, inputs.shape[1] : step]
        return self.tokens(torch.cat([seen, own], 1) if own.shape[1] else seen)

    def answers(self, context: Tensor, inputs: Tensor, step: int, end: int) -> Tensor:
        """Outputs (B T' O) of the steps `step` .. `end` - 1, from the context of the first on."""
        driven = inputs.shape[1]
        found = [self.look(context)]
        for t in range(step + 1, end):
            if t != driven:
                newest = inputs[:, t] if t < driven else found[-1]
                context = torch.cat([context, self.tokens(newest[:, None])], 1)
            found.append(self.look(context))
        return torch.stack(found, 1)
