"""The dense tier: recurrences without autograd, by `passes` or by a kernel of their author."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from emtkit.plugin.architecture import RecurrentModel, SequenceModel, SimpleRecurrence
from emtkit.plugin.kernel import StackedKernel
from emtkit.plugin.task import Batch
from emtkit.train.passes import Network, Workspace, backward, forward
from emtkit.train.stacked import Stacked, average, by_step
from emtkit.train.tier import Span, Step, Tier
from emtkit.train.unrolled import by_kernel
from emtkit.train.vmap import VmapTier

UNBIASED = ("W_uh", "W_hh", "W_r")


class DenseTier(Tier):
    """Losses and gradients of M recurrences without autograd; any loss, any dtype."""

    name = "dense"
    rows_share_horizon = True

    def __init__(self) -> None:
        self._plain = VmapTier()
        self.work = Workspace()

    @staticmethod
    def refusal(model: SequenceModel) -> str | None:
        """None, or why this tier cannot train `model`."""
        if isinstance(model, RecurrentModel) and (model.simple_form() or model.kernel()):
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
        network = _network(stacked, flat)
        first, end = span.first, span.end
        weights = stacked.squares
        # Tasks with horizons are left out: what a row's neighbours score must not choose its path.
        once = end == first + 1 and not stacked.tasks[0].horizons
        if weights is not None and once and _is_pulse_cheaper(network, batch):
            return self._by_pulses(stacked, flat, batch, masks, weights, first)
        inputs = self.work.take("inputs", _time_first(batch.inputs, 0, min(batch.driven, end)))
        run = forward(network, inputs, first, end, self.work)
        if weights is None:
            judged = _differentiated(run.outputs, stacked, batch, masks, first)
        else:
            targets = _time_first(batch.targets, first, end)
            judged = _squared(run.outputs, targets, weights, masks[:, first:end])
        steps = by_step(_in_place(judged.errors, batch.steps, first), masks)
        outputs = _in_place(run.outputs, batch.steps, first)
        slopes = _before_readout(network, judged.slopes, run.outputs)
        found = backward(network, inputs, run, slopes, first)
        return Step(average(steps, masks), _flat(stacked, found), steps, outputs)

    def _by_pulses(
        self,
        stacked: Stacked,
        flat: Tensor,
        batch: Batch,
        masks: Tensor,
        squares: Tensor,
        last: int,
    ) -> Step:
        """A linear recurrence without bias, scored at one step, `last`.

        y = rho(sum_tau u_tau K_{last - tau} + b_r), K_j' = W_r W_hh^j W_uh: the network runs on I
        unit pulses in place of B sequences, and dL/dK runs back through it.
        """
        network = _network(stacked, flat)
        weights, channels = network.weights, batch.inputs.shape[3]
        heard = min(batch.driven, last + 1)
        inputs = batch.inputs[:, :, :heard].flatten(2)
        pulses = torch.eye(channels, dtype=flat.dtype, device=flat.device)
        pulses = pulses.expand(1, stacked.models, -1, -1)
        passing = Network(SimpleRecurrence("linear"), {k: weights[k] for k in UNBIASED})
        run = forward(passing, pulses, last + 1 - heard, last + 1, self.work)
        kernel = run.outputs.flip(0).movedim(0, 1).flatten(1, 2)
        outputs = torch.bmm(inputs, kernel).unsqueeze(0)
        if "b_r" in weights:
            outputs += weights["b_r"].unsqueeze(1)
        if network.form.readout == "relu":
            outputs.clamp_(min=0)
        targets = _time_first(batch.targets, last, last + 1)
        judged = _squared(outputs, targets, squares, masks[:, last : last + 1])
        slopes = _before_readout(network, judged.slopes, outputs)
        turned = torch.bmm(inputs.transpose(1, 2), slopes[0])
        turned = turned.view(stacked.models, heard, channels, -1).movedim(1, 0).flip(0)
        found = backward(passing, pulses, run, turned.contiguous(), last + 1 - heard)
        if "b_r" in weights:
            found["b_r"] = slopes[0].sum(1)
        steps = by_step(_in_place(judged.errors, batch.steps, last), masks)
        placed = _in_place(outputs, batch.steps, last)
        return Step(average(steps, masks), _flat(stacked, found), steps, placed)

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


@dataclass(frozen=True)
class _Judged:
    """Of the scored steps: errors (K M B) and dL/dy (K M B O)."""

    errors: Tensor
    slopes: Tensor


def _kernel(model: SequenceModel) -> StackedKernel | None:
    """The author's kernel, where the core has no passes of its own."""
    if not isinstance(model, RecurrentModel) or model.simple_form() is not None:
        return None
    return model.kernel()


def _network(stacked: Stacked, flat: Tensor) -> Network:
    model = stacked.template
    form = model.simple_form() if isinstance(model, RecurrentModel) else None
    if form is None:
        raise TypeError(DenseTier.refusal(model))
    return Network(form, stacked.parameters(flat))


def _is_pulse_cheaper(network: Network, batch: Batch) -> bool:
    """Whether I pulses and one product with all that was heard cost less than B sequences."""
    return network.is_linear and 2 * batch.inputs.shape[3] <= batch.inputs.shape[1]


def _before_readout(network: Network, slopes: Tensor, outputs: Tensor) -> Tensor:
    """dL/d(x W_r' + b_r) from dL/dy."""
    if network.form.readout == "linear":
        return slopes
    found: Tensor = torch.ops.aten.threshold_backward(slopes, outputs, 0)
    return found


def _flat(stacked: Stacked, found: dict[str, Tensor]) -> Tensor:
    """Gradients by name as rows M P."""
    return torch.cat([found[slot.name].flatten(1) for slot in stacked.slots], 1)


def _squared(outputs: Tensor, targets: Tensor, weights: Tensor, masks: Tensor) -> _Judged:
    """sum_o w_o (y_o - target_o)² (K M B) and its mean's slopes, w (M O), masks (M K)."""
    difference = outputs - targets
    by_channel = weights.to(outputs.dtype).unsqueeze(1)
    errors = (difference.square() * by_channel).sum(-1)
    share = masks / (masks.sum(1, keepdim=True) * outputs.shape[2])
    scale = 2.0 * share.T[:, :, None, None] * by_channel
    return _Judged(errors, difference.mul_(scale))


def _differentiated(
    outputs: Tensor, stacked: Stacked, batch: Batch, masks: Tensor, first: int
) -> _Judged:
    """Errors and slopes of any loss, by autograd of the outputs alone."""
    leaf = _in_place(outputs, batch.steps, first).requires_grad_()
    errors = stacked.errors(leaf, batch)
    (found,) = torch.autograd.grad(Tier.losses(errors, masks).sum(), [leaf])
    end = first + len(outputs)
    return _Judged(
        _time_first(errors.detach(), first, end), _time_first(found, first, end).contiguous()
    )


def _time_first(values: Tensor, first: int, end: int) -> Tensor:
    """Steps of a tensor M B T ... as T M B ...: a view."""
    return values[:, :, first:end].movedim(2, 0)


def _in_place(values: Tensor, steps: int, first: int) -> Tensor:
    """K M B ... at its place among all steps, M B T ...; zeros elsewhere."""
    count, models, batch = values.shape[:3]
    full = values.new_zeros((models, batch, steps, *values.shape[3:]))
    full[:, :, first : first + count] = values.movedim(0, 2)
    return full
