"""The dense tier: simple recurrences of any size by hand-written forward and backward passes.

    forward   h_t = g_{t-1} W_hh' + u_t W_uh' + b,   g_t = sigma(h_t),   y_t = rho(x_t W_r' + b_r)
    backward  d_t = (e_t W_r + d_{t+1} W_hh) sigma'(h_t),   dW_hh = sum_t d_t' g_{t-1}

x_t is g_t (`reads` "state") or h_t (then e_t W_r joins d_t after sigma'), e_t = dL/dy_t rho'.
Time comes first in every buffer (T M B H), so that a step of all networks is one contiguous batched
product. Weight gradients are added up step by step, while d_t is in the cache: it costs a few per
cent more than one product at the end, needs no memory for d, and what a row does not score adds
exact zeros, so that rows of different horizon share a stack.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from emtkit.plugin.architecture import RecurrentModel, SequenceModel, SimpleRecurrence
from emtkit.plugin.task import Batch
from emtkit.train.stacked import Stacked, average, by_step
from emtkit.train.tier import Step, Tier
from emtkit.train.vmap import VmapTier


class DenseTier(Tier):
    """Losses and gradients of M simple recurrences without autograd; any loss, any dtype."""

    name = "dense"
    rows_share_horizon = True

    def __init__(self) -> None:
        self._plain = VmapTier()
        self._work = _Workspace()

    @staticmethod
    def refusal(model: SequenceModel) -> str | None:
        """None, or why this tier cannot train `model`."""
        form = model.simple_form() if isinstance(model, RecurrentModel) else None
        return f"{model.name} is no simple recurrence" if form is None else None

    def gradients(self, stacked: Stacked, flat: Tensor, batch: Batch, masks: Tensor) -> Step:
        """Losses, gradients and outputs, which are 0 outside the scored steps."""
        network = _network(stacked, flat)
        scored = masks.any(0).nonzero()
        first, end = int(scored[0]), int(scored[-1]) + 1
        inputs = self._work.take("inputs", _time_first(batch.inputs, 0, min(batch.driven, end)))
        run = _forward(network, inputs, first, end, self._work)
        targets = _time_first(batch.targets, first, end)
        if stacked.squares is None:
            judged = _differentiated(run.outputs, stacked, batch, masks, first)
        else:
            judged = _squared(run.outputs, targets, stacked.squares, masks[:, first:end])
        steps = by_step(_in_place(judged.errors, batch.steps, first), masks)
        outputs = _in_place(run.outputs, batch.steps, first)
        slopes = judged.slopes
        if network.form.readout == "relu":
            slopes = torch.ops.aten.threshold_backward(slopes, run.outputs, 0)
        found = _backward(network, inputs, run, slopes, first)
        parts = [found[slot.name].reshape(len(flat), -1) for slot in stacked.slots]
        return Step(average(steps, masks), torch.cat(parts, 1), steps, outputs)

    def outputs(self, stacked: Stacked, flat: Tensor, batch: Batch) -> Tensor:
        """Outputs M B T O by the author's own module."""
        return self._plain.outputs(stacked, flat, batch)


@dataclass(frozen=True)
class _Network:
    """The form of M networks, and their weights by name: W_uh, W_hh, W_r, maybe b and b_r."""

    form: SimpleRecurrence
    weights: dict[str, Tensor]

    @property
    def reads_early(self) -> bool:
        """Whether the readout sees another number than the recurrence passes on."""
        return self.form.reads == "input" and self.form.activation != "linear"


@dataclass(frozen=True)
class _Run:
    """A forward pass: g_t and x_t (T M B H), and y_t of the scored steps (K M B O)."""

    states: Tensor
    shown: Tensor
    outputs: Tensor


@dataclass(frozen=True)
class _Judged:
    """Of the scored steps: errors (K M B) and dL/dy (K M B O)."""

    errors: Tensor
    slopes: Tensor


