"""The CUDA tiers: the dense passes on a device, whole iterations as graphs."""

from typing import ClassVar

import torch
from torch import Tensor

from emtkit.plugin.architecture import RecurrentModel, SequenceModel
from emtkit.plugin.task import Batch, Task
from emtkit.study.settings import Training
from emtkit.train.device import has_cuda, rows_of_cuda
from emtkit.train.stack import Stacked
from emtkit.train.tiers.base import STACK_ROWS, Cost, Gradients, Span
from emtkit.train.tiers.dense import DenseTier


class CudaTier(DenseTier):
    """The dense tier on a CUDA device, where whole iterations are graphs; see `passes.cuda_graph`.

    Matrix products may take another path there in another stack, so that a row keeps its bits in
    the same stack alone; horizons are rounded up because each length is a graph of its own.
    """

    name = "cuda"
    order = 10
    cost = Cost(call=1e-5, step=1e-10, product=2e-13)  # by data sheets; not measured
    tf32: ClassVar[bool] = False
    device = torch.device("cuda")
    horizon_step = 8

    @classmethod
    def refusal(cls, model: SequenceModel, task: Task, training: Training) -> str | None:
        """See `Tier.refusal`; `lacking` tells a study that insists on CUDA."""
        if training.device == "cpu" or (training.device == "auto" and not has_cuda()):
            return "the study trains on the processor"
        if training.tf32 != cls.tf32:
            return f"the study asks for `tf32: {str(training.tf32).lower()}`"
        form = model.simple_form() if isinstance(model, RecurrentModel) else None
        return f"{model.name} is not a simple recurrence" if form is None else None

    @classmethod
    def lacking(cls) -> str | None:
        """See `Tier.lacking`."""
        if has_cuda():
            return None
        return "torch finds no CUDA device here (`device: cuda`, `--tier cuda`, or it began there)"

    @classmethod
    def most_rows(cls, model: SequenceModel, batch: Batch, sequences: int) -> int:
        """As many as fit into the device's memory."""
        if has_cuda() and isinstance(model, RecurrentModel):
            return rows_of_cuda(model, batch, sequences)
        return STACK_ROWS


class Tf32Tier(CudaTier):
    """The CUDA tier with products of matrices in TF32: 10 bits of a factor, sums in float32."""

    name = "cuda_tf32"
    order = 20
    cost = Cost(call=1e-5, step=1e-10, product=1e-13)  # by data sheets; not measured
    tf32 = True

    @classmethod
    def lacking(cls) -> str | None:
        """See `Tier.lacking`."""
        if has_cuda():
            return None
        return (
            "torch finds no CUDA device here, and the study asks for TF32 (`tf32: true`). Leave "
            "that out to train in float32; the networks are then others, under other keys"
        )

    def gradients(
        self, stacked: Stacked, flat: Tensor, batch: Batch, masks: Tensor, span: Span | None = None
    ) -> Gradients:
        """See `DenseTier.gradients`; a graph keeps the kernels that were chosen here."""
        products = torch.backends.cuda.matmul
        before = products.allow_tf32
        products.allow_tf32 = True
        try:
            return super().gradients(stacked, flat, batch, masks, span)
        finally:
            products.allow_tf32 = before
