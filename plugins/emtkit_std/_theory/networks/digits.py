"""Digits that a memory corrects."""

import math

import torch
from torch import Tensor


def corrected(memory: Tensor, strength: float) -> Tensor:
    """f(z) = z - strength sin(2 pi z) / (2 pi), of every entry.

    Integers are fixed points of slope 1 - strength, which attract what is less than 1/2 away.
    """
    return memory - strength * torch.sin(2 * math.pi * memory) / (2 * math.pi)