@dataclass
class _Workspace:
    """Buffers that are used again in every iteration; each grows to the largest size asked for."""

    held: dict[str, Tensor] = field(default_factory=dict)

    def room(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """A contiguous buffer with whatever was in it before."""
        size = math.prod(shape)
        held = self.held.get(name)
        if held is None or held.numel() < size or held.dtype != like.dtype:
            held = self.held[name] = like.new_empty(size)
        return held[:size].view(shape)

    def take(self, name: str, values: Tensor) -> Tensor:
        """A contiguous copy of `values`."""
        return self.room(name, tuple(values.shape), values).copy_(values)


def _network(stacked: Stacked, flat: Tensor) -> _Network:
    model = stacked.template
    form = model.simple_form() if isinstance(model, RecurrentModel) else None
    if form is None:
        raise TypeError(DenseTier.refusal(model))
    return _Network(form, stacked.parameters(flat))


def _forward(network: _Network, inputs: Tensor, first: int, end: int, work: _Workspace) -> _Run:
    """States of the steps before `end`, from inputs (s M B I), and outputs from `first` on."""
    driven, models, batch, _ = inputs.shape
    weights = network.weights
    recur = weights["W_hh"].transpose(1, 2).contiguous()
    write = weights["W_uh"].transpose(1, 2).contiguous()
    read = weights["W_r"].transpose(1, 2).contiguous()
    shape = (end, models, batch, recur.shape[1])
    states = work.room("states", shape, inputs)
    shown = work.room("shown", shape, inputs) if network.reads_early else states
    for t in range(end):
        state = shown[t]
        if t < driven:
            _product(inputs[t], write, weights.get("b"), state)
            if t:
                state.baddbmm_(states[t - 1], recur)
        else:
            _product(states[t - 1], recur, weights.get("b"), state)
        _activate(state, network.form.activation, states[t])
    outputs = work.room("outputs", (end - first, models, batch, read.shape[2]), inputs)
    for t in range(first, end):
        _product(shown[t], read, weights.get("b_r"), outputs[t - first])
    if network.form.readout == "relu":
        outputs.clamp_(min=0)
    return _Run(states, shown, outputs)


def _backward(
    network: _Network, inputs: Tensor, run: _Run, slopes: Tensor, first: int
) -> dict[str, Tensor]:
    """Gradients of all weights (M, ...), from dL/d(x W_r' + b_r) of the scored steps (K M B O)."""
    found = {name: torch.zeros_like(weight) for name, weight in network.weights.items()}
    recur, read = network.weights["W_hh"], network.weights["W_r"]
    delta, after = torch.zeros_like(run.states[0]), torch.zeros_like(run.states[0])
    for t in reversed(range(len(run.states))):
        torch.bmm(after, recur, out=delta)
        if network.reads_early:
            _deactivate(delta, network.form.activation, run.states[t])
        if t >= first:
            slope = slopes[t - first]
            found["W_r"].baddbmm_(slope.transpose(1, 2), run.shown[t])
            delta.baddbmm_(slope, read)
        if not network.reads_early:
            _deactivate(delta, network.form.activation, run.states[t])
        if t:
            found["W_hh"].baddbmm_(delta.transpose(1, 2), run.states[t - 1])
        if t < len(inputs):
            found["W_uh"].baddbmm_(delta.transpose(1, 2), inputs[t])
        if "b" in found:
            found["b"].add_(delta.sum(1))
        delta, after = after, delta
    if "b_r" in found:
        for slope in slopes.flip(0):
            found["b_r"].add_(slope.sum(1))
    return found


def _product(rows: Tensor, matrix: Tensor, bias: Tensor | None, out: Tensor) -> None:
    """out = rows matrix + bias, for M networks."""
    if bias is None:
        torch.bmm(rows, matrix, out=out)
    else:
        torch.baddbmm(bias.unsqueeze(1), rows, matrix, out=out)


def _activate(values: Tensor, activation: str, out: Tensor) -> None:
    """out = sigma(values); they may be one tensor."""
    if activation == "tanh":
        np.tanh(values.numpy(), out=out.numpy())  # six times as fast as torch's
    elif activation == "relu":
        torch.clamp(values, min=0, out=out)
    elif out.data_ptr() != values.data_ptr():
        out.copy_(values)


def _deactivate(delta: Tensor, activation: str, states: Tensor) -> None:
    """delta *= sigma'(h), which g = sigma(h) tells; in place."""
    if activation == "tanh":
        torch.ops.aten.tanh_backward(delta, states, grad_input=delta)
    elif activation == "relu":
        torch.ops.aten.threshold_backward(delta, states, 0, grad_input=delta)


def _squared(outputs: Tensor, targets: Tensor, weights: Tensor, masks: Tensor) -> _Judged:
    """sum_o w_o (y_o - target_o)² (K M B) and its mean's slopes, w (M O), masks (M K)."""
    difference = outputs - targets
    by_channel = weights.to(outputs.dtype).unsqueeze(1)
    errors = (difference.square() * by_channel).sum(-1)
    share = masks / (masks.sum(1, keepdim=True) * outputs.shape[2])
    scale = 2.0 * share.T[:, :, None, None] * by_channel
    return _Judged(errors, difference.mul_(scale))


def _differentiated(
    outputs: Tensor, stacked: Stacked, batch: Batch, masks: Tensor, first: int
) -> _Judged:
    """Errors and slopes of any loss, by autograd of the outputs alone."""
    leaf = _in_place(outputs, batch.steps, first).requires_grad_()
    errors = stacked.errors(leaf, batch)
    (found,) = torch.autograd.grad(Tier.losses(errors, masks).sum(), [leaf])
    end = first + len(outputs)
    return _Judged(
        _time_first(errors.detach(), first, end), _time_first(found, first, end).contiguous()
    )


def _time_first(values: Tensor, first: int, end: int) -> Tensor:
    """Steps of a tensor M B T ... as T M B ...: a view."""
    return values[:, :, first:end].movedim(2, 0)


def _in_place(values: Tensor, steps: int, first: int) -> Tensor:
    """K M B ... at its place among all steps, M B T ...; zeros elsewhere."""
    count, models, batch = values.shape[:3]
    full = values.new_zeros((models, batch, steps, *values.shape[3:]))
    full[:, :, first : first + count] = values.movedim(0, 2)
    return full
