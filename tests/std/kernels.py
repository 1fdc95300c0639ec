"""What the tests of every kernel by hand ask of it."""

import torch

from emtkit import Batch
from emtkit.train.stack import first_scored
from emtkit.train.tiers.dense import DenseTier


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
