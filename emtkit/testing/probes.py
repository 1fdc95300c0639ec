"""Two small tasks and a small network, so that every plugin has company to be tried with."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from emtkit.plugin.architecture import RecurrentModel
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Batch, Channels, Task


class _Probe(Task):
    """A task with two inputs and two outputs (B T 2)."""

    @property
    def channels(self) -> Channels:
        """Two inputs, two outputs."""
        return Channels(2, 2)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean squared error over the outputs (B T)."""
        return (outputs - batch.targets).square().mean(-1)


class ProbeDelay(_Probe):
    """Say every input again one step later, `gain` times as loud: y_t = gain u_{t-1} (B T 2)."""

    name = "probe_delay"

    def __init__(self, *, gain: Annotated[float, Field(gt=0)] = 1.0) -> None:
        self.gain = gain

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        """Five driven steps; the first is not scored."""
        inputs = stream.uniform((batch, 5, 2))
        targets = torch.cat([torch.zeros_like(inputs[:, :1]), inputs[:, :-1]], 1)
        mask = torch.cat([inputs.new_zeros(1), inputs.new_ones(4)])
        return Batch(inputs, targets * self.gain, mask, 5)


class ProbeRecall(_Probe):
    """Hear three sign vectors, then repeat them `gain` times as loud, without input (B T 2)."""

    name = "probe_recall"
    horizons = True

    def __init__(
        self, *, horizon: Annotated[int, Field(ge=1)] = 4, gain: Annotated[float, Field(gt=0)] = 1.0
    ) -> None:
        self.horizon: int = horizon
        self.gain = gain
        self.evaluation_horizon = 2 * horizon

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        """Three driven steps, then `horizon` scored ones."""
        scored = self.horizon if horizon is None else horizon
        inputs = stream.signs((batch, 3, 2))
        silence = inputs.new_zeros(batch, scored, 2)
        answer = inputs.repeat(1, scored // 3 + 1, 1)[:, :scored] * self.gain
        return Batch(
            torch.cat([inputs, silence], 1),
            torch.cat([torch.zeros_like(inputs), answer], 1),
            torch.cat([inputs.new_zeros(3), inputs.new_ones(scored)]),
            3,
        )


class ProbeNetwork(RecurrentModel):
    """h_t = tanh(W_hh h_{t-1} + W_uh u_t), y_t = W_r h_t."""

    name = "probe_network"

    def __init__(self, task: Task, *, hidden: Annotated[int, Field(ge=1)] = 6) -> None:
        super().__init__()
        self.hidden = hidden
        channels = task.channels
        self.W_hh = nn.Parameter(torch.randn(hidden, hidden) * 0.7 * hidden**-0.5)
        self.W_uh = nn.Parameter(torch.randn(hidden, channels.inputs))
        self.W_r = nn.Parameter(torch.randn(channels.outputs, hidden) * hidden**-0.5)

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """The next state (B H)."""
        return torch.tanh(state @ self.W_hh.T + inputs @ self.W_uh.T)

    def read(self, state: Tensor) -> Tensor:
        """W_r h."""
        return state @ self.W_r.T
