"""Gradients of networks whose author wrote the passes through time; autograd does the readout."""

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from emtkit.plugin.architecture import RecurrentModel
from emtkit.plugin.kernel import StackedKernel
from emtkit.plugin.task import Batch
from emtkit.train.passes.criterion import criterion_of, in_place, read_losses
from emtkit.train.stack import Stacked
from emtkit.train.tiers.base import Gradients, Span


class _Readout(nn.Module):
    """`read` of a network at one step after the other, as torch calls a module.

    One product over all steps would take its path by their number, and a row's bits would depend on
    the horizon of its neighbours.
    """

    def __init__(self, model: RecurrentModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, states: Tensor) -> Tensor:
        return torch.stack([self.model.read(at) for at in states.unbind(0)])


def by_kernel(
    kernel: StackedKernel, stacked: Stacked, flat: Tensor, batch: Batch, masks: Tensor, span: Span
) -> Gradients:
    """Losses, gradients and outputs (0 outside the scored steps) by the author's `kernel`."""
    weights = stacked.parameters(flat)
    inputs = batch.inputs[:, :, : min(batch.input_steps, span.end)].movedim(2, 0).contiguous()
    run = kernel.forward(weights, inputs, span.end)
    states = run.states[span.first :].detach().requires_grad_()
    leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    outputs = _read(stacked, leaves, states)
    shown = outputs.detach().transpose(2, 3)
    criterion = criterion_of(lambda: shown, stacked, batch, masks, span)
    wrong = torch.empty_like(shown)
    for n in range(len(shown)):
        criterion.slopes(n, shown[n], wrong[n])
    wanted = [states, *leaves.values()]
    slopes, *shares = torch.autograd.grad(
        outputs, wanted, wrong.transpose(2, 3), materialize_grads=True
    )
    found = kernel.backward(weights, inputs, run, slopes)
    gradients = [
        (share + found[name] if name in found else share).flatten(1)
        for name, share in zip(leaves, shares, strict=True)
    ]
    losses, steps = read_losses(criterion.errors(), masks, span.first)
    return Gradients(
        losses,
        torch.cat(gradients, 1),
        steps,
        lambda: in_place(shown, batch.steps, span.first),
    )


def _read(stacked: Stacked, weights: dict[str, Tensor], states: Tensor) -> Tensor:
    """Outputs K M B O of states K M B H."""
    model = stacked.template
    if not isinstance(model, RecurrentModel):
        raise TypeError(f"{model.name} has no state to be read")
    readout = _Readout(model)

    def read(weights: dict[str, Tensor], buffers: dict[str, Tensor], states: Tensor) -> Tensor:
        named = {f"model.{name}": value for name, value in {**weights, **buffers}.items()}
        found: Tensor = functional_call(readout, named, (states,))
        return found

    outputs: Tensor = vmap(read, (0, 0, 1), 1)(weights, stacked.buffers, states)
    return outputs
