"""Jacobians of a state map, batched, in float64.

Every row of a step depends on its own state and inputs alone, so one backward pass per output
gives that row of all Jacobians at once. Unlike vmap, this asks nothing of the operations inside a
plugin's step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from emtkit.plugin.architecture import RecurrentModel

Step = Callable[[Tensor, Tensor], Tensor]
"""`step(state B H, inputs B I) -> state B H`, each row on its own."""

StepJacobian = Callable[[Tensor, Tensor], Tensor | None]
"""`jacobian(state B H, inputs B I) -> B H H`, entry [b, i, j] = d step_i / d state_j, or None."""


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
        inputs = self._rows(states)
        exact = None if self.jacobian is None else self.jacobian(states, inputs)
        return state_jacobians(self.step, states, inputs) if exact is None else exact

    def _rows(self, states: Tensor) -> Tensor:
        return self.inputs.expand(len(states), -1)


def state_map_of(model: RecurrentModel, inputs: Tensor) -> StateMap:
    """The map h -> step(h, inputs) of a network in float64, with its own Jacobian if it has one."""
    return StateMap(model.step, inputs, model.jacobian)


def state_jacobians(step: Step, states: Tensor, inputs: Tensor) -> Tensor:
    """d step / d state: `states` B H, `inputs` B I -> B H H."""
    return row_jacobians(lambda rows: step(rows, inputs), states)


def row_jacobians(function: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """d function / d point of a function B N -> B K, each row on its own: B K N.

    Raises ValueError unless the points are a float64 matrix.
    """
    if points.dtype != torch.float64 or points.ndim != 2:
        raise ValueError(
            f"a Jacobian is taken at a float64 tensor (batch, channel), not at {points.dtype} "
            f"{tuple(points.shape)}; single precision invents eigenvalues"
        )
    with torch.enable_grad():
        leaf = points.detach().clone().requires_grad_()
        values = function(leaf)
    slopes = points.new_zeros(len(points), values.shape[1], points.shape[1])
    if values.requires_grad:
        pick = torch.eye(values.shape[1], dtype=points.dtype)
        for output, row in enumerate(pick):
            (slope,) = torch.autograd.grad(
                values, leaf, row.expand_as(values), retain_graph=True, materialize_grads=True
            )
            slopes[:, output] = slope
    return slopes
