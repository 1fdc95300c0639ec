"""One causal attention layer with a growing context: what a user of transformers would pick."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from emtkit import SequenceModel, Task, hookimpl
from emtkit_std._parameters import HeadCount, Hidden
from emtkit_std._theory.networks.attention_layer import AttentionLayer
from emtkit_std._theory.networks.recurrence import uniform


class Attention(AttentionLayer):
    """r_t = x_t + W_O [sum_j alpha_tj W_V x_j]_heads, y_t = W_r r_t + b_r, x_t = W_uh u_t + b.

    alpha_t = softmax over all tokens j <= t of (W_Q x_t) . (W_K x_j) / sqrt(width of a head), plus
    the number of its distance where `position` is relative. No MLP, no norm. The state is the
    residual stream r.

    After the driven steps the context goes on with the network's own outputs: step t reads the
    tokens of the steps before it, writes y_t, and y_t becomes token t. (So tokens keep one distance
    from the output they serve; the first autonomous step reads the last driven token once more.)

    The trace holds `attention` (B T heads reach): the weights by distance, 0 first; distances
    beyond the last are left out.

    References: Vaswani et al. 2017, arXiv:1706.03762; Raffel et al. 2020, arXiv:1910.10683, for
    the relative bias.
    """

    name = "attention"

    def __init__(
        self,
        task: Task,
        *,
        hidden: Hidden = 32,
        heads: HeadCount = 1,
        position: Annotated[
            Literal["relative", "none"],
            Field(description="Whether scores get a trained number per head and distance."),
        ] = "relative",
        residual: Annotated[
            bool, Field(description="Whether the token x_t is added to the attended sum.")
        ] = True,
        reach: Annotated[
            int, Field(ge=1, description="Number of distances; larger ones share the last.")
        ] = 16,
    ) -> None:
        super().__init__()
        inputs, outputs = task.channels.inputs, task.channels.outputs
        self.hidden, self.heads, self.residual, self.reach = hidden, heads, residual, reach
        self.W_uh = uniform(hidden, inputs, fan_in=inputs)
        self.b = uniform(hidden, fan_in=inputs)
        self.W_Q = uniform(hidden, hidden, fan_in=hidden)
        self.W_K = uniform(hidden, hidden, fan_in=hidden)
        self.W_V = uniform(hidden, hidden, fan_in=hidden)
        self.W_O = uniform(hidden, hidden, fan_in=hidden)
        self.W_r = uniform(outputs, hidden, fan_in=hidden)
        self.b_r = uniform(outputs, fan_in=hidden)
        if position == "relative":
            self.bias = nn.Parameter(torch.zeros(heads, reach))
        else:
            self.register_buffer("bias", torch.zeros(heads, reach))

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Heads divide the width; the rest is every attention layer's."""
        if parameters["hidden"] % parameters["heads"]:
            return f"{parameters['heads']} heads do not divide hidden = {parameters['hidden']}"
        return super().accepts(task, parameters)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The attention-only layer."""
    return [Attention]
