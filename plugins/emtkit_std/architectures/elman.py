"""The Elman network."""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from emtkit import Recognised, SequenceModel, SimpleRecurrence, Task, hookimpl
from emtkit_std._parameters import Activation, Hidden, LaterReadoutBias, StateNoise, UnitBias
from emtkit_std._theory.networks.forms import ElmanNetwork
from emtkit_std._theory.networks.recurrence import outer_weights, recurrent_weights, uniform
from emtkit_std._theory.networks.torch_cells import torch_cell


class Elman(ElmanNetwork):
    """Simple recurrent network, h_t = sigma(W_hh h_{t-1} + W_uh u_t + b), y_t = W_r h_t + b_r.

    State (B H), outputs (B O). `b` is the sum of the two biases of common implementations.

    References: Elman (1990), doi:10.1207/s15516709cog1402_1.
    """

    name = "elman"

    def __init__(
        self,
        task: Task,
        *,
        hidden: Hidden = 128,
        activation: Annotated[Literal["tanh", "relu"], Activation] = "tanh",
        bias: UnitBias = False,
        init: Annotated[
            Literal["uniform", "gaussian", "orthogonal"],
            Field(
                description="Initial W_hh: U(-1, 1) / sqrt(H) as every other weight, N(0, 1/H), or "
                "orthogonal."
            ),
        ] = "uniform",
        readout_bias: LaterReadoutBias = False,
        noise: StateNoise = 0.0,
    ) -> None:
        super().__init__()
        channels = task.channels
        self.hidden, self.activation, self.noise = hidden, activation, noise
        self.W_hh = nn.Parameter(recurrent_weights("uniform", hidden))
        self.W_uh = nn.Parameter(outer_weights("uniform", hidden, channels.inputs, hidden))
        self.W_r = nn.Parameter(outer_weights("uniform", channels.outputs, hidden, hidden))
        self.b = nn.Parameter(outer_weights("uniform", 1, hidden, hidden)[0]) if bias else None
        if init == "gaussian":
            nn.init.normal_(self.W_hh, std=1.0 / math.sqrt(hidden))
        elif init == "orthogonal":
            nn.init.orthogonal_(self.W_hh)
        # drawn last: the other weights are those of the network without it
        self.b_r = uniform(channels.outputs, fan_in=hidden) if readout_bias else None

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor]) -> Recognised | None:
        """`nn.RNN` of one layer with a linear readout; its nonlinearity is not in its weights."""
        cell = torch_cell(weights, gates=1)
        return None if cell is None else cell.recognised({"b": cell.both_biases})

    def simple_form(self) -> SimpleRecurrence:
        """The same network for the fast tiers."""
        return SimpleRecurrence(self.activation)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [Elman]
