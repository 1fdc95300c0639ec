"""A ring of sites per channel, coupled by one short convolution: the wave-RNN."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from emtkit import Fact, RecurrentModel, Task, hookimpl
from emtkit_std._parameters import Activation
from emtkit_std._theory.emt.circuit import refuse_real_values
from emtkit_std._theory.facts import Array, PulseCircuit
from emtkit_std._theory.networks.recurrence import activated, to_array, uniform
from emtkit_std._theory.waves.wavefield import NativeColumns

TAPS = 3


class WaveRnn(RecurrentModel):
    """h_t = sigma(u (*) h_{t-1} + b_u + W_uh u_t + b), y_t = W_r vec(h_t) + b_r: waves on rings.

    (u (*) h)[o, x] = sum_i sum_k u[o, i, k] h[i, x + k - 1], k = 0..2, over `channels` rings of
    `sites` each; the state is flattened channel by channel. A shift begins as u[o, o, 2] = 1.

    References: Keller, Muller, Sejnowski and Welling 2023, arXiv:2309.08045, Eq. 3.
    """

    name = "wave_rnn"
    offers = (PulseCircuit, NativeColumns)

    def __init__(
        self,
        task: Task,
        *,
        channels: Annotated[
            int | None, Field(ge=1, description="Number of rings; null takes one per input.")
        ] = None,
        sites: Annotated[
            int,
            Field(
                ge=3,
                description="Number of sites per ring; where the history of a task divides it, "
                "repeat copy needs no rule at all.",
            ),
        ] = 16,
        kernel: Annotated[
            Literal["shift", "identity", "random"],
            Field(
                description="Initial u: one site per step towards lower sites (the one-way wave "
                "equation), no motion, or the usual uniform weights of a convolution."
            ),
        ] = "shift",
        input_init: Annotated[
            Literal["identity", "ones", "normal"],
            Field(
                description="Initial W_uh: input j into channel j at the source site (the paper), "
                "every input into every channel there (the released code), or N(0, .001^2) "
                "everywhere."
            ),
        ] = "identity",
        activation: Annotated[Literal["tanh", "relu", "linear"], Activation] = "tanh",
        boundary: Annotated[
            Literal["circular", "open"],
            Field(
                description="Whether content comes back to site 0 after `sites` steps, or leaves "
                "there and inputs enter at the last site (ours)."
            ),
        ] = "circular",
    ) -> None:
        super().__init__()
        inputs, outputs = task.channels.inputs, task.channels.outputs
        self.channels = inputs if channels is None else channels
        self.sites = sites
        self.hidden = self.channels * sites
        self.activation, self.boundary = activation, boundary
        self.kernel = nn.Parameter(_kernel(kernel, self.channels))
        self.kernel_bias = uniform(self.channels, fan_in=TAPS * self.channels)
        write, bias = _writing(input_init, self.channels, sites, self.source, inputs)
        self.W_uh = nn.Parameter(write)
        self.b = nn.Parameter(bias)
        self.W_r = uniform(outputs, self.hidden, fan_in=self.hidden)
        self.b_r = uniform(outputs, fan_in=self.hidden)

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Values that may grow are for linear networks."""
        return refuse_real_values(task, parameters["activation"])

    @property
    def source(self) -> int:
        """The site at which inputs enter."""
        return 0 if self.boundary == "circular" else self.sites - 1

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """The next state (B H): each site from its neighbours, the source from the input too."""
        field = state.reshape(-1, self.channels, self.sites)
        neighbours = torch.cat([self._moved(field, 1), field, self._moved(field, -1)], 1)
        # (o, i, k) -> (o, k, i), as the three neighbours are stacked block by block
        kernel = self.kernel.transpose(1, 2).reshape(self.channels, TAPS * self.channels)
        moved = kernel @ neighbours + self.kernel_bias[:, None]
        total = moved.reshape(-1, self.hidden) + inputs @ self.W_uh.T + self.b
        return activated(total, self.activation)

    def read(self, state: Tensor) -> Tensor:
        """Outputs (... O) of states (... H)."""
        return state @ self.W_r.T + self.b_r

    def facts(self, kind: type[Fact]) -> Fact:
        """Its dense form, and its rings as columns (oldest content first)."""
        if kind is PulseCircuit:
            return kind(
                W_hh=self._recurrence(),
                W_uh=to_array(self.W_uh),
                W_r=to_array(self.W_r),
                b=to_array(self.b) + np.repeat(to_array(self.kernel_bias), self.sites),
                b_r=to_array(self.b_r),
                activation=self.activation,
                readout="linear",
                reads="activation",
            )
        if kind is NativeColumns:
            return kind(self.sites, self.channels, self._columns())
        return super().facts(kind)

    def _moved(self, field: Tensor, by: int) -> Tensor:
        """The rings (... n) moved on by `by` sites; on open ones nothing enters."""
        if self.boundary == "circular":
            return field.roll(by, -1)
        return functional.pad(field, (by, -by))

    def _recurrence(self) -> Array:
        """W_hh (H, H) of the convolution: block (o, i) holds u[o, i, k] on diagonal k - 1."""
        kernel, n = to_array(self.kernel), self.sites
        wraps = self.boundary == "circular"
        taps = [np.roll(np.eye(n), k, 1) if wraps else np.eye(n, k=k) for k in (-1, 0, 1)]
        return sum(np.kron(kernel[:, :, k], taps[k]) for k in range(TAPS))

    def _columns(self) -> Array:
        """The site of every column as basis (H, n c): last written is the newest column."""
        n, c = self.sites, self.channels
        order = (self.source + 1 + np.arange(n)) % n
        return np.eye(n * c)[:, (order[:, None] + n * np.arange(c)).ravel()]


def _kernel(kind: str, channels: int) -> Tensor:
    if kind == "random":
        return uniform(channels, channels, TAPS, fan_in=TAPS * channels)
    kernel = torch.zeros(channels, channels, TAPS)
    kernel[range(channels), range(channels), 2 if kind == "shift" else 1] = 1.0
    return kernel


def _writing(
    kind: str, channels: int, sites: int, source: int, inputs: int
) -> tuple[Tensor, Tensor]:
    write = torch.zeros(channels, sites, inputs)
    if kind == "normal":
        bias = uniform(channels * sites, fan_in=inputs)
        return 1e-3 * torch.randn(channels * sites, inputs), bias
    if kind == "ones":
        write[:, source] = 1.0
    else:
        for place in range(max(channels, inputs)):
            write[place % channels, source, place % inputs] = 1.0
    return write.reshape(channels * sites, inputs), torch.zeros(channels * sites)


@hookimpl
def emtkit_architectures() -> list[type[RecurrentModel]]:
    """The wave-RNN."""
    return [WaveRnn]
