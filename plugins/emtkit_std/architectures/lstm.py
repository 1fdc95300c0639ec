"""Architecture `lstm`: long short-term memory with a linear readout."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from emtkit import Recognised, RecurrentModel, SequenceModel, StackedKernel, Task, hookimpl
from emtkit_std._parameters import LaterReadoutBias, StateNoise, UnitBias
from emtkit_std._theory.emt.circuit import refuse_real_values
from emtkit_std._theory.networks.gated_kernel import LstmKernel
from emtkit_std._theory.networks.recurrence import uniform
from emtkit_std._theory.networks.torch_cells import torch_cell


class LongShortTermMemory(RecurrentModel):
    """Long short-term memory with a linear readout.

        c(t) = f c(t-1) + i g,   h(t) = o tanh(c(t)),   y(t) = W_r h(t) + b_r
        i, f, o = sigmoid(W_uh u(t) + W_hh h(t-1) + b),   g = tanh(... + b)

    W_hh (4n, n) and W_uh (4n, I) hold the rows of i, f, g, o in this order, n = `hidden`; all
    weights start uniform on +-1/sqrt(n). The state is one vector, h then c.

    Shapes: state B H, inputs B I, outputs B O.

    References: Hochreiter & Schmidhuber (1997), doi:10.1162/neco.1997.9.8.1735.
    """

    name = "lstm"

    def __init__(
        self,
        task: Task,
        *,
        hidden: Annotated[
            int, Field(ge=1, description="Number of units n; the state h, c has H = 2n numbers.")
        ] = 128,
        bias: UnitBias = True,
        readout_bias: LaterReadoutBias = False,
        noise: StateNoise = 0.0,
    ) -> None:
        super().__init__()
        self.units, self.hidden = hidden, 2 * hidden
        self.bias, self.noise = bias, noise
        channels = task.channels
        self.W_hh = uniform(4 * hidden, hidden, fan_in=hidden)
        self.W_uh = uniform(4 * hidden, channels.inputs, fan_in=hidden)
        self.W_r = uniform(channels.outputs, hidden, fan_in=hidden)
        if bias:
            self.b = uniform(4 * hidden, fan_in=hidden)
        self.b_r = uniform(channels.outputs, fan_in=hidden) if readout_bias else None

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """A saturating network refuses values that may grow."""
        return refuse_real_values(task, "tanh")

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor]) -> Recognised | None:
        """`nn.LSTM` of one layer with a linear readout of h."""
        cell = torch_cell(weights, gates=4)
        return None if cell is None else cell.recognised({"b": cell.both_biases})

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """One update of the state h, c."""
        hidden, carried = state[:, : self.units], state[:, self.units :]
        total = inputs @ self.W_uh.T + hidden @ self.W_hh.T
        if self.bias:
            total = total + self.b
        enter, keep, proposed, leave = total.split(self.units, dim=1)
        carried = torch.sigmoid(keep) * carried + torch.sigmoid(enter) * torch.tanh(proposed)
        return torch.cat([torch.sigmoid(leave) * torch.tanh(carried), carried], 1)

    def read(self, state: Tensor) -> Tensor:
        """W_r h + b_r, from the first half of the state."""
        outputs = state[..., : self.units] @ self.W_r.T
        return outputs if self.b_r is None else outputs + self.b_r

    def stacked_kernel(self) -> StackedKernel:
        """Its passes through time by hand."""
        return LstmKernel()


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """Offer `lstm`."""
    return [LongShortTermMemory]
