"""How wrong the outputs of scored steps are, and which way they should move; sequences last."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from emtkit.plugin.task import Batch
from emtkit.train.stack import Stacked, average
from emtkit.train.tiers.base import Span, Tier


class Criterion(ABC):
    """Looks at the outputs of scored steps, one step at a time, while they are in the cache."""

    @abstractmethod
    def slopes(self, step: int, outputs: Tensor, found: Tensor) -> None:
        """dL/dy of the `step`-th scored step, from its outputs (M O B), into `found` (M O B)."""

    @abstractmethod
    def errors(self) -> Tensor:
        """Mean errors (K M) of the scored steps, once all have been looked at."""


class Squares(Criterion):
    """sum_o w_o (y_o - target_o)², weights w (M O); scored by `masks` (M T) within `span`."""

    def __init__(self, weights: Tensor, targets: Tensor, masks: Tensor, span: Span) -> None:
        first, end = span.first, span.end
        self._targets = _turned(targets[:, :, first:end]).unbind(1)
        self._weights = weights.to(targets.dtype)
        self._sequences = targets.shape[1]
        share = masks[:, first:end] / (masks.sum(1, keepdim=True) * self._sequences)
        scales = 2.0 * share.T.unsqueeze(2) * self._weights
        self._scales = scales.to(targets.dtype).unsqueeze(3).unbind(0)
        self._norms = [self._weights] * (end - first)

    def slopes(self, step: int, outputs: Tensor, found: Tensor) -> None:
        """See `Criterion.slopes`."""
        torch.sub(outputs, self._targets[step], out=found)
        self._norms[step] = torch.linalg.vector_norm(found, dim=2)
        found.mul_(self._scales[step])

    def errors(self) -> Tensor:
        """See `Criterion.errors`."""
        return (torch.stack(self._norms).square() * self._weights).sum(2) / self._sequences


class AnyLoss(Criterion):
    """The tasks' own loss of outputs (K M O B), by autograd of the outputs alone."""

    def __init__(
        self, outputs: Tensor, stacked: Stacked, batch: Batch, masks: Tensor, first: int
    ) -> None:
        leaf = in_place(outputs, batch.steps, first).requires_grad_()
        errors = stacked.errors(leaf, batch)
        (found,) = torch.autograd.grad(Tier.losses(errors, masks).sum(), [leaf])
        scored = slice(first, first + len(outputs))
        # Contiguous, so that a row's sum takes one path however many steps are scored.
        self._errors = errors.detach()[:, :, scored].transpose(1, 2).contiguous().mean(2).T
        self._found = _turned(found[:, :, scored])

    def slopes(self, step: int, outputs: Tensor, found: Tensor) -> None:
        """See `Criterion.slopes`."""
        found.copy_(self._found[:, step])

    def errors(self) -> Tensor:
        """See `Criterion.errors`."""
        return self._errors


def criterion_of(
    outputs: Callable[[], Tensor], stacked: Stacked, batch: Batch, masks: Tensor, span: Span
) -> Criterion:
    """The criterion of the steps of `span`, whose `outputs` (K M O B) it may compute."""
    if stacked.squares is None:
        return AnyLoss(outputs(), stacked, batch, masks, span.first)
    return Squares(stacked.squares, batch.targets, masks, span)


def read_losses(errors: Tensor, masks: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """Losses (M) and mean errors of all steps (M T), 0 where a row is not scored; errors K M."""
    steps = errors.new_zeros(masks.shape)
    steps[:, first : first + len(errors)] = errors.T
    steps = torch.where(masks > 0, steps, torch.zeros_like(steps))
    return average(steps, masks), steps


def in_place(values: Tensor, steps: int, first: int) -> Tensor:
    """K M C B at its place among all steps, M B T C; zeros elsewhere."""
    count, models, channels, sequences = values.shape
    full = values.new_zeros((models, sequences, steps, channels))
    full[:, :, first : first + count] = values.permute(1, 3, 0, 2)
    return full


def _turned(values: Tensor) -> Tensor:
    """M B K C with sequences last, M K C B."""
    turned = values.permute(0, 2, 3, 1)
    if not values.is_cpu:
        return turned.contiguous()
    found = values.new_empty(turned.shape)
    np.copyto(found.numpy(), turned.numpy())  # half the time of torch's copy
    return found
