"""The vmap tier: the author's module for one network, run for M at once.

The forward pass is vmapped over stacked parameters; the backward pass is plain autograd of the
summed loss, which beats vmapping the gradient and needs half the memory.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Batch, Task
from emtkit.study.settings import Training
from emtkit.train.stack import Stacked, average, by_step, flatten, stack
from emtkit.train.tiers.base import Cost, Gradients, Span, Tier


class VmapTier(Tier):
    """Any module made of explicit tensor operations."""

    name = "vmap"
    order = 50
    cost = Cost(call=2e-4, step=2e-7, product=1.8e-10)
    rows_share_horizon = True

    @classmethod
    def refusal(cls, model: SequenceModel, task: Task, training: Training) -> str | None:
        """Where it does not run: what has no batching rule is found by trying."""
        stacked = stack([model, model], [task, task], ["", ""])
        flat = torch.stack([flatten(model)] * 2)
        streams = [Stream(None, "shapes", dtype=flat.dtype) for _ in range(2)]
        drawn = stacked.draw(2, streams, 1 if task.horizons else None)
        try:
            cls().outputs(stacked, flat, drawn)
        except RuntimeError as error:
            return f"{model.name} cannot be batched: {error}"
        return None

    def gradients(
        self, stacked: Stacked, flat: Tensor, batch: Batch, masks: Tensor, span: Span | None = None
    ) -> Gradients:
        """Losses and gradients of M networks by one vmapped forward and one backward pass."""
        leaves = {k: v.detach().requires_grad_() for k, v in stacked.parameters(flat).items()}
        outputs = _forward(stacked, leaves, batch)
        errors = stacked.errors(outputs, batch)
        steps = by_step(errors, masks)
        total = average(steps, masks)
        found = torch.autograd.grad(total.sum(), list(leaves.values()), materialize_grads=True)
        flat_gradient = torch.cat([g.reshape(stacked.models, -1) for g in found], 1)
        return Gradients(total.detach(), flat_gradient, steps.detach(), outputs.detach)

    def outputs(self, stacked: Stacked, flat: Tensor, batch: Batch) -> Tensor:
        """Outputs M B T O, without a gradient."""
        with torch.no_grad():
            return _forward(stacked, stacked.parameters(flat), batch)


def _forward(stacked: Stacked, parameters: dict[str, Tensor], batch: Batch) -> Tensor:
    input_steps, steps = batch.input_steps, batch.steps

    def outputs(
        parameters: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor
    ) -> Tensor:
        called = functional_call(stacked.template, {**parameters, **buffers}, (inputs, steps))
        result: Tensor = called.outputs
        return result

    stacked_outputs: Tensor = vmap(outputs)(
        parameters, stacked.buffers, batch.inputs[:, :, :input_steps]
    )
    return stacked_outputs
