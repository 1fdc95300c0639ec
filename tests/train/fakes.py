"""A small task with horizons and two small networks: enough to train for real."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from emtkit import (
    Analysis,
    Batch,
    Channels,
    Findings,
    RecurrentModel,
    Registry,
    Stream,
    Subject,
    Task,
    hookimpl,
)
from emtkit.study.cells import Cell, PluginConfig, cell_key
from emtkit.study.settings import Training
from tests.rounding import assert_rounded_rows


class Repeat(Task):
    """Hear `history` signs, then repeat them, scaled by `gain`."""

    name = "repeat_fake"
    horizons = True

    def __init__(self, *, history: int = 2, horizon: int = 4, gain: float = 1.0) -> None:
        self.history, self.horizon, self.gain = history, horizon, gain
        self.evaluation_horizon = 2 * horizon

    @property
    def channels(self) -> Channels:
        return Channels(2, 2)

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        scored = self.horizon if horizon is None else horizon
        heard = stream.signs((batch, self.history, 2))
        silence = heard.new_zeros(batch, scored, 2)
        asked = heard.repeat(1, scored // self.history + 1, 1)[:, :scored] * self.gain
        mask = torch.cat([heard.new_zeros(self.history), heard.new_ones(scored)])
        return Batch(
            torch.cat([heard, silence], 1),
            torch.cat([torch.zeros_like(heard), asked], 1),
            mask,
            self.history,
        )

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return (outputs - batch.targets).square().mean(-1)

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        right = ((outputs >= 0) == (batch.targets >= 0)).to(outputs.dtype).mean((0, 2))
        return {"accuracy": (right * batch.mask).sum() / batch.mask.sum()}


class Tanh(RecurrentModel):
    """h_t = tanh(W_hh h_{t-1} + W_uh u_t), y_t = W_r h_t; `scale` is a buffer from the task."""

    name = "tanh_fake"

    def __init__(self, task: Task, *, hidden: int = 6, gain: float = 0.5) -> None:
        super().__init__()
        self.hidden = hidden
        channels = task.channels
        self.W_hh = nn.Parameter(torch.randn(hidden, hidden) * gain)
        self.W_uh = nn.Parameter(torch.randn(hidden, channels.inputs))
        self.W_r = nn.Parameter(torch.randn(channels.outputs, hidden))
        self.register_buffer("scale", torch.tensor(float(getattr(task, "gain", 1.0))))

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        return torch.tanh(state @ self.W_hh.T + inputs @ self.W_uh.T)

    def read(self, state: Tensor) -> Tensor:
        return (state @ self.W_r.T) * self.scale


class Branching(Tanh):
    """The same network with a data-dependent branch, which has no batching rule."""

    name = "branching_fake"

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        new = super().step(state, inputs)
        return new if bool((new.abs() <= 1).all()) else new * 0


class Exploding(Tanh):
    """A network without a bound: h_t = 9 h_{t-1} + W_uh u_t."""

    name = "exploding_fake"

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        return 9.0 * state + state @ self.W_hh.T + inputs @ self.W_uh.T


class Raising(Tanh):
    """A network that cannot be trained with seed-dependent luck: it raises on large weights."""

    name = "raising_fake"

    def __init__(self, task: Task, *, hidden: int = 6, gain: float = 0.5) -> None:
        super().__init__(task, hidden=hidden, gain=gain)
        if float(self.W_hh.detach()[0, 0]) > 0:
            raise ValueError("the first weight is positive")


class Radius(Analysis):
    """Spectral radius of W_hh: max |eig(W_hh)|."""

    name = "radius_fake"
    models = RecurrentModel

    def measure(self, subject: Subject) -> Findings:
        radius = torch.linalg.eigvals(subject.model.get_parameter("W_hh")).abs().max()
        drawn = float(subject.stream.uniform((1,)))
        return Findings({"radius": float(radius), "drawn": drawn})


REGISTRY = Registry.of(Repeat, Tanh, Branching, Exploding, Raising, Radius)


@hookimpl
def emtkit_tasks():
    return [Repeat]


@hookimpl
def emtkit_architectures():
    return [Tanh, Branching, Exploding, Raising]


@hookimpl
def emtkit_analyses():
    return [Radius]


def cell(
    seed: int, architecture: str = "tanh_fake", task: dict[str, object] | None = None, **training
) -> Cell:
    defaults = {"steps": 12, "batch": 5, "lr": 1e-2}
    setting = Training.model_validate({**defaults, **training})
    full = {"history": 2, "horizon": 4, "gain": 1.0, **(task or {})}
    chosen = PluginConfig("repeat_fake", 1, full)
    network = PluginConfig(architecture, 1, {"hidden": 6, "gain": 0.5})
    key = cell_key(chosen, network, setting, seed, True)
    return Cell(key, chosen, network, setting, seed, True)


def assert_same_path(found, single, double) -> None:
    """Rows were trained as a reference was in single and in double precision, but for rounding."""
    steps = max(len(row.losses) for row in found)
    for name in ("parameters", "losses"):
        rows = [np.stack([getattr(row, name) for row in each]) for each in (found, single, double)]
        assert_rounded_rows(*rows, size=2 * steps, dtype=found[0].parameters.dtype)
    for fast, slow in zip(found, double, strict=True):
        assert getattr(fast.progress, "horizon", None) == getattr(slow.progress, "horizon", None)
