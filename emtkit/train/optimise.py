"""Adam, AdamW and SGD over a stack: rate, decay and clip differ by row, the arithmetic does not.

Parameters, gradients and moments are flat M P buffers. A row's update uses nothing of its
neighbours, so that it has the same bits in any stack.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emtkit.study.settings import Cosine, Step, Training

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Moments:
    """Adam's running means of the gradient and of its square, each M P."""

    first: Tensor
    second: Tensor


def rate(training: Training, iteration: int) -> float:
    """Learning rate of the iteration that starts after `iteration` finished ones."""
    schedule = training.schedule
    done = iteration / max(training.steps, 1)
    if isinstance(schedule, Cosine) and done > schedule.start:
        phase = (done - schedule.start) / (1 - schedule.start)
        share = schedule.end + (1 - schedule.end) * 0.5 * (1 + math.cos(math.pi * phase))
        return training.lr * share
    if isinstance(schedule, Step) and done >= schedule.at:
        return training.lr * schedule.factor
    return training.lr


def clip(gradients: Tensor, trainings: Sequence[Training]) -> Tensor:
    """Scale each row (P) of `gradients` so that its norm is at most the row's `clip`; in place."""
    limits = [math.inf if t.clip is None else t.clip for t in trainings]
    if all(math.isinf(limit) for limit in limits):
        return gradients
    norms = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
    scale = (_column(limits, gradients) / (norms + 1e-6)).clamp(max=1.0)
    return gradients.mul_(scale)


def update(
    parameters: Tensor,
    gradients: Tensor,
    moments: Moments,
    trainings: Sequence[Training],
    iterations: Sequence[int],
) -> None:
    """One step of every row, in place.

    `adam`: coupled L2 (the decay is added to the clipped gradient); `adamw`: decoupled; `sgd`:
    plain, with coupled L2. All rows of a stack share the optimiser. Source: Kingma and Ba 2015,
    algorithm 1; Loshchilov and Hutter 2019, algorithm 2.
    """
    optimizer = trainings[0].optimizer
    rates = _rates(trainings, iterations)
    decays = [training.weight_decay for training in trainings]
    if any(decays):
        if optimizer == "adamw":
            shrink = [1 - a * b for a, b in zip(rates, decays, strict=True)]
            parameters.mul_(_column(shrink, parameters))
        else:
            gradients = gradients + parameters * _column(decays, parameters)
    if optimizer == "sgd":
        parameters.sub_(gradients * _column(rates, parameters))
        return
    moments.first.lerp_(gradients, 1 - FIRST_DECAY)
    moments.second.mul_(SECOND_DECAY).addcmul_(gradients, gradients, value=1 - SECOND_DECAY)
    size = [a / (1 - FIRST_DECAY ** (i + 1)) for a, i in zip(rates, iterations, strict=True)]
    root = [math.sqrt(1 - SECOND_DECAY ** (i + 1)) for i in iterations]
    spread = moments.second.sqrt().div_(_column(root, parameters)).add_(EPSILON)
    parameters.sub_((moments.first / spread).mul_(_column(size, parameters)))


def _rates(trainings: Sequence[Training], iterations: Sequence[int]) -> list[float]:
    """`rate` of every row; rows that share their training and iteration share the answer."""
    known: dict[tuple[int, int], float] = {}
    found = []
    for training, iteration in zip(trainings, iterations, strict=True):
        key = (id(training), iteration)
        if key not in known:
            known[key] = rate(training, iteration)
        found.append(known[key])
    return found


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)
