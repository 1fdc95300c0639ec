"""The state of one network in training, and its bytes; nothing else survives a segment."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from emtkit.train.curriculum import CurriculumState

End = Literal["done", "stopped", "diverged"]


@dataclass
class RowState:
    """One row: weights and moments (P), the loss so far, the curriculum, and how it ended.

    `end` is None while there is training left.
    """

    parameters: Tensor
    first: Tensor
    second: Tensor
    losses: np.ndarray[Any, Any]
    progress: CurriculumState | None
    iteration: int = 0
    solved_at: int | None = None
    end: End | None = None
    snapshots: dict[int, Tensor] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The row as safetensors; the small numbers travel in its header."""
        tensors = {
            "parameters": self.parameters.contiguous(),
            "first": self.first.contiguous(),
            "second": self.second.contiguous(),
            "losses": torch.from_numpy(self.losses),
            **{f"snapshot.{step}": value for step, value in self.snapshots.items()},
        }
        progress = None if self.progress is None else vars(self.progress)
        small = {
            "iteration": self.iteration,
            "solved_at": self.solved_at,
            "end": self.end,
            "progress": progress,
        }
        return save({k: v.clone() for k, v in tensors.items()}, {"row": json.dumps(small)})

    @staticmethod
    def decode(data: bytes) -> RowState:
        """The row that `encode` wrote."""
        length = int.from_bytes(data[:8], "little")
        small = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["row"])
        tensors = load(data)
        progress = small["progress"]
        return RowState(
            tensors["parameters"],
            tensors["first"],
            tensors["second"],
            tensors["losses"].numpy(),
            None if progress is None else CurriculumState(**progress),
            small["iteration"],
            small["solved_at"],
            small["end"],
            {
                int(name.removeprefix("snapshot.")): value
                for name, value in tensors.items()
                if name.startswith("snapshot.")
            },
        )
