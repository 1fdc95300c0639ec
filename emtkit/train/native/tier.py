"""The native tier as a tier: simple recurrences with a squared loss, in fused vector code."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from emtkit.plugin.architecture import RecurrentModel, SequenceModel, SimpleRecurrence
from emtkit.plugin.task import Batch, Task
from emtkit.study.settings import Staged, Training
from emtkit.train.native.machine import features, unavailable
from emtkit.train.native.network import Floats, Network
from emtkit.train.native.step import Step as NativeStep
from emtkit.train.stacked import Stacked, average
from emtkit.train.tier import Span, Step, Tier
from emtkit.train.vmap import VmapTier

LARGEST_HIDDEN = 64
"""With 512-bit vectors: as much as the kernel takes, twice as fast there as the dense tier."""

LARGEST_HIDDEN_HALF = 16
"""The same with 256-bit vectors."""


class NativeTier(Tier):
    """Losses and gradients of M small networks, sequence blocks in vector registers (float32)."""

    name = "native"
    rows_share_horizon = True

    def __init__(self) -> None:
        self._plain = VmapTier()
        self._steps: dict[tuple[int, int, int, int], NativeStep] = {}

    @staticmethod
    def refusal(model: SequenceModel, task: Task, training: Training) -> str | None:
        """None, or why this tier cannot train `model` on `task` so."""
        form = model.simple_form() if isinstance(model, RecurrentModel) else None
        if form is None or not isinstance(model, RecurrentModel):
            return f"{model.name} is no simple recurrence"
        if task.squares() is None:
            return f"the loss of {task.name} is no weighted square"
        if training.dtype != "float32":
            return f"it computes in float32, not {training.dtype}"
        if isinstance(training.curriculum, Staged):
            return "a staged curriculum looks at outputs"
        reason = unavailable()
        if reason is not None:
            return reason
        largest = LARGEST_HIDDEN if "avx512f" in features() else LARGEST_HIDDEN_HALF
        if model.hidden > largest:
            return f"{model.hidden} hidden units are more than {largest}"
        return None

    def gradients(
        self, stacked: Stacked, flat: Tensor, batch: Batch, masks: Tensor, span: Span | None = None
    ) -> Step:
        """Losses and gradients by one call of the compiled kernel."""
        network = _network(stacked)
        scored = masks.any(0).numpy()
        first = int(scored.argmax())
        step = self._step(network, batch, batch.steps - first)
        weights = network.flat({k: v.numpy() for k, v in stacked.parameters(flat).items()})
        losses, gradients = step.gradients(
            weights,
            batch.inputs[:, :, : batch.driven].contiguous().numpy(),
            batch.targets[:, :, first:].contiguous().numpy(),
            _scales(stacked, masks[:, first:]),
        )
        found = network.views(gradients)
        parts = [found[slot.name].reshape(len(flat), -1) for slot in stacked.slots]
        steps = flat.new_zeros(len(flat), batch.steps, dtype=torch.float64)
        steps[:, first:] = torch.from_numpy(losses) * masks.sum(1, keepdim=True)
        gradient = torch.from_numpy(np.concatenate(parts, 1))
        return Step(average(steps, masks), gradient, steps, None)

    def outputs(self, stacked: Stacked, flat: Tensor, batch: Batch) -> Tensor:
        """Outputs M B T O by the author's own module."""
        return self._plain.outputs(stacked, flat, batch)

    def _step(self, network: Network, batch: Batch, scored: int) -> NativeStep:
        key = (batch.inputs.shape[1], batch.steps, batch.driven, scored)
        if key not in self._steps:
            sequences, steps, driven, _ = key
            self._steps[key] = NativeStep(
                network, batch=sequences, steps=steps, driven=driven, scored=scored
            )
        return self._steps[key]


def _network(stacked: Stacked) -> Network:
    model = stacked.template
    form: SimpleRecurrence | None = None
    if isinstance(model, RecurrentModel):
        form = model.simple_form()
    if form is None or not isinstance(model, RecurrentModel):
        raise TypeError(f"{model.name} is no simple recurrence")
    names = {slot.name for slot in stacked.slots}
    channels = stacked.tasks[0].channels
    return Network(
        hidden=model.hidden,
        inputs=channels.inputs,
        outputs=channels.outputs,
        activation=form.activation,
        readout=form.readout,
        reads=form.reads,
        bias="b" in names,
        readout_bias="b_r" in names,
    )


def _scales(stacked: Stacked, masks: Tensor) -> Floats:
    """What each squared error (M, scored, O) weighs in the row's loss."""
    weights = stacked.squares
    if weights is None:
        raise TypeError(f"the loss of {stacked.tasks[0].name} is no weighted square")
    shares = masks.double() / masks.double().sum(1, keepdim=True)
    scales: Floats = (shares.unsqueeze(2) * weights.unsqueeze(1)).float().contiguous().numpy()
    return scales
