"""The loop tier: any module, one network after the other; the answer that others are held to."""

import torch
from torch import Tensor
from torch.func import functional_call

from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.task import Batch, Task
from emtkit.study.settings import Training
from emtkit.train.stack import Stacked, average, by_step
from emtkit.train.tiers.base import Cost, Gradients, Span, Tier


class LoopTier(Tier):
    """Any module, also one that has no batching rule."""

    name = "loop"
    order = 90
    cost = Cost(call=2e-4, step=2e-7, product=1.8e-10, stacked=False)
    rows_share_horizon = False
    adds_noise = True

    @classmethod
    def refusal(cls, model: SequenceModel, task: Task, training: Training) -> str | None:
        """Never."""
        return None

    def takes_one(self, training: Training) -> bool:
        """Every row is alone here."""
        return True

    def gradients(
        self, stacked: Stacked, flat: Tensor, batch: Batch, masks: Tensor, span: Span | None = None
    ) -> Gradients:
        """Losses and gradients by one forward and one backward pass per network."""
        rows: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for row in range(stacked.models):
            one = stacked.take([row])
            leaf = flat[row : row + 1].detach().clone().requires_grad_()
            outputs = _forward(one, leaf, _row(batch, row))
            errors = one.errors(outputs, _row(batch, row))
            steps = by_step(errors, masks[row : row + 1])
            loss = average(steps, masks[row : row + 1])
            (gradient,) = torch.autograd.grad(loss.sum(), [leaf], materialize_grads=True)
            rows.append((loss.detach(), gradient, steps.detach(), outputs.detach()))
        losses, gradients, steps, outputs = (torch.cat(parts) for parts in zip(*rows, strict=True))
        return Gradients(losses, gradients, steps, lambda: outputs)

    def outputs(self, stacked: Stacked, flat: Tensor, batch: Batch) -> Tensor:
        """Outputs M B T O, without a gradient."""
        with torch.no_grad():
            return torch.cat(
                [
                    _forward(stacked.take([row]), flat[row : row + 1].clone(), _row(batch, row))
                    for row in range(stacked.models)
                ]
            )


def _row(batch: Batch, row: int) -> Batch:
    """That of one row, in memory of its own: where operands begin may decide a product's path."""
    inputs, targets, mask = (
        value[row : row + 1].clone() for value in (batch.inputs, batch.targets, batch.mask)
    )
    noise = None if batch.noise is None else batch.noise[row : row + 1].clone()
    return Batch(inputs, targets, mask, batch.input_steps, noise)


def _forward(one: Stacked, flat: Tensor, batch: Batch) -> Tensor:
    weights = {name: value[0] for name, value in one.parameters(flat).items()}
    buffers = {name: value[0] for name, value in one.buffers.items()}
    inputs = batch.inputs[0, :, : batch.input_steps]
    noise = [] if batch.noise is None else [batch.noise[0]]
    called = functional_call(one.template, {**weights, **buffers}, (inputs, batch.steps, *noise))
    outputs: Tensor = called.outputs
    return outputs.unsqueeze(0)
