"""How a network goes on from a state that it was given."""

import torch
from torch import Tensor

from emtkit import RecurrentModel
from emtkit_std._theory.observe import LARGEST


def continued(model: RecurrentModel, state: Tensor, inputs: Tensor, begin: int, end: int) -> Tensor:
    """Outputs (B T' O) of the steps from `begin` to before `end`, from the state (B H) at `begin`.

    `inputs` (B T I) are those of the whole sequences. What overflows, as it may where the given
    state is far from those of the network's own, counts as LARGEST.
    """
    outputs = [model.read(state)]
    for step in range(begin + 1, end):
        state = model.step(state, inputs[:, step])
        outputs.append(model.read(state))
    found = torch.stack(outputs, 1)
    return torch.nan_to_num(found, nan=LARGEST, posinf=LARGEST).clamp(-LARGEST, LARGEST)
