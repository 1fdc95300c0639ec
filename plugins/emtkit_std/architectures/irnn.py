"""A relu network whose recurrence begins as the identity: the wave-RNN's baseline."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from emtkit import RecurrentModel, Task, hookimpl
from emtkit_std._parameters import Activation, Hidden, StateNoise
from emtkit_std._theory.networks.forms import ElmanNetwork
from emtkit_std._theory.networks.recurrence import uniform


class IdentityRnn(ElmanNetwork):
    """h_t = sigma(W_hh h_{t-1} + W_uh u_t + b), y_t = W_r h_t + b_r, W_hh = 1 at first.

    W_uh begins as N(0, .001^2).

    The spectral radius of W_hh begins as 1 whatever sigma is, and stays near it: on `k_delay`
    (delay 3, 16 units) it is 1.00 to 1.01 for relu and 1.02 to 1.03 for tanh after 400
    iterations. What tells them apart is the Jacobian diag(sigma') W_hh: at the states that
    inputs lead to, its radius begins as 1.00 for relu and about .67 for tanh, which saturates.

    References: Le, Jaitly and Hinton 2015, arXiv:1504.00941; Keller et al. 2023, arXiv:2309.08045.
    """

    name = "irnn"

    def __init__(
        self,
        task: Task,
        *,
        hidden: Hidden = 100,
        activation: Annotated[Literal["relu", "tanh", "linear"], Activation] = "relu",
        start: Annotated[
            Literal["identity", "shift"],
            Field(
                description="Initial W_hh: the identity, or the identity rolled by one unit, an "
                "ablation of the wave-RNN."
            ),
        ] = "identity",
        noise: StateNoise = 0.0,
    ) -> None:
        super().__init__()
        inputs, outputs = task.channels.inputs, task.channels.outputs
        self.hidden, self.activation, self.noise = hidden, activation, noise
        identity = torch.eye(hidden)
        # rolled so that unit x + 1 drives unit x, like the wave-RNN's shift kernel
        self.W_hh = nn.Parameter(identity if start == "identity" else identity.roll(1, 1))
        self.W_uh = nn.Parameter(1e-3 * torch.randn(hidden, inputs))
        self.b = uniform(hidden, fan_in=inputs)
        self.W_r = uniform(outputs, hidden, fan_in=hidden)
        self.b_r = uniform(outputs, fan_in=hidden)


@hookimpl
def emtkit_architectures() -> list[type[RecurrentModel]]:
    """The identity-recurrence baseline."""
    return [IdentityRnn]
