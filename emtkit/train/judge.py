"""How wrong the outputs of scored steps are, and which way they should move; time comes first."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from emtkit.plugin.task import Batch
from emtkit.train.stacked import Stacked
from emtkit.train.tier import Tier


@dataclass(frozen=True)
class Judged:
    """Of the scored steps: errors (K M B) and dL/dy (K M B O)."""

    errors: Tensor
    slopes: Tensor


def judged(outputs: Tensor, stacked: Stacked, batch: Batch, masks: Tensor, first: int) -> Judged:
    """Errors and slopes of the outputs (K M B O) of the steps from `first` on."""
    end = first + len(outputs)
    if stacked.squares is None:
        return differentiated(outputs, stacked, batch, masks, first)
    targets = time_first(batch.targets, first, end)
    return squared(outputs, targets, stacked.squares, masks[:, first:end])


def squared(outputs: Tensor, targets: Tensor, weights: Tensor, masks: Tensor) -> Judged:
    """sum_o w_o (y_o - target_o)² (K M B) and its mean's slopes, w (M O), masks (M K)."""
    difference = outputs - targets
    by_channel = weights.to(outputs.dtype).unsqueeze(1)
    errors = (difference.square() * by_channel).sum(-1)
    share = masks / (masks.sum(1, keepdim=True) * outputs.shape[2])
    scale = 2.0 * share.T[:, :, None, None] * by_channel
    return Judged(errors, difference.mul_(scale))


def differentiated(
    outputs: Tensor, stacked: Stacked, batch: Batch, masks: Tensor, first: int
) -> Judged:
    """Errors and slopes of any loss, by autograd of the outputs alone."""
    leaf = in_place(outputs, batch.steps, first).requires_grad_()
    errors = stacked.errors(leaf, batch)
    (found,) = torch.autograd.grad(Tier.losses(errors, masks).sum(), [leaf])
    end = first + len(outputs)
    return Judged(
        time_first(errors.detach(), first, end), time_first(found, first, end).contiguous()
    )


def time_first(values: Tensor, first: int, end: int) -> Tensor:
    """Steps of a tensor M B T ... as T M B ...: a view."""
    return values[:, :, first:end].movedim(2, 0)


def in_place(values: Tensor, steps: int, first: int) -> Tensor:
    """K M B ... at its place among all steps, M B T ...; zeros elsewhere."""
    count, models, batch = values.shape[:3]
    full = values.new_zeros((models, batch, steps, *values.shape[3:]))
    full[:, :, first : first + count] = values.movedim(0, 2)
    return full
