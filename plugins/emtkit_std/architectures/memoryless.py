"""A network without a recurrence: what can be answered from the present input alone."""

from typing import Annotated, Literal

import torch
from torch import nn

from emtkit import Fact, SequenceModel, Task, hookimpl
from emtkit_std._parameters import Activation, Hidden, UnitBias
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.forms import ElmanNetwork
from emtkit_std._theory.networks.recurrence import outer_weights


class Memoryless(ElmanNetwork):
    """An Elman network with W_hh = 0, as a control: h_t = sigma(W_uh u_t + b), y_t = W_r h_t.

    State (B H), outputs (B O). It trains as others do, and no input outlives its step.

    References: Rumelhart, Hinton and Williams (1986), doi:10.1038/323533a0 (one hidden layer).
    """

    name = "memoryless"
    offers = (*ElmanNetwork.offers, Mechanism)

    def __init__(
        self,
        task: Task,
        *,
        hidden: Hidden = 128,
        activation: Annotated[Literal["tanh", "relu", "linear"], Activation] = "tanh",
        bias: UnitBias = False,
    ) -> None:
        super().__init__()
        channels = task.channels
        self.hidden, self.activation = hidden, activation
        self.register_buffer("W_hh", torch.zeros(hidden, hidden))
        self.W_uh = nn.Parameter(outer_weights("uniform", hidden, channels.inputs, hidden))
        self.W_r = nn.Parameter(outer_weights("uniform", channels.outputs, hidden, hidden))
        self.b = nn.Parameter(outer_weights("uniform", 1, hidden, hidden)[0]) if bias else None
        self.b_r = None

    def facts(self, kind: type[Fact]) -> Fact:
        """Its weights as a circuit; and that it has no memory, however it is trained."""
        if kind is Mechanism:
            return kind("none", used=False)
        return super().facts(kind)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [Memoryless]
