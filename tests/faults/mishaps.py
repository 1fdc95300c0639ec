"""A network and an analysis that go wrong on demand: a loose plugin file, as workers load it.

The mishap happens only on tasks whose gain is below 0.3, so that a stack holds both kinds.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Literal

import torch
from torch import Tensor, nn

from emtkit import Analysis, Findings, RecurrentModel, Subject, Task, hookimpl

Mishap = Literal["none", "kill", "hang", "hog", "raise", "exit", "shape", "nan", "slow"]


def befall(mishap: str) -> None:
    print(f"about to {mishap}")
    if mishap == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif mishap == "hang":
        while True:
            time.sleep(0.01)
    elif mishap == "hog":
        held = []
        while True:
            held.append(torch.ones(2**24))
            time.sleep(0.002)
    elif mishap == "raise":
        raise RuntimeError("this network does not like its task")
    elif mishap == "exit":
        sys.exit(3)


class Mishaps(RecurrentModel):
    """h_t = tanh(W_hh h_{t-1} + W_uh u_t), until something happens."""

    name = "mishap_fake"

    def __init__(self, task: Task, *, hidden: int = 6, mishap: Mishap = "none") -> None:
        super().__init__()
        self.hidden = hidden
        self.mishap = mishap if getattr(task, "gain", 1.0) < 0.3 else "none"
        self.W_hh = nn.Parameter(torch.randn(hidden, hidden) * 0.5)
        self.W_uh = nn.Parameter(torch.randn(hidden, task.channels.inputs))
        self.W_r = nn.Parameter(torch.randn(task.channels.outputs, hidden))
        self.register_buffer("late", torch.tensor(float(self.mishap == "nan")))
        befall(self.mishap)

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        new = torch.tanh(state @ self.W_hh.T + inputs @ self.W_uh.T)
        return new / (1 - self.late)

    def read(self, state: Tensor) -> Tensor:
        outputs = state @ self.W_r.T
        return outputs[..., :1] if self.mishap == "shape" else outputs


class Look(Analysis):
    """Answers 1, or goes wrong, on tasks with a small gain."""

    name = "mishap_look"

    def __init__(self, *, mishap: Mishap = "none") -> None:
        self.mishap = mishap

    def measure(self, subject: Subject) -> Findings:
        if getattr(subject.task, "gain", 1.0) < 0.3:
            befall(self.mishap)
            if self.mishap == "nan":
                return Findings({"seen": float("nan")})
            if self.mishap == "shape":
                return [1.0]  # type: ignore[return-value]
        return Findings({"seen": 1.0})


@hookimpl
def emtkit_architectures():
    return [Mishaps]


@hookimpl
def emtkit_analyses():
    return [Look]
