"""The state of one network in training, and its bytes; nothing else survives a segment."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from emtkit.methods.curricula.base import CurriculumState

End = Literal["done", "stopped", "diverged"]

_SNAPSHOT = "snapshot."


@dataclass
class RowState:
    """One row: weights (P), the loss so far, the curriculum, and how it ended.

    `seconds` are those that its training took so far: its share of those of its stacks.
    `buffers` (P each) are what the optimiser keeps. `end` is None while there is training left.
    """

    parameters: Tensor
    buffers: dict[str, Tensor]
    losses: np.ndarray[Any, Any]
    progress: CurriculumState | None
    iteration: int = 0
    solved_at: int | None = None
    end: End | None = None
    snapshots: dict[int, Tensor] = field(default_factory=dict)
    seconds: float = 0.0

    def encode(self) -> bytes:
        """The row as safetensors; the small numbers travel in its header."""
        tensors = {
            "parameters": self.parameters,
            "losses": torch.from_numpy(self.losses),
            **self.buffers,
            **{f"{_SNAPSHOT}{step}": value for step, value in self.snapshots.items()},
        }
        now = self.progress
        small = {
            "iteration": self.iteration,
            "solved_at": self.solved_at,
            "end": self.end,
            "seconds": self.seconds,
            "progress": None if now is None else {"horizon": now.horizon, **now.memory},
        }
        copies = {name: value.clone().contiguous() for name, value in tensors.items()}
        return save(copies, {"row": json.dumps(small)})

    @staticmethod
    def decode(data: bytes) -> "RowState":
        """The row that `encode` wrote."""
        length = int.from_bytes(data[:8], "little")
        small = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["row"])
        tensors, memory = load(data), small["progress"]
        taken = [int(name[len(_SNAPSHOT) :]) for name in tensors if name.startswith(_SNAPSHOT)]
        snapshots = {step: tensors.pop(f"{_SNAPSHOT}{step}") for step in taken}
        return RowState(
            tensors.pop("parameters"),
            losses=tensors.pop("losses").numpy(),
            progress=memory and CurriculumState(memory.pop("horizon"), memory),
            iteration=small["iteration"],
            solved_at=small["solved_at"],
            end=small["end"],
            snapshots=snapshots,
            seconds=small.get("seconds", 0.0),
            buffers=tensors,
        )
