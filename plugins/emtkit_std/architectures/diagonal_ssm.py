"""A linear state space with a diagonal or a shift recurrence: the peer from S4D and H3."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from emtkit import Fact, RecurrentModel, Task, hookimpl
from emtkit_std._parameters import Hidden, Readout
from emtkit_std._theory.facts import Array, LinearRecurrence, PulseCircuit
from emtkit_std._theory.networks.recurrence import to_array, uniform


class DiagonalSsm(RecurrentModel):
    """h_t = A h_{t-1} + W_uh u_t, y_t = W_r h_t + b_r, with A diagonal or a fixed shift.

    `diagonal`: hidden/2 complex modes as pairs of real units, A = diag exp(-e^a + i theta), both
    trained and always stable; they begin as S4D-Lin at step 1/modes: decay e^{-1/(2 modes)} and
    angles pi n / modes. `shift`: A moves the content of one register per input by one place
    (fixed, as is W_uh, which writes its first place), and only the readout is trained: H3's shift.
    Both are linear and time-invariant.

    References: Gu, Goel, Gupta and Re 2022, arXiv:2206.11893; Dao et al. 2022, arXiv:2212.14052.
    """

    name = "diagonal_ssm"
    offers = (PulseCircuit, LinearRecurrence)

    def __init__(
        self,
        task: Task,
        *,
        hidden: Annotated[Hidden, Field(ge=2)] = 64,
        kind: Annotated[
            Literal["diagonal", "shift"],
            Field(description="Whether A is diagonal and trained, or a fixed shift register."),
        ] = "diagonal",
        readout: Readout = "linear",
    ) -> None:
        super().__init__()
        inputs, outputs = task.channels.inputs, task.channels.outputs
        self.hidden, self.kind, self.readout = hidden, kind, readout
        if kind == "diagonal":
            modes = hidden // 2
            self.log_decay = nn.Parameter(torch.full((modes,), math.log(0.5 / modes)))
            self.angle = nn.Parameter(math.pi * torch.arange(modes) / modes)
            self.W_uh = uniform(hidden, inputs, fan_in=inputs)
        else:
            self.places = hidden // inputs
            write = torch.zeros(inputs, self.places, inputs)
            write[range(inputs), 0, range(inputs)] = 1.0
            self.register_buffer("W_uh", write.reshape(hidden, inputs))
        self.W_r = uniform(outputs, hidden, fan_in=hidden)
        self.b_r = uniform(outputs, fan_in=hidden)

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Modes are pairs of units; registers take the same number of units per input."""
        hidden, inputs = parameters["hidden"], task.channels.inputs
        if parameters["kind"] == "diagonal" and hidden % 2:
            return f"kind: diagonal takes pairs of units, and hidden = {hidden} is odd"
        if parameters["kind"] == "shift" and hidden % inputs:
            return f"kind: shift takes one register per input: hidden a multiple of {inputs}"
        return None

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """The next state (B H): every mode turns and decays, or every register moves on."""
        if self.kind == "shift":
            registers = state.reshape(*state.shape[:-1], -1, self.places)
            moved = functional.pad(registers, (1, -1)).reshape(state.shape)
        else:
            decay = torch.exp(-torch.exp(self.log_decay))
            cosine, sine = decay * torch.cos(self.angle), decay * torch.sin(self.angle)
            real, imaginary = state.chunk(2, -1)
            turned = cosine * real - sine * imaginary, sine * real + cosine * imaginary
            moved = torch.cat(turned, -1)
        return moved + inputs @ self.W_uh.T

    def read(self, state: Tensor) -> Tensor:
        """Outputs (... O) of states (... H)."""
        outputs = state @ self.W_r.T + self.b_r
        return torch.relu(outputs) if self.readout == "relu" else outputs

    def facts(self, kind: type[Fact]) -> Fact:
        """Its dense form."""
        if kind is not PulseCircuit and kind is not LinearRecurrence:
            return super().facts(kind)
        W_uh, W_r, b_r = to_array(self.W_uh), to_array(self.W_r), to_array(self.b_r)
        W_hh = self._recurrence(W_uh.shape[1])
        if kind is LinearRecurrence:
            return kind(W_hh, W_uh, W_r)
        return kind(W_hh, W_uh, W_r, np.zeros(self.hidden), b_r, "linear", self.readout)

    def _recurrence(self, inputs: int) -> Array:
        """A (H, H)."""
        if self.kind == "shift":
            return np.kron(np.eye(inputs), np.eye(self.places, k=-1))
        decay, angle = np.exp(-np.exp(to_array(self.log_decay))), to_array(self.angle)
        cosine, sine = np.diag(decay * np.cos(angle)), np.diag(decay * np.sin(angle))
        return np.block([[cosine, -sine], [sine, cosine]])


@hookimpl
def emtkit_architectures() -> list[type[RecurrentModel]]:
    """The diagonal or shift state space."""
    return [DiagonalSsm]
