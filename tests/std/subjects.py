"""Small subjects for tests of analyses: a task, a network, and a stream without a seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from emtkit import History, RecurrentModel, SequenceModel, Stream, Subject, Task
from emtkit.plugin.params import build_arguments, resolve


def build(cls: type[SequenceModel], task: Task, **parameters: Any) -> SequenceModel:
    """The model with its defaults resolved, as the core builds it."""
    values = resolve(cls, parameters).values
    reason = cls.accepts(task, values)
    assert reason is None, reason
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return cls(task, **build_arguments(cls, values)).eval().requires_grad_(False)


def subject_of(
    model: SequenceModel, task: Task, parameters: Mapping[str, Any] | None = None
) -> Subject:
    """What an analysis is given."""
    history = History(np.zeros(0), 0, "loop")
    return Subject(task, model, parameters or {}, history, Stream(None, "analysis"))


class Register(RecurrentModel):
    """Keeps item k in place k and reads the places in turn: memory without a wave (repeat copy)."""

    name = "register_fake"

    def __init__(self, task: Task, *, history: int = 4, dimension: int = 4) -> None:
        super().__init__()
        self.history, self.dimension = history, dimension
        self.hidden = history * dimension
        self.register_buffer("unit", torch.ones(()))

    def step(self, state: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        return state

    def read(self, state: torch.Tensor) -> torch.Tensor:
        return state[..., : self.dimension] * self.unit

    def encode(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.flatten(1)
