"""Kernels as functions of plain integers, compiled by numba and kept in its cache on disk."""

# The compiled functions are untyped by nature; `step` is their typed face.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from emtkit.train.native.kernels import emit_gradients
from emtkit.train.native.plan import Arguments, Plan


def compiled(function: Any) -> Any:
    """Compile at the first call; keep the result on disk where some directory can be written."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # neither the package, NUMBA_CACHE_DIR nor the user's cache is writable
        return numba.njit(nogil=True, error_model="numpy")(function)


@intrinsic(prefer_literal=True)
def _gradients(context, hidden, inputs, outputs, ones, sigma, early, rho, width, rows, tile, call):
    literals = (hidden, inputs, outputs, ones, sigma, early, rho, width, rows, tile)
    plan = Plan(*[literal.literal_value for literal in literals])

    def emit(context, builder, signature, values):
        count = len(call)
        arguments = [builder.extract_value(values[-1], n) for n in range(count)]
        emit_gradients(builder, plan, Arguments(*arguments))
        return context.get_dummy_value()

    return types.void(*literals, call), emit


@cache
def gradient_kernel(plan: Plan, digest: int) -> Any:
    """The kernel of one plan, a function of the tuple of `Arguments`.

    numba keys its cache by the constants of the function. The digest of the sources is one of them,
    so that code of other sources, which numba does not watch, is never taken from the disk.
    """
    hidden, inputs, outputs, ones = plan.hidden, plan.inputs, plan.outputs, plan.ones
    sigma, early, rho = plan.sigma, int(plan.early), plan.rho
    width, rows, tile = plan.width, plan.rows, plan.tile

    @compiled
    def gradients(call):
        _gradients(  # type: ignore[call-arg]  # numba gives the context
            hidden, inputs, outputs, ones, sigma, early, rho, width, rows, tile, call
        )
        return digest

    return gradients


@compiled
def clip_and_adam(
    parameters, gradient, first, second, rate, decay, decoupled, clip, beta1, beta2, epsilon,
    correction1, correction2, active,
):  # fmt: skip
    """Clip each row of `gradient` (M P) to its norm, then Adam, in place; see `step`."""
    for m in range(parameters.shape[0]):
        if not active[m]:
            continue
        square = 0.0
        for n in range(parameters.shape[1]):
            square += np.float64(gradient[m, n]) * np.float64(gradient[m, n])
        shrink = np.float32(min(1.0, clip[m] / (np.sqrt(square) + 1e-6)))
        if np.isnan(square):
            shrink = np.float32(np.nan)
        kept1, kept2 = np.float32(beta1[m]), np.float32(beta2[m])
        new1, new2 = np.float32(1.0 - beta1[m]), np.float32(1.0 - beta2[m])
        coupled = np.float32(0.0 if decoupled else decay[m])
        scale = np.float32(1.0 - rate[m] * decay[m] if decoupled else 1.0)
        size = np.float32(rate[m] / correction1[m])
        root = np.float32(1.0 / np.sqrt(correction2[m]))
        small = np.float32(epsilon[m])
        for n in range(parameters.shape[1]):
            value = parameters[m, n]
            slope = gradient[m, n] * shrink + coupled * value
            first[m, n] = kept1 * first[m, n] + new1 * slope
            second[m, n] = kept2 * second[m, n] + new2 * slope * slope
            step = size * first[m, n] / (np.sqrt(second[m, n]) * root + small)
            parameters[m, n] = scale * value - step
