"""Architecture `gru`: a gated recurrent unit with a linear readout."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from emtkit import Recognised, RecurrentModel, SequenceModel, StackedKernel, Task, hookimpl
from emtkit_std._parameters import Hidden, LaterReadoutBias, StateNoise, UnitBias
from emtkit_std._theory.emt.circuit import refuse_real_values
from emtkit_std._theory.networks.gated_kernel import GruKernel
from emtkit_std._theory.networks.recurrence import uniform
from emtkit_std._theory.networks.torch_cells import torch_cell


class GatedRecurrentUnit(RecurrentModel):
    """Gated recurrent unit with a linear readout.

        h(t) = (1 - z) n + z h(t-1),   y(t) = W_r h(t) + b_r
        r, z = sigmoid(W_uh u(t) + W_hh h(t-1) + b)          (their rows)
        n    = tanh(W_uh u(t) + b + r (W_hh h(t-1) + b_n))   (the last H rows)

    W_hh (3H, H) and W_uh (3H, I) hold the rows of r, z, n in this order; all weights start
    uniform on +-1/sqrt(H).

    Shapes: state B H, inputs B I, outputs B O.

    References: Cho et al. (2014), arXiv:1406.1078.
    """

    name = "gru"

    def __init__(
        self,
        task: Task,
        *,
        hidden: Hidden = 128,
        bias: UnitBias = True,
        readout_bias: LaterReadoutBias = False,
        noise: StateNoise = 0.0,
    ) -> None:
        super().__init__()
        self.hidden, self.bias, self.noise = hidden, bias, noise
        channels = task.channels
        self.W_hh = uniform(3 * hidden, hidden, fan_in=hidden)
        self.W_uh = uniform(3 * hidden, channels.inputs, fan_in=hidden)
        self.W_r = uniform(channels.outputs, hidden, fan_in=hidden)
        if bias:
            self.b, self.b_n = uniform(3 * hidden, fan_in=hidden), uniform(hidden, fan_in=hidden)
        self.b_r = uniform(channels.outputs, fan_in=hidden) if readout_bias else None

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """A saturating network refuses values that may grow."""
        return refuse_real_values(task, "tanh")

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor]) -> Recognised | None:
        """`nn.GRU` of one layer with a linear readout; its two biases of n stay apart."""
        cell = torch_cell(weights, gates=3)
        if cell is None or cell.both_biases is None:
            return None if cell is None else cell.recognised({})
        split = 2 * cell.hidden
        b = torch.cat([cell.both_biases[:split], cell.biases[0][split:]])
        return cell.recognised({"b": b, "b_n": cell.biases[1][split:]})

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """One update of the gated state."""
        external, recurrent = inputs @ self.W_uh.T, state @ self.W_hh.T
        if self.bias:
            external = external + self.b
        gates = torch.sigmoid((external + recurrent)[:, : 2 * self.hidden])
        reset, keep = gates[:, : self.hidden], gates[:, self.hidden :]
        inner = recurrent[:, 2 * self.hidden :]
        if self.bias:
            inner = inner + self.b_n
        proposed = torch.tanh(external[:, 2 * self.hidden :] + reset * inner)
        return proposed + keep * (state - proposed)

    def read(self, state: Tensor) -> Tensor:
        """W_r h + b_r."""
        outputs = state @ self.W_r.T
        return outputs if self.b_r is None else outputs + self.b_r

    def stacked_kernel(self) -> StackedKernel:
        """Its passes through time by hand."""
        return GruKernel()


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """Offer `gru`."""
    return [GatedRecurrentUnit]
