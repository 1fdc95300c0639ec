"""Simple recurrences forward and back, all steps by hand.

    forward   h_t = A [u_t ; 1 ; g_{t-1}],   g_t = sigma(h_t),   y_t = rho(R [1 ; x_t])
    backward  d_t = (S [e_t ; d_{t+1}]) sigma'(h_t),   dA = sum_t d_t [u_t ; 1 ; g_{t-1}]',
              dR = sum_t e_t [1 ; x_t]'

    A = [W_uh | b | W_hh]  (H, I + n + H),   R = [b_r | W_r]  (O, n + H),   S = [W_r' | W_hh']

with n = 1 where there is any bias, else 0; e_t = dL/dy_t rho'. x_t is g_t (`reads` "activation")
or h_t (then W_r' e_t joins d_t after sigma'). Time comes first and sequences last in every buffer
(T M C B): a step of all networks is one batched product whose long side is the contiguous one, two
to six times as fast where C is small. Memory is read and written as little as can be: going back,
each step is read out, held against its target and added to the weight gradients while its state is
in the cache, and neither y, e nor d is kept. What a row does not score adds exact zeros, so that
rows of different horizon share a stack.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from emtkit.plugin.architecture import SimpleRecurrence

Slopes = Callable[[int, Tensor, Tensor], object]
"""Writes dL/dy of the n-th scored step, whose outputs are given (M O B), into the last tensor."""


@dataclass(frozen=True)
class Sizes:
    """What M networks are, and how far they run: outputs from step `first` to before `end`."""

    form: SimpleRecurrence
    models: int
    sequences: int
    inputs: int
    hidden: int
    outputs: int
    ones: int
    input_steps: int
    first: int
    end: int

    @property
    def is_linear(self) -> bool:
        """Whether the state is a sum of past inputs and nothing else, the readout aside."""
        return self.form.activation == "linear"

    @property
    def reads_early(self) -> bool:
        """Whether the readout sees another number than the recurrence passes on."""
        return self.form.reads == "preactivation" and not self.is_linear


@dataclass(frozen=True)
class Matrices:
    """A (M H I+n+H), R (M O n+H) and S (M H O+H) of M networks."""

    forward: Tensor
    readout: Tensor
    backward: Tensor

    @classmethod
    def of(cls, weights: Mapping[str, Tensor], ones: int) -> "Matrices":
        """From the weights by name: W_uh, W_hh, W_r, maybe b and b_r."""
        hear, recur, read = weights["W_uh"], weights["W_hh"], weights["W_r"]
        biases = [
            weights[name].unsqueeze(2) if name in weights else like.new_zeros(*like.shape[:2], 1)
            for name, like in (("b", recur), ("b_r", read))
        ]
        before, beside = ([bias] if ones else [] for bias in biases)
        return cls(
            torch.cat([hear, *before, recur], 2),
            torch.cat([*beside, read], 2),
            torch.cat([read.transpose(1, 2), recur.transpose(1, 2)], 2),
        )


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


class Passes:
    """The passes of networks of some sizes. It keeps views of its buffers, one for each step."""

    def __init__(self, sizes: Sizes, like: Tensor, work: Workspace) -> None:
        self.sizes, ones = sizes, sizes.ones
        models, many = sizes.models, sizes.sequences
        start = sizes.inputs + ones
        self._joined = work.room(
            "joined", (sizes.end + 1, models, start + sizes.hidden, many), like
        )
        self._drive = work.room("drive", (models, sizes.hidden, many), like)
        self._slopes = work.room("slopes", (models, sizes.outputs + sizes.hidden, many), like)
        self._read = work.room("read", (models, sizes.outputs, many), like)
        self._whole = list(self._joined[: sizes.input_steps].unbind(0))
        self._passed = [at[:, sizes.inputs :] for at in self._joined.unbind(0)]
        self._states = [at[:, start:] for at in self._joined.unbind(0)]
        self._shown: Tensor | None = None
        self._seen = self._passed[1:]
        if sizes.reads_early:
            room = (sizes.end, models, ones + sizes.hidden, many)
            self._shown = work.room("shown", room, like)
            self._seen = list(self._shown.unbind(0))
        self._given = self._slopes[:, : sizes.outputs]
        self._delta = self._slopes[:, sizes.outputs :]

    def forward(self, matrices: Matrices, inputs: Tensor) -> None:
        """All states from inputs (M B s I)."""
        sizes, drive = self.sizes, self._drive
        self._begin(inputs)
        alone = matrices.forward[:, :, sizes.inputs :]
        for t in range(sizes.end):
            if t < sizes.input_steps:
                torch.bmm(matrices.forward, self._whole[t], out=drive)
            else:
                torch.bmm(alone, self._passed[t], out=drive)
            if sizes.reads_early:
                self._seen[t][:, sizes.ones :].copy_(drive)
            _activate(drive, sizes.form.activation, self._states[t + 1])

    def outputs(self, matrices: Matrices) -> Tensor:
        """Outputs of the scored steps (K M O B) after `forward`, in memory of their own."""
        sizes = self.sizes
        found = self._read.new_empty((sizes.end - sizes.first, *self._read.shape))
        for t in range(sizes.first, sizes.end):
            self._read_out(matrices, t, found[t - sizes.first])
        return found

    def backward(self, matrices: Matrices, slopes: Slopes) -> dict[str, Tensor]:
        """Gradients of all weights (M, ...) after `forward`."""
        sizes, given, delta = self.sizes, self._given, self._delta
        input_steps = torch.zeros_like(matrices.forward)
        silent = torch.zeros_like(matrices.forward[:, :, sizes.inputs :])
        readout = torch.zeros_like(matrices.readout)
        delta.zero_()
        for t in reversed(range(sizes.end)):
            if t >= sizes.first:
                self._read_out(matrices, t, self._read)
                slopes(t - sizes.first, self._read, given)
                if sizes.form.readout == "relu":
                    torch.ops.aten.threshold_backward(given, self._read, 0, grad_input=given)
                readout.baddbmm_(given, self._seen[t].transpose(1, 2))
            elif t == sizes.first - 1:
                given.zero_()
            self._step_back(matrices, t)
            if t < sizes.input_steps:
                input_steps.baddbmm_(delta, self._whole[t].transpose(1, 2))
            else:
                silent.baddbmm_(delta, self._passed[t].transpose(1, 2))
        input_steps[:, :, sizes.inputs :] += silent
        return self._named(input_steps, readout)

    def _begin(self, inputs: Tensor) -> None:
        """Inputs and ones to their places, and the zero state."""
        sizes, joined = self.sizes, self._joined
        turned = inputs[:, :, : sizes.input_steps].permute(2, 0, 3, 1)
        place = joined[: sizes.input_steps, :, : sizes.inputs]
        if place.is_cpu:
            np.copyto(place.numpy(), turned.numpy())  # half the time of torch's copy
        else:
            place.copy_(turned)
        self._states[0].zero_()
        if sizes.ones:
            joined[:, :, sizes.inputs] = 1.0
            if self._shown is not None:
                self._shown[:, :, 0] = 1.0

    def _read_out(self, matrices: Matrices, t: int, outputs: Tensor) -> None:
        """y_t (M O B)."""
        torch.bmm(matrices.readout, self._seen[t], out=outputs)
        if self.sizes.form.readout == "relu":
            outputs.clamp_(min=0)

    def _step_back(self, matrices: Matrices, t: int) -> None:
        """d_t from e_t and d_{t+1}, in its place.

        By the same products where nothing is scored: a row's bits would else tell which steps its
        neighbours score.
        """
        sizes, drive, delta = self.sizes, self._drive, self._delta
        kind, states = sizes.form.activation, self._states[t + 1]
        back = matrices.backward
        if not sizes.reads_early:
            torch.bmm(back, self._slopes, out=drive)
            _deactivate(drive, kind, states, delta)
            return
        torch.bmm(back[:, :, sizes.outputs :], delta, out=drive)
        _deactivate(drive, kind, states, delta)
        torch.bmm(back[:, :, : sizes.outputs], self._given, out=drive)
        delta.add_(drive)

    def _named(self, forward: Tensor, readout: Tensor) -> dict[str, Tensor]:
        inputs, ones = self.sizes.inputs, self.sizes.ones
        return {
            "W_uh": forward[:, :, :inputs],
            "b": forward[:, :, inputs],
            "W_hh": forward[:, :, inputs + ones :],
            "b_r": readout[:, :, 0],
            "W_r": readout[:, :, ones:],
        }


def _activate(values: Tensor, activation: str, out: Tensor) -> None:
    """out = sigma(values)."""
    if activation == "linear":
        out.copy_(values)
    elif activation == "relu":
        torch.clamp(values, min=0, out=out)
    elif out.is_cpu:
        np.tanh(values.numpy(), out=out.numpy())  # six times as fast as torch's
    else:
        torch.tanh(values, out=out)


def _deactivate(values: Tensor, activation: str, states: Tensor, out: Tensor) -> None:
    """out = values * sigma'(h), which g = sigma(h) tells."""
    if activation == "linear":
        out.copy_(values)
    elif activation == "relu":
        torch.ops.aten.threshold_backward(values, states, 0, grad_input=out)
    else:
        torch.ops.aten.tanh_backward(values, states, grad_input=out)
