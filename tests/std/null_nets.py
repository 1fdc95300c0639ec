"""Networks that must not change an answer, and networks that must not pass for what they are not.

`changed` writes the states of a network in other coordinates, h -> A h, with the same outputs.
"""

from __future__ import annotations

import numpy as np
import torch

from emtkit import RecurrentModel, Task, Trace
from emtkit_std.architectures.elman import Elman
from tests.std.subjects import build


class Changed(RecurrentModel):
    """The network in coordinates g = A h: what `inner` does, between A^-1 and A."""

    name = "changed_fake"

    def __init__(self, inner: RecurrentModel, matrix: np.ndarray) -> None:
        super().__init__()
        self.inner, self.hidden = inner, inner.hidden
        self.register_buffer("into", torch.from_numpy(matrix))
        self.register_buffer("back", torch.from_numpy(np.linalg.inv(matrix)))

    def step(self, state: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        return self.inner.step(state @ self.back.T, inputs) @ self.into.T

    def read(self, state: torch.Tensor) -> torch.Tensor:
        return self.inner.read(state @ self.back.T)

    def trace(self, inputs: torch.Tensor, steps: int) -> Trace:
        inner = self.inner.trace(inputs, steps)
        return Trace(inner.states @ self.into.T, inner.outputs)

    def initial(self, batch: int) -> torch.Tensor:
        return self.inner.initial(batch) @ self.into.T


def oblique(size: int, condition: float) -> np.ndarray:
    """A random matrix with singular values evenly spread in logarithm over `condition`."""
    rng = np.random.default_rng(1)
    left, right = (np.linalg.qr(rng.normal(size=(size, size)))[0] for _ in range(2))
    return left @ np.diag(np.logspace(0, -np.log10(condition), size)) @ right


def changes(size: int) -> dict[str, np.ndarray]:
    """What cannot matter: another basis, another order, signs and scale of the units."""
    rng = np.random.default_rng(2)
    return {
        "oblique basis": oblique(size, 1e3),
        "order of units": np.eye(size)[rng.permutation(size)],
        "signs": np.diag(rng.choice([-1.0, 1.0], size)),
        "scale": 100.0 * np.eye(size),
    }


class OpenClock(RecurrentModel):
    """Slots addressed by a one-hot phase that rolls: where no phase is set, it stays at rest.

    So it has a fixed point, unlike `phase_clock`, around which its silent map is that of the roll.
    """

    name = "open_clock_fake"

    def __init__(self, task: Task, *, history: int) -> None:
        super().__init__()
        self.history, self.dimension = history, task.channels.inputs
        self.hidden = history * (self.dimension + 1)
        self.register_buffer("unit", torch.ones(()))

    def step(self, state: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        slots, phase = self._parts(state)
        at = phase.roll(1, -1)[..., None]
        slots = slots * (1 - at) + at * inputs[..., None, :]
        return torch.cat([slots.flatten(-2), at[..., 0]], -1)

    def read(self, state: torch.Tensor) -> torch.Tensor:
        slots, phase = self._parts(state)
        return self.unit * (phase.roll(1, -1)[..., None] * slots).sum(-2)

    def initial(self, batch: int) -> torch.Tensor:
        state = torch.zeros(batch, self.hidden, dtype=self.unit.dtype)
        state[:, -1] = 1.0
        return state

    def _parts(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        slots = state[..., : -self.history]
        return slots.unflatten(-1, (self.history, self.dimension)), state[..., -self.history :]


class Magnitudes(RecurrentModel):
    """Bits in one direction, each half as large as the one after it: h_t = h_{t-1} / 2 + u_t."""

    name = "magnitudes_fake"

    def __init__(self, task: Task, *, delay: int) -> None:
        super().__init__()
        self.hidden, self.delay = 1, delay
        self.register_buffer("unit", torch.ones(()))

    def step(self, state: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        return state / 2 + inputs

    def read(self, state: torch.Tensor) -> torch.Tensor:
        """The digit of the state at place `delay`; rounding must not move it across an edge."""
        digits = torch.floor(state * 2**self.delay + 1e-9)
        return self.unit * torch.remainder(digits, 2)


def untrained(task: Task, gain: float, hidden: int = 64, seed: int = 0) -> RecurrentModel:
    """An Elman network of tanh units with W_hh ~ N(0, gain² / H); gain 0: nothing recurs."""
    model = build(Elman, task, hidden=hidden).double()
    normals = np.random.default_rng(seed).normal(size=(hidden, hidden))
    model.W_hh.copy_(torch.from_numpy(gain * normals / np.sqrt(hidden)))
    return model


class Permuted(RecurrentModel):
    """The network fed with the inputs of other sequences: its states belong to other histories."""

    name = "permuted_fake"

    def __init__(self, inner: RecurrentModel) -> None:
        super().__init__()
        self.inner, self.hidden = inner, inner.hidden
        self.offers, self.facts = inner.offers, inner.facts

    def trace(self, inputs: torch.Tensor, steps: int) -> Trace:
        return self.inner.trace(inputs.roll(1, 0), steps)

    def step(self, state: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        return self.inner.step(state, inputs)

    def read(self, state: torch.Tensor) -> torch.Tensor:
        return self.inner.read(state)
