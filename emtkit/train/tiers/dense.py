"""The dense tier: recurrences without autograd, by `passes` or by a kernel of their author."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from emtkit.plugin.architecture import RecurrentModel, SequenceModel, SimpleRecurrence
from emtkit.plugin.kernel import StackedKernel
from emtkit.plugin.task import Batch, Task
from emtkit.study.settings import Training
from emtkit.train.passes.author_kernel import by_kernel
from emtkit.train.passes.bptt import Matrices, Passes, Sizes, Slopes, Workspace
from emtkit.train.passes.criterion import criterion_of, in_place, read_losses
from emtkit.train.passes.impulse_response import ImpulseResponses
from emtkit.train.stack import Stacked
from emtkit.train.tiers.base import Cost, Gradients, Span, Tier
from emtkit.train.tiers.vmap import VmapTier


class DenseTier(Tier):
    """Losses and gradients of M recurrences without autograd; any loss, any dtype."""

    name = "dense"
    order = 40
    cost = Cost(call=6e-5, step=6e-8, product=1e-10)
    rows_share_horizon = True

    def __init__(self) -> None:
        self._plain = VmapTier()
        self.work = Workspace()
        self._passes: Passes | None = None

    @classmethod
    def refusal(cls, model: SequenceModel, task: Task, training: Training) -> str | None:
        """See `Tier.refusal`."""
        if isinstance(model, RecurrentModel) and (model.simple_form() or model.stacked_kernel()):
            return None
        return f"{model.name} is not a simple recurrence, and its author gives no kernel"

    def gradients(
        self, stacked: Stacked, flat: Tensor, batch: Batch, masks: Tensor, span: Span | None = None
    ) -> Gradients:
        """Losses, gradients and outputs, which are 0 outside the scored steps."""
        span = span or Span.of(masks)
        kernel = _kernel(stacked.template)
        if kernel is not None:
            return by_kernel(kernel, stacked, flat, batch, masks, span)
        weights, first = stacked.parameters(flat), span.first
        sizes = _sizes(stacked, weights, batch, span)
        # Tasks with horizons are left out: what a row's neighbours score must not choose its path.
        once = span.end == first + 1 and not stacked.tasks[0].horizons
        outputs: Callable[[], Tensor]
        backward: Callable[[Slopes], dict[str, Tensor]]
        if stacked.squares is not None and once and _is_pulse_cheaper(sizes, weights):
            inputs = batch.inputs[:, :, : sizes.input_steps]
            is_relu = sizes.form.readout == "relu"
            pulses = ImpulseResponses(weights, inputs, first, is_relu=is_relu)
            outputs, backward = pulses.outputs, pulses.backward
        else:
            passes, matrices = self._passes_of(sizes, flat), Matrices.of(weights, sizes.ones)
            passes.forward(matrices, batch.inputs)
            outputs = partial(passes.outputs, matrices)
            backward = partial(passes.backward, matrices)
        criterion = criterion_of(outputs, stacked, batch, masks, span)
        gradients = _flat(stacked, backward(criterion.slopes))
        losses, steps = read_losses(criterion.errors(), masks, first)
        return Gradients(losses, gradients, steps, lambda: in_place(outputs(), batch.steps, first))

    def _passes_of(self, sizes: Sizes, like: Tensor) -> Passes:
        """Those of the last call, where the sizes are the same."""
        if self._passes is None or self._passes.sizes != sizes:
            self._passes = Passes(sizes, like, self.work)
        return self._passes

    def outputs(self, stacked: Stacked, flat: Tensor, batch: Batch) -> Tensor:
        """Outputs M B T O by the author's own module."""
        return self._plain.outputs(stacked, flat, batch)


def _kernel(model: SequenceModel) -> StackedKernel | None:
    """The author's kernel, where the core has no passes of its own."""
    if not isinstance(model, RecurrentModel) or model.simple_form() is not None:
        return None
    return model.stacked_kernel()


def form_of(model: SequenceModel) -> SimpleRecurrence:
    """The form of a simple recurrence."""
    form = model.simple_form() if isinstance(model, RecurrentModel) else None
    if form is None:
        raise TypeError(f"{model.name} is not a simple recurrence")
    return form


def _sizes(stacked: Stacked, weights: dict[str, Tensor], batch: Batch, span: Span) -> Sizes:
    models, sequences, _, inputs = batch.inputs.shape
    return Sizes(
        form_of(stacked.template),
        models,
        sequences,
        inputs,
        weights["W_hh"].shape[1],
        batch.targets.shape[3],
        ones=int(bool(weights.keys() & {"b", "b_r"})),
        input_steps=min(batch.input_steps, span.end),
        first=span.first,
        end=span.end,
    )


def _is_pulse_cheaper(sizes: Sizes, weights: dict[str, Tensor]) -> bool:
    """Whether I pulses and one product with all inputs cost less than B sequences."""
    return sizes.is_linear and "b" not in weights and 2 * sizes.inputs <= sizes.sequences


def _flat(stacked: Stacked, found: dict[str, Tensor]) -> Tensor:
    """Gradients by name as rows M P."""
    return torch.cat([found[slot.name].flatten(1) for slot in stacked.slots], 1)
