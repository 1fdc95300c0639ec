"""What the tests of every kernel by hand ask of it."""

from dataclasses import replace

import torch

from emtkit import Batch
from emtkit.train.stack import first_scored
from emtkit.train.tiers.dense import DenseTier
from emtkit.train.tiers.vmap import VmapTier
from tests.rounding import assert_rounded_rows


def assert_autograd(found, stacked, flat, batch, masks=None):
    """Gradients, losses and outputs are autograd's in double precision, but for rounding."""
    masks = batch.mask if masks is None else masks
    single, double = (
        autograd(stacked, flat, batch, masks, dtype) for dtype in (torch.float32, torch.float64)
    )
    size, dtype = 2 * batch.steps, flat.dtype  # there and back
    kept = masks[:, None, :, None] > 0
    assert_rounded_rows(found.gradients, single.gradients, double.gradients, size, dtype)
    assert_rounded_rows(found.losses, single.losses, double.losses, size, dtype)
    assert_rounded_rows(found.steps, single.steps, double.steps, size, dtype)
    outputs = (gradients.outputs() * kept for gradients in (found, single, double))
    assert_rounded_rows(*outputs, size, dtype)


def autograd(stacked, flat, batch, masks, dtype):
    """What the plain module gives in this precision."""
    inputs, targets, mask = (t.to(dtype) for t in (batch.inputs, batch.targets, batch.mask))
    there = replace(batch, inputs=inputs, targets=targets, mask=mask)
    return VmapTier().gradients(stacked.cast(dtype), flat.to(dtype), there, masks.to(dtype))


def assert_bits_are_its_own(stacked, flat, batch, horizons):
    """Every row has in the stack, at its own horizon, the bits that it has without the others."""
    masks = torch.stack([first_scored(m, h) for m, h in zip(batch.mask, horizons, strict=True)])
    together = DenseTier().gradients(stacked, flat, batch, masks)
    for row, horizon in enumerate(horizons):
        rows, end = [row, row], batch.input_steps + horizon
        part = Batch(batch.inputs[rows, :, :end], batch.targets[rows, :, :end],
                     batch.mask[rows, :end], batch.input_steps)  # fmt: skip
        alone = DenseTier().gradients(stacked.take(rows), flat[rows], part, masks[rows, :end])
        assert torch.equal(alone.gradients[0], together.gradients[row])
        assert torch.equal(alone.losses[0], together.losses[row])
