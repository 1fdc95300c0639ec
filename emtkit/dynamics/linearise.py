"""Jacobians of a state map, batched, in float64.

Reverse mode under vmap: for these square maps it costs what forward mode does, and forward mode
loads decompositions that current torch warns about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import jacrev, vmap

Step = Callable[[Tensor, Tensor], Tensor]
"""`step(state B H, inputs B I) -> state B H`, each row on its own."""

StepJacobian = Callable[[Tensor, Tensor], Tensor]
"""`jacobian(state B H, inputs B I) -> B H H`, entry [b, i, j] = d step_i / d state_j."""


@dataclass(frozen=True)
class StateMap:
    """h -> step(h, inputs) with `inputs` (I) held fixed; float64.

    `jacobian` is the analytic one where a model has it; else automatic differentiation is used.
    """

    step: Step
    inputs: Tensor
    jacobian: StepJacobian | None = None

    def __call__(self, states: Tensor) -> Tensor:
        """One step of every row: `states` B H -> B H."""
        return self.step(states, self._rows(states))

    def jacobians(self, states: Tensor) -> Tensor:
        """d step / d state at every row: `states` B H -> B H H."""
        if self.jacobian is not None:
            return self.jacobian(states, self._rows(states))
        return state_jacobians(self.step, states, self._rows(states))

    def _rows(self, states: Tensor) -> Tensor:
        return self.inputs.expand(len(states), -1)


def state_jacobians(step: Step, states: Tensor, inputs: Tensor) -> Tensor:
    """d step / d state by automatic differentiation: `states` B H, `inputs` B I -> B H H."""
    slope: Tensor = vmap(jacrev(_single(step), argnums=0))(*_float64(states, inputs))
    return slope


def input_jacobians(step: Step, states: Tensor, inputs: Tensor) -> Tensor:
    """d step / d inputs by automatic differentiation: `states` B H, `inputs` B I -> B H I."""
    slope: Tensor = vmap(jacrev(_single(step), argnums=1))(*_float64(states, inputs))
    return slope


def _single(step: Step) -> Callable[[Tensor, Tensor], Tensor]:
    def one_row(state: Tensor, inputs: Tensor) -> Tensor:
        return step(state.unsqueeze(0), inputs.unsqueeze(0)).squeeze(0)

    return one_row


def _float64(states: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
    for name, tensor in (("states", states), ("inputs", inputs)):
        if tensor.dtype != torch.float64 or tensor.ndim != 2:
            raise ValueError(
                f"{name} must be a float64 tensor (batch, channel), got {tensor.dtype} "
                f"{tuple(tensor.shape)}; linearisation in single precision invents eigenvalues"
            )
    return states, inputs
