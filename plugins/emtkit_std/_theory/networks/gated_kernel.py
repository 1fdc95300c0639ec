"""Stacked passes through time of `gru` and `lstm`, by hand; the modules hold the equations.

What is kept of a step are its gates after their squashing: s = sigmoid(a) has slope s (1 - s),
p = tanh(a) has 1 - p^2. Weight gradients are added up step by step, so that a step that nobody
scores adds exact zeros.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from emtkit import StackedKernel, Unrolled

_READ = ("W_r", "b_r")
"""Weights that do not move the state."""

_sigmoid_slope = torch.ops.aten.sigmoid_backward.grad_input
_tanh_slope = torch.ops.aten.tanh_backward.grad_input


class GruKernel(StackedKernel):
    """h' = n + z (h - n), n = tanh(x_n + r m), m = W_n h + b_n; kept are r, z, m, n."""

    def forward(self, weights: Mapping[str, Tensor], inputs: Tensor, steps: int) -> Unrolled:
        """States T M B H; r and z of every step (T M B 2H), m and n (T M B H)."""
        recur, write, rest = _turned(weights)
        driven, (models, batch), size = len(inputs), inputs.shape[1:3], recur.shape[1]
        recur, into = recur[..., : 2 * size].contiguous(), recur[..., 2 * size :].contiguous()
        bias = weights.get("b_n")
        inner_bias = rest.new_zeros(1, 1, size) if bias is None else bias.unsqueeze(1)
        states, inner, proposed = inputs.new_empty(3, steps, models, batch, size)
        gates = inputs.new_empty(steps, models, batch, 2 * size)
        state = torch.zeros_like(states[0])
        for t in range(steps):
            drive = torch.baddbmm(rest, inputs[t], write) if t < driven else rest
            torch.baddbmm(drive[..., : 2 * size], state, recur, out=gates[t])
            reset, keep = _sigmoid(gates[t]).split(size, 2)
            torch.baddbmm(inner_bias, state, into, out=inner[t])
            torch.addcmul(drive[..., 2 * size :], reset, inner[t], out=proposed[t])
            _tanh(proposed[t])
            torch.sub(state, proposed[t], out=states[t])
            torch.addcmul(proposed[t], keep, states[t], out=states[t])
            state = states[t]
        return Unrolled(states, (gates, inner, proposed))

    def backward(
        self, weights: Mapping[str, Tensor], inputs: Tensor, run: Unrolled, slopes: Tensor
    ) -> dict[str, Tensor]:
        """From the last step to the first."""
        gates, inners, proposals = run.kept
        steps, models, batch, size = run.states.shape
        found = {k: torch.zeros_like(v) for k, v in weights.items() if k not in _READ}
        toward, spare = torch.zeros_like(run.states[0]), torch.empty_like(run.states[0])
        origin, inward = torch.zeros_like(toward), torch.empty_like(toward)
        drive = inputs.new_empty(models, batch, 3 * size)
        of_reset, of_keep, last = (drive[..., n * size : (n + 1) * size] for n in range(3))
        for t in reversed(range(steps)):
            inner, proposed = inners[t], proposals[t]
            reset, keep = gates[t].split(size, 2)
            before = run.states[t - 1] if t else origin
            if t >= steps - len(slopes):
                toward.add_(slopes[t - steps + len(slopes)])
            torch.sub(before, proposed, out=spare).mul_(toward)
            _sigmoid_slope(spare, keep, grad_input=of_keep)
            torch.mul(toward, keep, out=spare)
            torch.sub(toward, spare, out=inward)
            toward.copy_(spare)
            _tanh_slope(inward, proposed, grad_input=inward)
            torch.mul(inward, inner, out=spare)
            _sigmoid_slope(spare, reset, grad_input=of_reset)
            torch.mul(inward, reset, out=last)  # dL/dm, what the recurrent rows of n see
            toward.baddbmm_(drive, weights["W_hh"])
            found["W_hh"].baddbmm_(drive.transpose(1, 2), before)
            if "b_n" in found:
                found["b_n"].add_(last.sum(1))
            last.copy_(inward)  # dL/da_n, what its input rows see
            _driven(found, drive, inputs, t)
        return found


