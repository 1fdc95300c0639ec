"""The vmap tier: the author's module for one network, run for M at once.

The forward pass is vmapped over stacked parameters; the backward pass is plain autograd, which
beats vmapping the gradient and needs half the memory. The two meet at the outputs, contiguous and
cut from the graph, so that nothing in the network's pass depends on how its loss was computed.
"""

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Batch, Task
from emtkit.study.settings import Training
from emtkit.train.packing import Packing
from emtkit.train.stack import Stacked, average, by_step, flatten, stack
from emtkit.train.tiers.base import Cost, Gradients, Span, Tier
from emtkit.train.tiers.loop import LoopTier


class VmapTier(Tier):
    """Any module made of explicit tensor operations; see `packing` for how rows keep their bits."""

    name = "vmap"
    order = 50
    cost = Cost(call=2e-4, step=2e-7, product=1.8e-10)
    rows_share_horizon = False
    horizon_step = 8
    adds_noise = True

    def takes_one(self, training: Training) -> bool:
        """The packing gives a row the company that it needs."""
        return True

    @classmethod
    def refusal(cls, model: SequenceModel, task: Task, training: Training) -> str | None:
        """Where it does not run, or its rows would be computed one by one: found by trying."""
        stacked = stack([model, model], [task, task], ["", ""])
        flat = torch.stack([flatten(model)] * 2)
        streams = [Stream(None, "shapes", dtype=flat.dtype) for _ in range(2)]
        batch = stacked.draw(2, streams, 1 if task.horizons else None)
        try:
            return _packing(stacked, flat, batch, trains=True).apart
        except RuntimeError as error:
            return f"{model.name} cannot be batched: {error}"

    def gradients(
        self, stacked: Stacked, flat: Tensor, batch: Batch, masks: Tensor, span: Span | None = None
    ) -> Gradients:
        """Losses and gradients of M networks by one vmapped forward and one backward pass."""
        packing = _packing(stacked, flat, batch, trains=True)
        if packing.apart is not None:
            return LoopTier().gradients(stacked, flat, batch, masks, span)
        rows = packing.index(stacked.models)
        leaves, computed = _forward(stacked, flat, batch, rows)
        outputs = computed.detach()[: stacked.models].contiguous().requires_grad_()
        steps = by_step(stacked.errors(outputs, batch), masks)
        total = average(steps, masks)
        (slopes,) = torch.autograd.grad(total.sum(), [outputs], materialize_grads=True)
        slopes = torch.cat([slopes, slopes.new_zeros(len(rows) - len(slopes), *slopes.shape[1:])])
        found = torch.autograd.grad(computed, leaves, slopes, materialize_grads=True)
        gradient = torch.cat([g[: stacked.models].flatten(1) for g in found], 1)
        return Gradients(total.detach(), gradient, steps.detach(), outputs.detach)

    def outputs(self, stacked: Stacked, flat: Tensor, batch: Batch) -> Tensor:
        """Outputs M B T O, without a gradient."""
        with torch.no_grad():
            packing = _packing(stacked, flat, batch, trains=False)
            if packing.apart is not None:
                return LoopTier().outputs(stacked, flat, batch)
            rows = packing.index(stacked.models)
            return _forward(stacked, flat, batch, rows)[1][: stacked.models].contiguous()


def _packing(stacked: Stacked, flat: Tensor, batch: Batch, *, trains: bool) -> Packing:
    """That of the network's passes on batches of this shape."""
    given = (flat.dtype, batch.inputs.shape[1:], batch.input_steps, batch.steps)
    key = ("network", stacked.network, trains, batch.noise is None, *given)

    def sample(rows: int) -> None:
        with torch.set_grad_enabled(trains):
            leaves, outputs = _forward(stacked, flat, batch, torch.zeros(rows, dtype=torch.int64))
            if trains:
                torch.autograd.grad(
                    outputs, leaves, torch.ones_like(outputs), materialize_grads=True
                )

    if key not in stacked.packings:
        stacked.packings[key] = Packing.of(sample)
    return stacked.packings[key]


def _forward(
    stacked: Stacked, flat: Tensor, batch: Batch, rows: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Parameters, and outputs (M B T O), of those `rows`."""
    rows = rows.to(flat.device)
    parameters = stacked.parameters(flat.detach().index_select(0, rows))
    if torch.is_grad_enabled():
        parameters = {k: v.detach().requires_grad_() for k, v in parameters.items()}
    buffers = {name: value.index_select(0, rows) for name, value in stacked.buffers.items()}

    def outputs(
        parameters: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor, *noise: Tensor
    ) -> Tensor:
        given = (inputs, batch.steps, *noise)
        called = functional_call(stacked.template, {**parameters, **buffers}, given)
        result: Tensor = called.outputs
        return result

    inputs = batch.inputs[:, :, : batch.input_steps].index_select(0, rows)
    noise = [] if batch.noise is None else [batch.noise.index_select(0, rows)]
    computed: Tensor = vmap(outputs)(parameters, buffers, inputs, *noise)
    return list(parameters.values()), computed
