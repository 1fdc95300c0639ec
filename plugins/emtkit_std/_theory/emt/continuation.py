"""Histories continued by a rule, in torch: by products with f, or exactly where f only selects."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from emtkit_std._theory.emt.selection import Array, ModeSelection


def by_operator(start: Tensor, operator: Array, horizon: int) -> Tensor:
    """Targets (B s+horizon d) of histories (B s d) that f (d, s d) continues, the first s zero."""
    f = torch.from_numpy(operator.T.copy()).to(start)
    window, terms = start.flatten(1), [torch.zeros_like(start)]
    for _ in range(horizon):
        following = window @ f
        terms.append(following[:, None])
        window = torch.cat([window[:, len(operator) :], following], 1)
    return torch.cat(terms, 1)


def by_selection(start: Tensor, rule: ModeSelection, horizon: int) -> Tensor:
    """Targets (... s+horizon d) of histories (... s d) that a rule continues, the first s zero."""
    index, sign = _whole(rule, horizon, start.device)
    size = rule.history * rule.dimension
    targets = start.reshape(-1, size).index_select(1, index)
    targets[:, :size] = 0.0
    if sign is not None:
        targets[:, size:] *= sign.to(start.dtype)
    return targets.view(*start.shape[:-2], rule.history + horizon, rule.dimension)


@lru_cache(maxsize=256)
def unrolled(rule: ModeSelection, horizon: int) -> tuple[Tensor, Tensor]:
    """Every target as one coordinate of the history and its sign: two vectors (horizon d)."""
    size = rule.history * rule.dimension
    index, sign = np.arange(size), np.ones(size, dtype=np.int64)
    source, flips = np.array(rule.source), np.array(rule.sign)
    for step in range(horizon):
        read = source + step * rule.dimension
        index, sign = np.append(index, index[read]), np.append(sign, sign[read] * flips)
    return torch.from_numpy(index[size:].copy()), torch.from_numpy(sign[size:].copy())


@lru_cache(maxsize=64)
def _whole(rule: ModeSelection, horizon: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """`unrolled` on a device, its index from the first step on; no sign where none is flipped."""
    index, sign = unrolled(rule, horizon)
    received = index.new_zeros(rule.history * rule.dimension)
    flips = sign.to(device) if bool((sign < 0).any()) else None
    return torch.cat([received, index]).to(device), flips
