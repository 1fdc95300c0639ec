"""Architecture `template_name`: one causal layer of self-attention."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from emtkit import SequenceModel, Task, Trace, hookimpl


class TemplateName(SequenceModel):
    """Each token looks back at all tokens so far, by their contents and their distances.

        x_t = W_uh u_t,   h_t = x_t + sum_j p_tj W_V x_{t-j},   y_t = W_r h_t
        p_t = softmax over j >= 0 of (x_t . W_K x_{t-j} / sqrt(H) + bias_j)

    After the driven steps nothing enters from outside. A recurrent network then gets zeros; a
    network without a state has to be fed its own answers (autoregressive feedback): y_t of the last
    step is the input u_{t+1} of the next. So it needs as many outputs as inputs, on tasks that go
    on by themselves, and its errors come back as inputs. Training runs through this feedback, too.

    Shapes: inputs B T I, states B T H, outputs B T O; W_uh (H, I), W_K, W_V (H, H), W_r (O, H).

    References: none yet (say here where the network comes from).
    """

    name = "template_name"
    version = 1  # raise it when equal parameters give other numbers

    # What stands after `*` is what a study file may set. Draw weights from torch: emtkit seeds it.
    def __init__(
        self,
        task: Task,
        *,
        width: Annotated[int, Field(ge=1, description="Size H of a token.")] = 32,
        reach: Annotated[
            int, Field(ge=1, description="Number of distances with a bias; the last is shared.")
        ] = 16,
    ) -> None:
        super().__init__()
        self.reach = reach
        inputs, outputs = task.channels.inputs, task.channels.outputs
        self.W_uh = nn.Parameter(torch.randn(width, inputs) * inputs**-0.5)
        self.W_K = nn.Parameter(torch.randn(width, width) * width**-0.5)
        self.W_V = nn.Parameter(torch.randn(width, width) * width**-0.5)
        self.W_r = nn.Parameter(torch.randn(outputs, width) * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(reach))

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """The reason why a pair does not apply; emtkit shows it in place of a number."""
        channels = task.channels
        if task.horizons and channels.inputs != channels.outputs:
            return (
                f"it goes on with its own outputs as inputs, and {task.name} has "
                f"{channels.inputs} inputs and {channels.outputs} outputs"
            )
        return None

    def trace(self, inputs: Tensor, steps: int) -> Trace:
        """All driven steps at once, then one step at a time on its own outputs."""
        tokens = inputs @ self.W_uh.T
        states = self._attend(tokens)
        for _ in range(steps - inputs.shape[1]):
            fed_back = states[:, -1:] @ self.W_r.T  # y_t becomes u_{t+1}
            tokens = torch.cat([tokens, fed_back @ self.W_uh.T], 1)
            states = torch.cat([states, self._attend(tokens)[:, -1:]], 1)
        return Trace(states, states @ self.W_r.T)

    def _attend(self, tokens: Tensor) -> Tensor:
        """States (B T H) of tokens (B T H); none sees a later one."""
        scores = tokens @ (tokens @ self.W_K.T).transpose(1, 2) * tokens.shape[2] ** -0.5
        places = torch.arange(tokens.shape[1], device=tokens.device)
        distance = places[:, None] - places
        scores = scores + self.bias[distance.clamp(0, self.reach - 1)]
        shares = torch.softmax(scores.masked_fill(distance < 0, -torch.inf), -1)
        return tokens + shares @ (tokens @ self.W_V.T)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """What this file offers."""
    return [TemplateName]
