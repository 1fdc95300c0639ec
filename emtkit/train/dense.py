"""The dense tier: recurrences without autograd, by `passes` or by a kernel of their author."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from emtkit.plugin.architecture import RecurrentModel, SequenceModel, SimpleRecurrence
from emtkit.plugin.kernel import StackedKernel
from emtkit.plugin.task import Batch
from emtkit.train.judge import Judge, Squares, in_place, judge_of, told
from emtkit.train.passes import Matrices, Passes, Sizes, Workspace
from emtkit.train.stacked import Stacked
from emtkit.train.tier import Span, Step, Tier
from emtkit.train.unrolled import by_kernel
from emtkit.train.vmap import VmapTier


class DenseTier(Tier):
    """Losses and gradients of M recurrences without autograd; any loss, any dtype."""

    name = "dense"
    rows_share_horizon = True

    def __init__(self) -> None:
        self._plain = VmapTier()
        self.work = Workspace()
        self._passes: Passes | None = None

    @staticmethod
    def refusal(model: SequenceModel) -> str | None:
        """None, or why this tier cannot train `model`."""
        if isinstance(model, RecurrentModel) and (model.simple_form() or model.stacked_kernel()):
            return None
        return f"{model.name} is no simple recurrence, and its author gives no kernel"

    def gradients(
        self, stacked: Stacked, flat: Tensor, batch: Batch, masks: Tensor, span: Span | None = None
    ) -> Step:
        """Losses, gradients and outputs, which are 0 outside the scored steps."""
        span = span or Span.of(masks)
        kernel = _kernel(stacked.template)
        if kernel is not None:
            return by_kernel(kernel, stacked, flat, batch, masks, span)
        weights, first = stacked.parameters(flat), span.first
        sizes = _sizes(stacked, batch, span)
        # Tasks with horizons are left out: what a row's neighbours score must not choose its path.
        once = span.end == first + 1 and not stacked.tasks[0].horizons
        if stacked.squares is not None and once and _is_pulse_cheaper(sizes, weights):
            squares = Squares(stacked.squares, batch.targets, masks, span)
            return self._by_pulses(sizes, stacked, weights, batch, masks, squares)
        passes = self._passes_of(sizes, flat)
        matrices = Matrices.of(weights, sizes.ones)
        passes.forward(matrices, batch.inputs)

        def outputs() -> Tensor:
            return passes.outputs(matrices)

        judge = judge_of(outputs, stacked, batch, masks, span)
        gradients = _flat(stacked, passes.backward(matrices, judge.slopes))
        losses, steps = told(judge.errors(), masks, first)
        return Step(losses, gradients, steps, lambda: in_place(outputs(), batch.steps, first))

    def _by_pulses(
        self,
        sizes: Sizes,
        stacked: Stacked,
        weights: dict[str, Tensor],
        batch: Batch,
        masks: Tensor,
        judge: Judge,
    ) -> Step:
        """A linear recurrence without bias, scored at one step.

        y = rho(sum_tau K_{last - tau} u_tau + b_r), K_j = W_r W_hh^j W_uh: the network runs on I
        unit pulses in place of B sequences, and dL/dK runs back through it.
        """
        models, channels, heard, last = sizes.models, sizes.inputs, sizes.driven, sizes.first
        inputs = batch.inputs[:, :, :heard].flatten(2).transpose(1, 2)
        pulses = torch.eye(channels, dtype=inputs.dtype, device=inputs.device)
        pulsed = replace(
            sizes,
            form=SimpleRecurrence("linear"),
            sequences=channels,
            ones=0,
            driven=1,
            first=last + 1 - heard,
        )
        passes = self._passes_of(pulsed, inputs)
        matrices = Matrices.of(weights, 0)
        passes.forward(matrices, pulses.expand(models, 1, -1, -1).transpose(1, 2))
        kernel = passes.outputs(matrices).flip(0).permute(1, 2, 0, 3).flatten(2)
        outputs = torch.bmm(kernel, inputs)
        if "b_r" in weights:
            outputs += weights["b_r"].unsqueeze(2)
        if sizes.form.readout == "relu":
            outputs.clamp_(min=0)
        slopes = torch.empty_like(outputs)
        judge.slopes(0, outputs, slopes)
        if sizes.form.readout == "relu":
            torch.ops.aten.threshold_backward(slopes, outputs, 0, grad_input=slopes)
        turned = torch.bmm(slopes, inputs.transpose(1, 2))
        turned = turned.view(models, -1, heard, channels).permute(2, 0, 1, 3).flip(0)
        found = passes.backward(matrices, lambda n, _, place: place.copy_(turned[n]))
        found["b_r"] = slopes.sum(2)
        losses, steps = told(judge.errors(), masks, last)
        gradients = _flat(stacked, found)
        return Step(
            losses, gradients, steps, lambda: in_place(outputs.unsqueeze(0), batch.steps, last)
        )

    def _passes_of(self, sizes: Sizes, like: Tensor) -> Passes:
        """Those of the last call, where the sizes are the same."""
        if self._passes is None or self._passes.sizes != sizes:
            self._passes = Passes(sizes, like, self.work)
        return self._passes

    def outputs(self, stacked: Stacked, flat: Tensor, batch: Batch) -> Tensor:
        """Outputs M B T O by the author's own module."""
        return self._plain.outputs(stacked, flat, batch)


class CudaTier(DenseTier):
    """The dense tier on a CUDA device, where whole iterations are graphs; see `capture`.

    Matrix products may take another path there in another stack, so that a row keeps its bits in
    the same stack alone; horizons are rounded up because each length is a graph of its own.
    """

    name = "cuda"
    device = torch.device("cuda")
    horizon_step = 8

    @staticmethod
    def refusal(model: SequenceModel) -> str | None:
        """None, or why this tier cannot train `model`."""
        form = model.simple_form() if isinstance(model, RecurrentModel) else None
        return f"{model.name} is no simple recurrence" if form is None else None


def _kernel(model: SequenceModel) -> StackedKernel | None:
    """The author's kernel, where the core has no passes of its own."""
    if not isinstance(model, RecurrentModel) or model.simple_form() is not None:
        return None
    return model.stacked_kernel()


def _sizes(stacked: Stacked, batch: Batch, span: Span) -> Sizes:
    model = stacked.template
    form = model.simple_form() if isinstance(model, RecurrentModel) else None
    if form is None or not isinstance(model, RecurrentModel):
        raise TypeError(DenseTier.refusal(model))
    names = {slot.name for slot in stacked.slots}
    models, sequences, _, inputs = batch.inputs.shape
    return Sizes(
        form,
        models,
        sequences,
        inputs,
        model.hidden,
        batch.targets.shape[3],
        ones=int(bool(names & {"b", "b_r"})),
        driven=min(batch.driven, span.end),
        first=span.first,
        end=span.end,
    )


def _is_pulse_cheaper(sizes: Sizes, weights: dict[str, Tensor]) -> bool:
    """Whether I pulses and one product with all that was heard cost less than B sequences."""
    return sizes.is_linear and "b" not in weights and 2 * sizes.inputs <= sizes.sequences


def _flat(stacked: Stacked, found: dict[str, Tensor]) -> Tensor:
    """Gradients by name as rows M P."""
    return torch.cat([found[slot.name].flatten(1) for slot in stacked.slots], 1)
