"""Networks and a task made of operations that torch rounds by place, size or total."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emtkit import Batch, Channels, RecurrentModel, SequenceModel, Stream, Task, Trace, hookimpl


class AwkwardTask(Task):
    """Say the last sign again, y_t = u_{t-1}, scored by -log sigmoid(y_t u_{t-1}); T = `steps`."""

    name = "awkward_task"

    def __init__(self, *, steps: int = 3, gain: float = 1.0) -> None:
        self.steps, self.gain = steps, gain

    @property
    def channels(self) -> Channels:
        return Channels(1, 1)

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        signs = stream.signs((batch, self.steps, 1))
        targets = torch.cat([torch.zeros_like(signs[:, :1]), signs[:, :-1]], 1) * self.gain
        mask = signs.new_ones(self.steps)
        mask[0] = 0
        return Batch(signs, targets, mask, self.steps)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return F.softplus(-outputs * batch.targets).mean(-1)

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        sure = torch.sigmoid(outputs * batch.targets).mean((0, 2))
        return {"accuracy": (sure * batch.mask).sum() / batch.mask.sum()}


class Awkward(RecurrentModel):
    """h_t = squash(h_{t-1} scale(D) + W u_t), y_t = R h_t."""

    def __init__(self, task: Task, *, hidden: int = 3) -> None:
        super().__init__()
        self.hidden = hidden
        self.W = nn.Parameter(torch.randn(hidden, task.channels.inputs))
        self.D = nn.Parameter(torch.randn(hidden))
        self.R = nn.Parameter(torch.randn(task.channels.outputs, hidden))

    def scale(self, numbers: Tensor) -> Tensor:
        return torch.tanh(numbers)

    def squash(self, state: Tensor) -> Tensor:
        return state

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        return self.squash(state * self.scale(self.D) + inputs @ self.W.T)

    def read(self, state: Tensor) -> Tensor:
        return state @ self.R.T


class SigmoidNet(Awkward):
    name = "sigmoid_net"

    def squash(self, state: Tensor) -> Tensor:
        return torch.sigmoid(state)


class DecayNet(Awkward):
    """Parameters alone go through softplus and x**1.5: their arrays are as small as H."""

    name = "decay_net"

    def scale(self, numbers: Tensor) -> Tensor:
        return torch.exp(-(F.softplus(numbers + 0.1) ** 1.5) * torch.sigmoid(numbers.sum()))


class EluNet(Awkward):
    name = "elu_net"

    def squash(self, state: Tensor) -> Tensor:
        return F.elu(state) + 0.1 * F.mish(state) + 0.1 * F.gelu(state) + 0.1 * F.silu(state)


class NormNet(Awkward):
    name = "norm_net"

    def squash(self, state: Tensor) -> Tensor:
        return F.layer_norm(state, state.shape[-1:]) * F.softmax(state, -1) + state.var(
            -1, keepdim=True
        )


class SharedNet(Awkward):
    """A product with a matrix that all networks share."""

    name = "shared_net"

    def squash(self, state: Tensor) -> Tensor:
        fixed = torch.linspace(-1, 1, self.hidden * 5, dtype=state.dtype).reshape(self.hidden, 5)
        return torch.tanh(state @ fixed @ fixed.T)


class ConvNet(SequenceModel):
    """y = R tanh(conv(u)), over the past alone."""

    name = "conv_net"

    def __init__(self, task: Task, *, hidden: int = 3) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.randn(hidden, task.channels.inputs, 3))
        self.R = nn.Parameter(torch.randn(task.channels.outputs, hidden))

    def trace(self, inputs: Tensor, steps: int) -> Trace:
        given = F.pad(inputs.transpose(1, 2), (2, steps - inputs.shape[1]))
        states = torch.tanh(F.conv1d(given, self.W)).transpose(1, 2)
        return Trace(states, states @ self.R.T)


TASKS = [AwkwardTask]
NETWORKS = [SigmoidNet, DecayNet, EluNet, NormNet, SharedNet, ConvNet]


@hookimpl
def emtkit_tasks():
    return TASKS


@hookimpl
def emtkit_architectures():
    return NETWORKS
