"""A ring of sites per channel, coupled by one short convolution: the wave-RNN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from emtkit import RecurrentModel, Task, hookimpl
from emtkit_std._theory.emt.circuit import refuse_real_values
from emtkit_std._theory.facts import PulseCircuit
from emtkit_std._theory.waves.wavefield import NativeColumns

F = TypeVar("F")

TAPS = 3


class WaveRnn(RecurrentModel):
    """h_t = sigma(u (*) h_{t-1} + b_u + W_uh u_t + b), y_t = W_r vec(h_t) + b_r: waves on rings.

    (u (*) h)[o, x] = sum_i sum_k u[o, i, k] h[i, x + k - 1], k = 0..2, over `channels` (default:
    one per input) of `sites` each; the state is flattened channel by channel. Kernel `shift` is
    the one-way wave equation at one site per step towards lower sites (u[o, o, 2] = 1),
    `identity` does not move, `random` is the usual convolution. Writing: `identity` puts input j
    into channel j at the source site (the paper), `ones` every input into every channel there
    (the released code, rank one), `normal` draws N(0, .001^2) everywhere. The ring is closed:
    content comes back to site 0 after `sites` steps; `open` lets it leave at site 0 and writes at
    the last site instead (ours). Where the history divides `sites`, repeat copy needs no rule at
    all: prefer sizes that do not.

    References: Keller, Muller, Sejnowski and Welling 2023, arXiv:2309.08045, Eq. 3.
    """

    name = "wave_rnn"
    offers = (PulseCircuit, NativeColumns)

    def __init__(
        self,
        task: Task,
        *,
        channels: Annotated[int, Field(ge=1)] | None = None,
        sites: Annotated[int, Field(ge=3)] = 16,
        kernel: Literal["shift", "identity", "random"] = "shift",
        input_init: Literal["identity", "ones", "normal"] = "identity",
        activation: Literal["tanh", "relu", "linear"] = "tanh",
        boundary: Literal["circular", "open"] = "circular",
    ) -> None:
        super().__init__()
        inputs, outputs = task.channels.inputs, task.channels.outputs
        self.channels = inputs if channels is None else channels
        self.sites = sites
        self.hidden = self.channels * sites
        self.activation, self.boundary = activation, boundary
        self.kernel = nn.Parameter(_kernel(kernel, self.channels))
        self.kernel_bias = nn.Parameter(_uniform((self.channels,), TAPS * self.channels))
        write, bias = _writing(input_init, self.channels, sites, self.source, inputs)
        self.W_uh = nn.Parameter(write)
        self.b = nn.Parameter(bias)
        self.W_r = nn.Parameter(_uniform((outputs, self.hidden), self.hidden))
        self.b_r = nn.Parameter(_uniform((outputs,), self.hidden))

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Values that may grow are for linear networks."""
        return refuse_real_values(task, parameters["activation"])

    @property
    def source(self) -> int:
        """The site at which inputs enter."""
        return 0 if self.boundary == "circular" else self.sites - 1

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """The next state (B H): every site hears its neighbours, and the source the input."""
        field = state.reshape(-1, self.channels, self.sites)
        heard = torch.cat([self._before(field), field, self._after(field)], 1)
        # (o, i, k) -> (o, k, i), as the three neighbours are stacked block by block
        kernel = self.kernel.transpose(1, 2).reshape(self.channels, TAPS * self.channels)
        moved = kernel @ heard + self.kernel_bias[:, None]
        total = moved.reshape(-1, self.hidden) + inputs @ self.W_uh.T + self.b
        if self.activation == "tanh":
            return torch.tanh(total)
        return torch.relu(total) if self.activation == "relu" else total

    def read(self, state: Tensor) -> Tensor:
        """Outputs (... O) of states (... H)."""
        return state @ self.W_r.T + self.b_r

    def facts(self, kind: type[F]) -> F:
        """Its dense form, and its rings as columns (oldest content first)."""
        if kind is PulseCircuit:
            return kind(
                W_hh=self._recurrence(),
                W_uh=_numpy(self.W_uh),
                W_r=_numpy(self.W_r),
                b=_numpy(self.b) + np.repeat(_numpy(self.kernel_bias), self.sites),
                b_r=_numpy(self.b_r),
                activation=self.activation,
                readout="linear",
                reads="activation",
            )
        if kind is NativeColumns:
            return kind(self.sites, self.channels, self._columns())
        return super().facts(kind)

    def _before(self, field: Tensor) -> Tensor:
        first = field[..., -1:]
        edge = first if self.boundary == "circular" else torch.zeros_like(first)
        return torch.cat([edge, field[..., :-1]], -1)

    def _after(self, field: Tensor) -> Tensor:
        last = field[..., :1]
        edge = last if self.boundary == "circular" else torch.zeros_like(last)
        return torch.cat([field[..., 1:], edge], -1)

    def _recurrence(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """W_hh (H, H) of the convolution: block (o, i) holds u[o, i, k] on diagonal k - 1."""
        kernel, n = _numpy(self.kernel), self.sites
        wraps = self.boundary == "circular"
        taps = [np.eye(n, k=k) + wraps * np.eye(n, k=k - n if k > 0 else k + n) for k in (-1, 0, 1)]
        taps[1] = np.eye(n)
        return sum(np.kron(kernel[:, :, k], taps[k]) for k in range(TAPS))

    def _columns(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """The site of every column as basis (H, n c): last written is the newest column."""
        n, c = self.sites, self.channels
        order = [(self.source + 1 + i) % n for i in range(n)]
        basis = np.zeros((self.hidden, n * c))
        for column, site in enumerate(order):
            for channel in range(c):
                basis[channel * n + site, column * c + channel] = 1.0
        return basis


def _kernel(kind: str, channels: int) -> Tensor:
    if kind == "random":
        return _uniform((channels, channels, TAPS), TAPS * channels)
    kernel = torch.zeros(channels, channels, TAPS)
    kernel[range(channels), range(channels), 2 if kind == "shift" else 1] = 1.0
    return kernel


def _writing(
    kind: str, channels: int, sites: int, source: int, inputs: int
) -> tuple[Tensor, Tensor]:
    write = torch.zeros(channels, sites, inputs)
    if kind == "normal":
        bias = _uniform((channels * sites,), inputs)
        return 1e-3 * torch.randn(channels * sites, inputs), bias
    if kind == "ones":
        write[:, source] = 1.0
    else:
        for place in range(max(channels, inputs)):
            write[place % channels, source, place % inputs] = 1.0
    return write.reshape(channels * sites, inputs), torch.zeros(channels * sites)


def _uniform(shape: tuple[int, ...], fan_in: int) -> Tensor:
    bound = fan_in**-0.5
    return torch.empty(shape).uniform_(-bound, bound)


def _numpy(tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return tensor.detach().double().cpu().numpy()


@hookimpl
def emtkit_architectures() -> list[type[RecurrentModel]]:
    """The wave-RNN."""
    return [WaveRnn]
