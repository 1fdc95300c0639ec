"""Architecture `template_name`: a leaky recurrent network."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from emtkit import RecurrentModel, SequenceModel, Task, hookimpl


class TemplateName(RecurrentModel):
    """A leaky recurrent network.

    h_t = (1 - leak) h_{t-1} + leak tanh(W_hh h_{t-1} + W_uh u_t + b),   y_t = W_r h_t

    Shapes: state B H, inputs B I, outputs B O; W_hh (H, H), W_uh (H, I), W_r (O, H), b (H).

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
        leak: Annotated[
            float, Field(gt=0, le=1, description="Share of the state that is new at each step.")
        ] = 0.5,
    ) -> None:
        super().__init__()
        self.hidden, self.leak = hidden, leak
        scale = hidden**-0.5
        self.W_hh = nn.Parameter(torch.randn(hidden, hidden) * scale)
        self.W_uh = nn.Parameter(torch.randn(hidden, task.channels.inputs) * scale)
        self.W_r = nn.Parameter(torch.randn(task.channels.outputs, hidden) * scale)
        self.b = nn.Parameter(torch.zeros(hidden))

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """The next state (B H), for one network; emtkit runs many at once."""
        drive = torch.tanh(state @ self.W_hh.T + inputs @ self.W_uh.T + self.b)
        return (1 - self.leak) * state + self.leak * drive

    def read(self, state: Tensor) -> Tensor:
        """Outputs (... O) of states (... H)."""
        return state @ self.W_r.T


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """What this file offers."""
    return [TemplateName]
