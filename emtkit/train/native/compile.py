"""Kernels as functions of plain integers, compiled by numba and kept in its cache on disk."""

# The compiled functions are untyped by nature; `step` is their typed face.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

import json
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from emtkit.plugin._philox_numba import compiled, fill
from emtkit.train.native.kernels import emit_gradients
from emtkit.train.native.network import Arguments, KernelPlan, Words


@intrinsic(prefer_literal=True)
def _gradients(context, plan, call):
    made = KernelPlan(**json.loads(plan.literal_value))

    def emit(context, builder, signature, values):
        arguments = [builder.extract_value(values[1], n) for n in range(len(call))]
        emit_gradients(builder, made, Arguments(*arguments))
        return context.get_dummy_value()

    return types.void(plan, call), emit


@cache
def gradient_kernel(plan: KernelPlan, digest: int) -> Any:
    """The kernel of one plan, a function of the tuple of `Arguments`.

    numba keys its cache by the constants of the function. The digest of the sources is one of them,
    so that code of other sources, which numba does not watch, is never taken from the disk.
    """
    described = json.dumps(asdict(plan))

    @compiled
    def gradients(call):
        _gradients(described, call)  # type: ignore[call-arg]  # numba gives the context
        return digest

    return gradients


@cache
def training_kernel(plan: KernelPlan, digest: int) -> Any:
    """Whole iterations of one plan: draw, gradient, clip, Adam; arguments as in `fused`.

    Row after row in the order of `turn`, so that rows of one draw meet its words in the cache;
    `modes` says what each does about them (`network.Words`). Ends early, after an iteration in
    which a row's loss or gradient was not finite. Gives the number of iterations done.
    """
    described = json.dumps(asdict(plan))
    spreads, take = not plan.drawn, Words.TAKE.value

    @compiled
    def train(
        sizes, places, counters, turn, modes, limits, words, spread, again, signs, scales, counted,
        back, transposed, absent, order, weights, first, second, gradient, costs, factors, rule,
        losses, healthy,
    ):  # fmt: skip
        batch, padded, steps, input_steps, scored = sizes
        inputs = np.array([spread.ctypes.data])
        counter = np.empty(4, dtype=np.uint64)
        everyone = np.ones(len(turn), dtype=np.bool_)
        for n in range(losses.shape[0]):
            for place in range(len(turn)):
                m = turn[place]
                counter[:] = counters[m]
                counter[2] += np.uint64(n)
                if spreads and modes[place] != take:
                    fill(counter, words)
                    spread_signs(words, spread[:batch])
                for k in range(len(back)):
                    transposed[k] = weights[m, back[k]]
                call = (
                    1, padded, steps, input_steps, scored, weights[m].ctypes.data,
                    transposed.ctypes.data, spread.strides[0], 0, inputs.ctypes.data, 0,
                    scales[m].ctypes.data, places[0], places[1], places[2], places[3], places[4],
                    places[5], places[6], places[7], gradient[m].ctypes.data, costs.ctypes.data,
                    counter.ctypes.data, limits[m:].ctypes.data, modes[place], words.ctypes.data,
                    again[m].ctypes.data, signs[m].ctypes.data,
                )  # fmt: skip
                _gradients(described, call)  # type: ignore[call-arg]  # numba gives the context
                for k in absent:
                    gradient[m, k] = 0.0
                loss = 0.0
                for k in range(scored):
                    if counted[m, k]:
                        loss += costs[k]
                losses[n, m] = loss
                healthy[m] = np.isfinite(loss)
                for k in order:
                    healthy[m] &= np.isfinite(gradient[m, k])
                if not healthy[m]:
                    gradient[m] = 0.0
            clip_and_adam(weights, gradient, first, second, order, factors[n], rule, everyone)
            if not healthy.all():
                return n + 1
        return losses.shape[0] + 0 * digest

    return train


@compiled
def spread_signs(words, out):
    """Bit j of word i -> +1 (set) or -1 as number 32 i + j of `out` (B s I), which bounds them."""
    numbers = out.reshape(out.size)
    whole = out.size // 32
    for i in range(whole):
        for j in range(32):
            bit = (words[i] >> np.uint32(j)) & np.uint32(1)
            numbers[32 * i + j] = np.float32(2.0) * np.float32(bit) - np.float32(1.0)
    for n in range(32 * whole, out.size):
        bit = (words[whole] >> np.uint32(n - 32 * whole)) & np.uint32(1)
        numbers[n] = np.float32(2.0) * np.float32(bit) - np.float32(1.0)


@compiled
def clip_and_adam(parameters, gradient, first, second, order, factors, rule, active):
    """Clip each row of `gradient` (M P) to its norm, then Adam, in place; see `adam`.

    The squares of the norm are added in the `order` given, which places that stay 0 may leave out.
    """
    for m in range(parameters.shape[0]):
        if not active[m]:
            continue
        square = 0.0
        for n in order:
            square += np.float64(gradient[m, n]) * np.float64(gradient[m, n])
        shrink = np.float32(min(1.0, rule.clip[m] / (np.sqrt(square) + 1e-6)))
        if np.isnan(square):
            shrink = np.float32(np.nan)
        kept1, kept2 = np.float32(rule.beta1), np.float32(rule.beta2)
        new1, new2 = np.float32(1.0 - rule.beta1), np.float32(1.0 - rule.beta2)
        coupled = np.float32(0.0 if rule.decoupled else rule.decay[m])
        scale = np.float32(1.0 - factors[0, m] * rule.decay[m] if rule.decoupled else 1.0)
        size, root = np.float32(factors[1, m]), np.float32(1.0 / factors[2, m])
        small = np.float32(rule.epsilon)
        for n in range(parameters.shape[1]):
            value = parameters[m, n]
            slope = gradient[m, n] * shrink + coupled * value
            first[m, n] = kept1 * first[m, n] + new1 * slope
            second[m, n] = kept2 * second[m, n] + new2 * slope * slope
            step = size * first[m, n] / (np.sqrt(second[m, n]) * root + small)
            parameters[m, n] = scale * value - step
