"""A causal attention layer with a growing context, whatever its weights are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from emtkit import Stream, Task, Trace
from emtkit_std._theory.networks.context import ContextModel


@dataclass(frozen=True)
class _Attended:
    """What tokens make of the context: `states` (B t H), `weights` (B t heads reach)."""

    states: Tensor
    weights: Tensor


class AttentionLayer(ContextModel):
    """r_t = x_t + W_O [sum_j alpha_tj W_V x_j]_heads, y_t = W_r r_t + b_r, x_t = W_uh u_t + b.

    A subclass sets the weights of these names, `bias` (heads reach), and the sizes.
    """

    hidden: int
    heads: int
    reach: int
    residual: bool
    W_uh: Tensor
    b: Tensor
    W_Q: Tensor
    W_K: Tensor
    W_V: Tensor
    W_O: Tensor
    W_r: Tensor
    b_r: Tensor
    bias: Tensor

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Tasks with autonomous steps have as many outputs as inputs."""
        channels = task.channels
        if channels.inputs == channels.outputs:
            return None
        drawn = task.sample(1, Stream(None, "steps"), 1 if task.horizons else None)
        if drawn.input_steps < drawn.steps:
            return (
                f"attention continues on its own outputs after the inputs, but {task.name} has "
                f"{channels.inputs} inputs and {channels.outputs} outputs"
            )
        return None

    def trace(self, inputs: Tensor, steps: int) -> Trace:
        """All driven steps at once, then one token at a time."""
        input_steps = inputs.shape[1]
        tokens = self.tokens(inputs)
        keys, values = self._split(tokens @ self.W_K.T), self._split(tokens @ self.W_V.T)
        first = self._attend(tokens, keys, values, torch.arange(input_steps, device=inputs.device))
        states, maps = [first.states], [first.weights]
        token = tokens[:, -1:]
        for step in range(input_steps, steps):
            if step > input_steps:
                token = self.tokens(self._read(states[-1]))
                keys = torch.cat([keys, self._split(token @ self.W_K.T)], -2)
                values = torch.cat([values, self._split(token @ self.W_V.T)], -2)
            newest = torch.tensor([step - 1], device=inputs.device)
            following = self._attend(token, keys, values, newest)
            states.append(following.states)
            maps.append(following.weights)
        stream = torch.cat(states, 1)
        return Trace(stream, self._read(stream), {"attention": torch.cat(maps, 1)})

    def tokens(self, values: Tensor) -> Tensor:
        """x = W_uh u + b."""
        return values @ self.W_uh.T + self.b

    def look(self, context: Tensor) -> Tensor:
        """What the newest token makes of all of them."""
        keys, values = self._split(context @ self.W_K.T), self._split(context @ self.W_V.T)
        newest = torch.tensor([context.shape[1] - 1], device=context.device)
        return self._read(self._attend(context[:, -1:], keys, values, newest).states)[:, 0]

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
