"""The typed face of the native tier: losses and gradients for a stack of networks."""

from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from emtkit.train.native import machine
from emtkit.train.native.network import LANES, Doubles, Floats, KernelPlan, Network


class NativeStep:
    """Training steps of stacks of one network, batch size and length, with their scratch memory.

    `steps` T in all; the first `input_steps` have input (default all), the last `scored` a target
    (default all). A row's result depends neither on the other rows, nor on their number or order,
    nor on the machine. Not to be shared by threads. Raises ValueError where the tier cannot run.
    """

    def __init__(
        self,
        network: Network,
        *,
        batch: int,
        steps: int,
        input_steps: int | None = None,
        scored: int | None = None,
    ) -> None:
        reason = machine.unavailable()
        if reason is not None:
            raise ValueError(reason)
        self.network, self.batch, self.steps = network, batch, steps
        self.input_steps = steps if input_steps is None else input_steps
        self.scored = steps if scored is None else scored
        if batch < 1 or not (1 <= self.input_steps <= steps and 1 <= self.scored <= steps):
            raise ValueError(
                f"a native step was asked for batch {batch}, {steps} steps, {self.input_steps} of"
                f" them with input and {self.scored} scored; batch is at least 1, and these two are"
                " from 1 to steps"
            )
        self.width = width_of(network.hidden, batch)
        block = LANES * self.width
        self.padded = -(-batch // block) * block
        self._scratch = _scratch(self, block)
        self.places = tuple(part.ctypes.data for part in self._scratch)

    def gradients(
        self,
        weights: Floats,
        inputs: Floats,
        targets: Floats,
        scales: Floats,
    ) -> tuple[Doubles, Floats]:
        """Losses of the scored steps (M scored), and the gradients (M P) of each row's sum of them.

        losses[m, t] = sum over o of scales[m, t, o] * mean over B of (y - target)^2, at the flat
        `weights` (M P). `inputs` (M B driven I), `targets` (M B scored O), `scales` (M scored O),
        all float32; inputs may go on after the driven steps, and targets begin before the scored
        ones.
        """
        network, models = self.network, len(weights)
        _check("weights", weights, (models, network.parameters))
        _check_sequences("inputs", inputs, (models, self.batch, self.input_steps, network.inputs))
        _check("scales", scales, (models, self.scored, network.outputs))
        inputs = self._pad(inputs)
        _check_sequences("targets", targets, (models, self.batch, self.scored, network.outputs))
        targets = self._pad(targets)
        sources, wanted = (
            data.ctypes.data + np.arange(models) * data.strides[0] for data in (inputs, targets)
        )
        wanted += (targets.shape[2] - self.scored) * targets.strides[2]
        per_sequence = scales / np.float32(self.batch)
        transposed = np.take(weights, network.back_places, axis=1)
        gradient = np.empty_like(weights)
        losses = np.empty((models, self.scored))
        self._kernel(
            (
                models,
                self.padded,
                self.steps,
                self.input_steps,
                self.scored,
                weights.ctypes.data,
                transposed.ctypes.data,
                inputs.strides[1],
                targets.strides[1],
                sources.ctypes.data,
                wanted.ctypes.data,
                per_sequence.ctypes.data,
                *self.places,
                gradient.ctypes.data,
                losses.ctypes.data,
            )
        )
        network.clear_absent(gradient)
        return losses, gradient

    @cached_property
    def _kernel(self) -> Any:
        """The compiled kernel; here numba is imported."""
        from emtkit.train.native.compile import gradient_kernel

        return gradient_kernel(self.plan, machine.digest())

    @cached_property
    def plan(self) -> KernelPlan:
        """What the kernel is compiled for."""
        tiles = machine.tiles()
        return KernelPlan(
            **asdict(self.network),
            width=self.width,
            rows=tiles.rows[self.width],
            tile=tiles.square,
        )

    def _pad(self, data: Floats) -> Floats:
        """Sequences of zeros up to whole blocks; the mask keeps them out of loss and gradient."""
        if self.padded == self.batch:
            return data
        padded = np.zeros((len(data), self.padded, *data.shape[2:]), dtype=np.float32)
        padded[:, : self.batch] = data
        return padded


def width_of(hidden: int, batch: int) -> int:
    """Vectors a row: part of the result's definition, so a function of these two alone.

    Enough independent sums for the smallest networks; histories that fit the cache for the others.
    """
    fitting = next((width for width in (1, 2) if batch <= LANES * width), 4)
    return min(fitting, 2 if 4 < hidden <= 16 else 4)


def _scratch(step: NativeStep, block: int) -> list[Floats]:
    """Mask, states, ... silence of `kernels.Arguments`: zero, with the rows of ones set."""
    network, steps = step.network, step.steps
    mask = _aligned(step.padded)
    mask[: step.batch] = 1.0
    states = _aligned((steps + 1) * network.columns * block)
    rows = states.reshape(steps + 1, network.columns, block)
    rows[:, network.inputs : network.inputs + network.ones] = 1.0
    shown = _aligned(steps * network.seen * block)
    shown.reshape(steps, network.seen, block)[:, : network.ones] = 1.0
    deltas = _aligned((steps + 1) * network.back * block)
    staged = _aligned(step.scored * network.outputs * block)
    sums, cost = _aligned(network.parameters * LANES), _aligned(step.scored * block)
    return [mask, states, shown, deltas, staged, sums, cost, _aligned(block)]


def _aligned(size: int) -> Floats:
    """Zeros from a multiple of 64 bytes on, so that no vector straddles two cache lines."""
    room = np.zeros(size + LANES, dtype=np.float32)
    start = -room.ctypes.data % 64 // 4
    return room[start : start + size]


def _check(name: str, array: Floats, shape: tuple[int, ...]) -> None:
    """The compiled code checks nothing: a wrong array here would be corrupted memory there."""
    if array.shape != shape or array.dtype != np.float32 or not array.flags.c_contiguous:
        raise ValueError(
            f"{name} came as {array.dtype} of shape {array.shape}"
            f"{'' if array.flags.c_contiguous else ', not contiguous'};"
            f" a contiguous float32 array of shape {shape} is needed"
        )


def _check_sequences(name: str, array: Floats, shape: tuple[int, int, int, int]) -> None:
    """Rows of sequences (M B T C), which may have more steps than are used."""
    models, batch, steps, channels = shape
    longer = array.ndim == 4 and array.shape[2] > steps
    _check(name, array, (models, batch, array.shape[2] if longer else steps, channels))
