"""Architecture `template_name`: a recurrent network with one gate."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from emtkit import RecurrentModel, SequenceModel, Task, hookimpl


class TemplateName(RecurrentModel):
    """A recurrent network that decides, unit by unit, what to keep.

        h_t = z h_{t-1} + (1 - z) n,   y_t = W_r h_t
        z = sigmoid(W_hz h_{t-1} + W_uz u_t + b_z),   n = tanh(W_hh h_{t-1} + W_uh u_t + b)

    Shapes: state B H, inputs B I, outputs B O; W_hh, W_hz (H, H), W_uh, W_uz (H, I), W_r (O, H).

    References: none yet (say here where the network comes from).
    """

    name = "template_name"
    version = 1  # raise it when equal parameters give other numbers

    # What stands after `*` is what a study file may set. Draw weights from torch: emtkit seeds it.
    def __init__(
        self,
        task: Task,
        *,
        hidden: Annotated[int, Field(ge=1, description="Number of units H.")] = 32,
    ) -> None:
        super().__init__()
        # `hidden` is the size of the WHOLE state. A network with two parts (h and c, say) keeps
        # them in one tensor, `torch.cat([h, c], 1)`, and sets `self.hidden = 2 * hidden`.
        self.hidden = hidden
        inputs, outputs = task.channels.inputs, task.channels.outputs
        scale = hidden**-0.5
        self.W_hh = nn.Parameter(torch.randn(hidden, hidden) * scale)
        self.W_uh = nn.Parameter(torch.randn(hidden, inputs) * scale)
        self.b = nn.Parameter(torch.zeros(hidden))
        self.W_hz = nn.Parameter(torch.randn(hidden, hidden) * scale)
        self.W_uz = nn.Parameter(torch.randn(hidden, inputs) * scale)
        self.b_z = nn.Parameter(torch.ones(hidden))  # it keeps most at first
        self.W_r = nn.Parameter(torch.randn(outputs, hidden) * scale)

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """The next state (B H), for one network; emtkit runs many at once."""
        keep = torch.sigmoid(state @ self.W_hz.T + inputs @ self.W_uz.T + self.b_z)
        new = torch.tanh(state @ self.W_hh.T + inputs @ self.W_uh.T + self.b)
        return keep * state + (1 - keep) * new

    def read(self, state: Tensor) -> Tensor:
        """Outputs (... O) of states (... H)."""
        return state @ self.W_r.T


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """What this file offers."""
    return [TemplateName]
