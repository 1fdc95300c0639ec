"""The native tier as a tier: simple recurrences with a squared loss, in fused vector code."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from emtkit.methods.optimisers.base import Slot
from emtkit.plugin.architecture import RecurrentModel, SequenceModel
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Batch, Task
from emtkit.study.settings import Training
from emtkit.train.native.adam import CompiledAdam
from emtkit.train.native.fused import FusedTraining, one_upper_word, takes
from emtkit.train.native.machine import features, unavailable
from emtkit.train.native.network import Floats, Network
from emtkit.train.native.step import NativeStep
from emtkit.train.optimise import Buffers, StackOptimiser
from emtkit.train.stack import Stacked
from emtkit.train.tiers.base import Cost, Fused, Gradients, Span, Tier
from emtkit.train.tiers.dense import form_of
from emtkit.train.tiers.vmap import VmapTier

LARGEST_HIDDEN = 64
"""With 512-bit vectors: as much as the kernel takes, twice as fast there as the dense tier."""

LARGEST_HIDDEN_HALF = 16
"""The same with 256-bit vectors."""


class NativeTier(Tier):
    """Losses and gradients of M small networks, sequence blocks in vector registers (float32)."""

    name = "native"
    order = 30
    cost = Cost(call=1e-5, step=1e-9, product=7.5e-11)
    rows_share_horizon = True

    def __init__(self) -> None:
        self._plain = VmapTier()
        self._steps: dict[tuple[int, int, int, int], NativeStep] = {}

    @classmethod
    def refusal(cls, model: SequenceModel, task: Task, training: Training) -> str | None:
        """See `Tier.refusal`."""
        form = model.simple_form() if isinstance(model, RecurrentModel) else None
        if form is None or not isinstance(model, RecurrentModel):
            return f"{model.name} is not a simple recurrence"
        if task.squares() is None:
            return f"the loss of {task.name} is not a weighted square"
        if training.dtype != "float32":
            return f"it computes in float32, not {training.dtype}"
        if training.curriculum.needs_outputs:
            return f"the curriculum '{training.curriculum.kind}' looks at outputs"
        reason = unavailable()
        if reason is not None:
            return reason
        largest = LARGEST_HIDDEN if "avx512f" in features() else LARGEST_HIDDEN_HALF
        if model.hidden > largest:
            return f"{model.hidden} hidden units are more than {largest}"
        return None

    def gradients(
        self, stacked: Stacked, flat: Tensor, batch: Batch, masks: Tensor, span: Span | None = None
    ) -> Gradients:
        """Losses and gradients by one call of the compiled kernel."""
        network = _network(stacked)
        first = _first(masks)
        step = self._step(network, batch.inputs.shape[1], batch.steps, batch.input_steps, first)
        order = network.order([slot.name for slot in stacked.slots])
        weights = network.flat(flat.numpy(), order)
        losses, gradients = step.gradients(
            weights,
            batch.inputs.contiguous().numpy(),
            batch.targets.contiguous().numpy(),
            _scales(stacked, masks[:, first:]),
        )
        counted = np.where(masks[:, first:].numpy() > 0, losses, 0.0)
        steps = flat.new_zeros(len(flat), batch.steps, dtype=torch.float64)
        steps[:, first:] = torch.from_numpy(losses) * masks.sum(1, keepdim=True)
        gradient = torch.from_numpy(np.take(gradients, order, axis=1))
        return Gradients(torch.from_numpy(counted.cumsum(1)[:, -1]), gradient, steps, None)

    @classmethod
    def lacking(cls) -> str | None:
        """See `Tier.lacking`."""
        return unavailable()

    def takes_one(self, training: Training) -> bool:
        """With its own optimiser it goes row by row from end to end."""
        return CompiledAdam.takes(training)

    def optimiser(
        self, trainings: Sequence[Training], like: Tensor, slots: Sequence[Slot]
    ) -> StackOptimiser:
        """The compiled one, where it has the rule that is asked for."""
        if CompiledAdam.takes(trainings[0]):
            return CompiledAdam(trainings)
        return super().optimiser(trainings, like, slots)

    def fused(
        self,
        stacked: Stacked,
        trainings: Sequence[Training],
        streams: Sequence[Stream],
        flat: Tensor,
        buffers: Buffers,
    ) -> Fused | None:
        """Where all draw by a recipe, rows of any rate, decay, clip and iteration."""
        recipes, network = stacked.recipes, _network(stacked)
        if recipes is None:
            return None
        if not all(map(takes, trainings)):
            return None
        masks = torch.tensor([recipe.mask for recipe in recipes])
        first, steps, batch = _first(masks), masks.shape[1], trainings[0].batch
        input_steps = recipes[0].input_steps
        if not all(one_upper_word(s, batch * input_steps * network.inputs) for s in streams):
            return None
        return FusedTraining(
            self._step(network, batch, steps, input_steps, first),
            [slot.name for slot in stacked.slots],
            recipes,
            _scales(stacked, masks[:, first:]),
            trainings,
            streams,
            flat,
            buffers,
        )

    def outputs(self, stacked: Stacked, flat: Tensor, batch: Batch) -> Tensor:
        """Outputs M B T O by the author's own module."""
        return self._plain.outputs(stacked, flat, batch)

    def _step(
        self, network: Network, sequences: int, steps: int, input_steps: int, first: int
    ) -> NativeStep:
        """Training steps that score the steps from `first` on."""
        key = (sequences, steps, input_steps, first)
        if key not in self._steps:
            self._steps[key] = NativeStep(
                network, batch=sequences, steps=steps, input_steps=input_steps, scored=steps - first
            )
        return self._steps[key]


def _first(masks: Tensor) -> int:
    """The first step that any row scores."""
    return int(masks.any(0).numpy().argmax())


def _network(stacked: Stacked) -> Network:
    form, channels = form_of(stacked.template), stacked.tasks[0].channels
    shapes = {slot.name: slot.shape for slot in stacked.slots}
    return Network(
        hidden=shapes["W_hh"][0],
        inputs=channels.inputs,
        outputs=channels.outputs,
        activation=form.activation,
        readout=form.readout,
        reads=form.reads,
        bias="b" in shapes,
        readout_bias="b_r" in shapes,
    )


def _scales(stacked: Stacked, masks: Tensor) -> Floats:
    """What each squared error (M, scored, O) weighs in the row's loss."""
    weights = stacked.squares
    if weights is None:
        raise TypeError(f"the loss of {stacked.tasks[0].name} is not a weighted square")
    shares = masks.double() / masks.double().sum(1, keepdim=True)
    scales: Floats = (shares.unsqueeze(2) * weights.unsqueeze(1)).float().contiguous().numpy()
    return scales
