"""One causal attention layer with a growing context: what a user of transformers would pick."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from emtkit import SequenceModel, Task, Trace, hookimpl
from emtkit_std._parameters import HeadCount, Hidden
from emtkit_std._theory.networks.recurrence import uniform


@dataclass(frozen=True)
class _Attended:
    """What tokens make of the context: `states` (B t H), `weights` (B t heads reach)."""

    states: Tensor
    weights: Tensor


class Attention(SequenceModel):
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
        """Heads divide the width; tasks with autonomous steps have as many outputs as inputs."""
        if parameters["hidden"] % parameters["heads"]:
            return f"{parameters['heads']} heads do not divide hidden = {parameters['hidden']}"
        channels = task.channels
        if task.horizons and channels.inputs != channels.outputs:
            return (
                f"attention continues on its own outputs after the inputs, but {task.name} has "
                f"{channels.inputs} inputs and {channels.outputs} outputs"
            )
        return None

    def trace(self, inputs: Tensor, steps: int) -> Trace:
        """All driven steps at once, then one token at a time."""
        input_steps = inputs.shape[1]
        tokens = inputs @ self.W_uh.T + self.b
        keys, values = self._split(tokens @ self.W_K.T), self._split(tokens @ self.W_V.T)
        first = self._attend(tokens, keys, values, torch.arange(input_steps, device=inputs.device))
        states, maps = [first.states], [first.weights]
        token = tokens[:, -1:]
        for step in range(input_steps, steps):
            if step > input_steps:
                token = self._read(states[-1]) @ self.W_uh.T + self.b
                keys = torch.cat([keys, self._split(token @ self.W_K.T)], -2)
                values = torch.cat([values, self._split(token @ self.W_V.T)], -2)
            newest = torch.tensor([step - 1], device=inputs.device)
            following = self._attend(token, keys, values, newest)
            states.append(following.states)
            maps.append(following.weights)
        stream = torch.cat(states, 1)
        return Trace(stream, self._read(stream), {"attention": torch.cat(maps, 1)})

    def _attend(self, tokens: Tensor, keys: Tensor, values: Tensor, at: Tensor) -> _Attended:
        """Tokens (B t H) at positions `at` (t) attend to all tokens (B heads T w) up to them."""
        queries = self._split(tokens @ self.W_Q.T)
        scores = queries @ keys.transpose(-1, -2) * keys.shape[-1] ** -0.5
        distance = at[:, None] - torch.arange(keys.shape[-2], device=at.device)
        scores = scores + self.bias[:, distance.clamp(0, self.reach - 1)]
        weights = torch.softmax(scores.masked_fill(distance < 0, -torch.inf), -1)
        merged = (weights @ values).transpose(1, 2).reshape(tokens.shape)
        attended = merged @ self.W_O.T
        stream = tokens + attended if self.residual else attended
        return _Attended(stream, self._by_distance(weights, at))

    def _by_distance(self, weights: Tensor, at: Tensor) -> Tensor:
        """Weights (B heads t T) as (B t heads reach), by distance, zero before the first token."""
        wanted = at[:, None] - torch.arange(self.reach, device=at.device)
        index = wanted.clamp(min=0).expand(*weights.shape[:-1], self.reach)
        found = torch.gather(weights.detach(), -1, index).masked_fill(wanted < 0, 0.0)
        return found.transpose(1, 2)

    def _split(self, tokens: Tensor) -> Tensor:
        """(B t H) as (B heads t w)."""
        batch, steps = tokens.shape[:2]
        return tokens.reshape(batch, steps, self.heads, -1).transpose(1, 2)

    def _read(self, stream: Tensor) -> Tensor:
        return stream @ self.W_r.T + self.b_r


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The attention-only layer."""
    return [Attention]
