"""The dense tier: recurrences without autograd, by `passes` or by a kernel of their author."""

from __future__ import annotations

import torch
from torch import Tensor

from emtkit.plugin.architecture import RecurrentModel, SequenceModel, SimpleRecurrence
from emtkit.plugin.kernel import StackedKernel
from emtkit.plugin.task import Batch
from emtkit.train.judge import in_place, judged, squared, time_first
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
        network = _network(stacked, flat)
        first, end = span.first, span.end
        weights = stacked.squares
        # Tasks with horizons are left out: what a row's neighbours score must not choose its path.
        once = end == first + 1 and not stacked.tasks[0].horizons
        if weights is not None and once and _is_pulse_cheaper(network, batch):
            return self._by_pulses(stacked, flat, batch, masks, weights, first)
        inputs = self.work.take("inputs", time_first(batch.inputs, 0, min(batch.driven, end)))
        run = forward(network, inputs, first, end, self.work)
        found = judged(run.outputs, stacked, batch, masks, first)
        steps = by_step(in_place(found.errors, batch.steps, first), masks)
        outputs = in_place(run.outputs, batch.steps, first)
        slopes = _before_readout(network, found.slopes, run.outputs)
        gradients = backward(network, inputs, run, slopes, first)
        return Step(average(steps, masks), _flat(stacked, gradients), steps, outputs)

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
        targets = time_first(batch.targets, last, last + 1)
        wrong = squared(outputs, targets, squares, masks[:, last : last + 1])
        slopes = _before_readout(network, wrong.slopes, outputs)
        turned = torch.bmm(inputs.transpose(1, 2), slopes[0])
        turned = turned.view(stacked.models, heard, channels, -1).movedim(1, 0).flip(0)
        found = backward(passing, pulses, run, turned.contiguous(), last + 1 - heard)
        if "b_r" in weights:
            found["b_r"] = slopes[0].sum(1)
        steps = by_step(in_place(wrong.errors, batch.steps, last), masks)
        placed = in_place(outputs, batch.steps, last)
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


def _kernel(model: SequenceModel) -> StackedKernel | None:
    """The author's kernel, where the core has no passes of its own."""
    if not isinstance(model, RecurrentModel) or model.simple_form() is not None:
        return None
    return model.stacked_kernel()


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