class LstmKernel(StackedKernel):
    """c' = f c + i g, h' = o tanh(c'); the state is h then c, kept are i, f, g, o and tanh(c')."""

    def forward(self, weights: Mapping[str, Tensor], inputs: Tensor, steps: int) -> Unrolled:
        """States T M B 2n, gates of every step (T M B 4n) and tanh(c) (T M B n)."""
        recur, write, rest = _turned(weights)
        driven, (models, batch), size = len(inputs), inputs.shape[1:3], recur.shape[1]
        states = inputs.new_empty(steps, models, batch, 2 * size)
        gates = inputs.new_empty(steps, models, batch, 4 * size)
        squashed = inputs.new_empty(steps, models, batch, size)
        hidden = carried = inputs.new_zeros(models, batch, size)
        for t in range(steps):
            torch.baddbmm(rest, hidden, recur, out=gates[t])
            if t < driven:
                gates[t].baddbmm_(inputs[t], write)
            enter_keep, proposed, leave = gates[t].split([2 * size, size, size], 2)
            enter_keep.mul_(0.5)
            leave.mul_(0.5)
            _tanh(gates[t])  # of all at once: sigmoid(a) = (1 + tanh(a / 2)) / 2
            enter_keep.mul_(0.5).add_(0.5)
            leave.mul_(0.5).add_(0.5)
            enter, keep = enter_keep.split(size, 2)
            following = states[t, ..., size:]
            torch.mul(enter, proposed, out=following).addcmul_(keep, carried)
            _tanh(squashed[t].copy_(following))
            hidden = torch.mul(leave, squashed[t], out=states[t, ..., :size])
            carried = following
        return Unrolled(states, (gates, squashed))

    def backward(
        self, weights: Mapping[str, Tensor], inputs: Tensor, run: Unrolled, slopes: Tensor
    ) -> dict[str, Tensor]:
        """From the last step to the first."""
        gates, squashed = run.kept
        steps, size = len(gates), squashed.shape[3]
        found = {k: torch.zeros_like(v) for k, v in weights.items() if k not in _READ}
        toward, carried = torch.zeros_like(squashed[0]), torch.zeros_like(squashed[0])
        origin, spare = torch.zeros_like(toward), torch.empty_like(toward)
        drive = torch.empty_like(gates[0])
        of_enter, of_keep, of_proposed, of_leave = drive.split(size, 2)
        for t in reversed(range(steps)):
            enter, keep, proposed, leave = gates[t].split(size, 2)
            before = run.states[t - 1] if t else None
            if t >= steps - len(slopes):
                slope = slopes[t - steps + len(slopes)]
                toward.add_(slope[..., :size])
                carried.add_(slope[..., size:])
            torch.mul(toward, squashed[t], out=of_leave)
            _sigmoid_slope(of_leave, leave, grad_input=of_leave)
            torch.mul(toward, leave, out=spare)
            _tanh_slope(spare, squashed[t], grad_input=spare)
            carried.add_(spare)
            torch.mul(carried, proposed, out=of_enter)
            _sigmoid_slope(of_enter, enter, grad_input=of_enter)
            torch.mul(carried, origin if before is None else before[..., size:], out=of_keep)
            _sigmoid_slope(of_keep, keep, grad_input=of_keep)
            torch.mul(carried, enter, out=of_proposed)
            _tanh_slope(of_proposed, proposed, grad_input=of_proposed)
            carried.mul_(keep)
            torch.bmm(drive, weights["W_hh"], out=toward)
            if before is not None:
                found["W_hh"].baddbmm_(drive.transpose(1, 2), before[..., :size])
            _driven(found, drive, inputs, t)
        return found


def _turned(weights: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """W_hh' and W_uh', laid out for products of rows, and the bias as a row (zeros without)."""
    recur, write = (weights[k].transpose(1, 2).contiguous() for k in ("W_hh", "W_uh"))
    bias = weights.get("b")
    rest = recur.new_zeros(1, 1, recur.shape[2]) if bias is None else bias.unsqueeze(1)
    return recur, write, rest


def _driven(found: dict[str, Tensor], drive: Tensor, inputs: Tensor, t: int) -> None:
    """Add to the gradients of W_uh and b what step `t` adds, from dL/d(W_uh u + b)."""
    if "b" in found:
        found["b"].add_(drive.sum(1))
    if t < len(inputs):
        found["W_uh"].baddbmm_(drive.transpose(1, 2), inputs[t])


def _tanh(values: Tensor) -> Tensor:
    """tanh in place; numpy's is several times as fast as torch's on the processor."""
    if not values.is_cpu:
        return values.tanh_()
    plain = values.numpy()
    np.tanh(plain, out=plain)
    return values


def _sigmoid(values: Tensor) -> Tensor:
    """sigmoid in place, (1 + tanh(a / 2)) / 2."""
    return _tanh(values.mul_(0.5)).mul_(0.5).add_(0.5)
