"""Architecture `template_name`: a linear state-space model of decaying rotations."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from emtkit import RecurrentModel, SequenceModel, Task, hookimpl


class TemplateName(RecurrentModel):
    """A diagonal state-space model with a nonlinear readout.

        x_t = r e^{i a} x_{t-1} + W_uh u_t,   r = exp(-exp(decay)),   y_t = W_r tanh(h_t)

    The N modes x are complex; the state h is their real parts and then their imaginary parts, so
    that H = 2N. Nothing but the readout is nonlinear.

    Shapes: state B H, inputs B I, outputs B O; decay, angle (N), W_uh (H, I), W_r (O, H).

    References: none yet (say here where the network comes from).
    """

    name = "template_name"
    version = 1  # raise it when equal parameters give other numbers

    # What stands after `*` is what a study file may set. Draw weights from torch: emtkit seeds it.
    def __init__(
        self,
        task: Task,
        *,
        modes: Annotated[int, Field(ge=1, description="Number of complex modes N.")] = 16,
    ) -> None:
        super().__init__()
        self.modes, self.hidden = modes, 2 * modes  # `hidden` is the size of the whole state
        inputs, outputs = task.channels.inputs, task.channels.outputs
        self.decay = nn.Parameter(torch.randn(modes) - 2.0)
        self.angle = nn.Parameter(torch.rand(modes) * torch.pi)
        self.W_uh = nn.Parameter(torch.randn(2 * modes, inputs) * inputs**-0.5)
        self.W_r = nn.Parameter(torch.randn(outputs, 2 * modes) * (2 * modes) ** -0.5)

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """The next state (B H), for one network; emtkit runs many at once."""
        radius = torch.exp(-torch.exp(self.decay))
        real, imaginary = state[:, : self.modes], state[:, self.modes :]
        cosine, sine = radius * torch.cos(self.angle), radius * torch.sin(self.angle)
        turned = [cosine * real - sine * imaginary, sine * real + cosine * imaginary]
        return torch.cat(turned, 1) + inputs @ self.W_uh.T

    def read(self, state: Tensor) -> Tensor:
        """Outputs (... O) of states (... H)."""
        return torch.tanh(state) @ self.W_r.T


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """What this file offers."""
    return [TemplateName]
