"""How a network goes on from a state that it was given."""

import torch
from torch import Tensor

from emtkit import RecurrentModel


def continued(model: RecurrentModel, state: Tensor, inputs: Tensor, begin: int, end: int) -> Tensor:
    """Outputs (B T' O) of the steps from `begin` to before `end`, from the state (B H) at `begin`.

    `inputs` (B T I) are those of the whole sequences.
    """
    outputs = [model.read(state)]
    for step in range(begin + 1, end):
        state = model.step(state, inputs[:, step])
        outputs.append(model.read(state))
    return torch.stack(outputs, 1)
