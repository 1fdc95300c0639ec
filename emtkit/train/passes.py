"""Simple recurrences forward and back, all steps by hand.

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

from emtkit.plugin.architecture import SimpleRecurrence


@dataclass(frozen=True)
class Network:
    """The form of M networks, and their weights by name: W_uh, W_hh, W_r, maybe b and b_r."""

    form: SimpleRecurrence
    weights: dict[str, Tensor]

    @property
    def reads_early(self) -> bool:
        """Whether the readout sees another number than the recurrence passes on."""
        return self.form.reads == "input" and self.form.activation != "linear"

    @property
    def is_linear(self) -> bool:
        """Whether the state is a sum of past inputs and nothing else."""
        return self.form.activation == "linear" and "b" not in self.weights


@dataclass(frozen=True)
class Run:
    """A forward pass: g_t and x_t (T M B H), and y_t of the scored steps (K M B O)."""

    states: Tensor
    shown: Tensor
    outputs: Tensor


@dataclass
class Workspace:
    """Buffers that are used again in every iteration; each grows to the largest size asked for."""

    held: dict[str, Tensor] = field(default_factory=dict)

    def room(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """A contiguous buffer with whatever was in it before."""
        size = math.prod(shape)
        held = self.held.get(name)
        if held is not None and (held.dtype, held.device) != (like.dtype, like.device):
            held = None
        if held is None or held.numel() < size:
            # At least twice what there was: a horizon that grows step by step costs few buffers.
            size = size if held is None else max(size, 2 * held.numel())
            held = self.held[name] = like.new_empty(size)
        return held[: math.prod(shape)].view(shape)

    def take(self, name: str, values: Tensor) -> Tensor:
        """A contiguous copy of `values`."""
        return self.room(name, tuple(values.shape), values).copy_(values)


def forward(network: Network, inputs: Tensor, first: int, end: int, work: Workspace) -> Run:
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
    return Run(states, shown, outputs)


def backward(
    network: Network, inputs: Tensor, run: Run, slopes: Tensor, first: int
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
    """out = sigma(values); they may be one tensor, and are where sigma changes nothing."""
    if activation == "relu":
        torch.clamp(values, min=0, out=out)
    elif activation == "tanh" and out.is_cpu:
        np.tanh(values.numpy(), out=out.numpy())  # six times as fast as torch's
    elif activation == "tanh":
        torch.tanh(values, out=out)


def _deactivate(delta: Tensor, activation: str, states: Tensor) -> None:
    """delta *= sigma'(h), which g = sigma(h) tells; in place."""
    if activation == "tanh":
        torch.ops.aten.tanh_backward(delta, states, grad_input=delta)
    elif activation == "relu":
        torch.ops.aten.threshold_backward(delta, states, 0, grad_input=delta)
