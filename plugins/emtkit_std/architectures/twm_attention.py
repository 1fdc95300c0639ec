"""Traveling-wave memory whose boundary condition is self-attention over the columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from emtkit import Fact, RecurrentModel, StackedKernel, Task, Trace, hookimpl
from emtkit_std._parameters import HeadCount, InputMode
from emtkit_std._theory.emt.circuit import linear_law
from emtkit_std._theory.facts import HistoryLaw, LinearHistoryLaw
from emtkit_std._theory.networks.attention_kernel import AttentionKernel, Substrate
from emtkit_std._theory.networks.recurrence import as_buffer, to_array, uniform
from emtkit_std._theory.waves.attention import BoundaryHeads, Heads, columns_read, constructed_heads
from emtkit_std._theory.waves.wavefield import NativeColumns


@dataclass(frozen=True)
class _Prepared:
    """All heads as one: `query` (d, heads (d + s)), `offset` (heads (d + s)), `value` (heads d, d).

    What column s asks of the content and of the place of every column, and what heads write.
    """

    query: Tensor
    offset: Tensor
    value: Tensor


class TwmAttention(RecurrentModel):
    """H(t+1) = [h_2 .. h_s, f(H) + u], f(H) = sum_a W_V^a sum_i alpha_i^a h_i: Eq. 8 in a loop.

    alpha^a = softmax_i(kappa (W_K^a k_i) . (W_Q^a q)) over columns i = 1..s, with k_i = [h_i; p_i]
    and q that of column s. Without positions f is blind to the order of columns 1..s-1. With
    `exact_strength` the rule is built instead of trained: one head per column that it reads.

    The trace holds `attention` (B T heads s): by which weights each state writes the next column.

    References: Karuvally, Sejnowski and Siegelmann, ICML 2024, Eq. 8, with the sum running over the
    s columns and W_K^T W_Q in place of W_K W_Q.
    """

    name = "twm_attention"
    offers = (NativeColumns, BoundaryHeads)

    def __init__(
        self,
        task: Task,
        *,
        heads: HeadCount = 1,
        position: Annotated[
            Literal["none", "onehot", "learned"],
            Field(
                description="Whether keys and queries are blind to the order of the columns, hold "
                "a fixed place p_i beside the content, or a trained one added to it."
            ),
        ] = "none",
        scale: Annotated[
            Literal["sqrt", "none"],
            Field(description="Factor kappa of the scores: 1 / sqrt(rank), or 1."),
        ] = "sqrt",
        boundary_activation: Annotated[
            Literal["none", "tanh"],
            Field(description="Nonlinearity of the new column; tanh bounds it."),
        ] = "none",
        input_mode: InputMode = "clamp",
        rank: Annotated[
            int | None,
            Field(ge=1, description="Rows of W_Q and W_K; null takes the width of the keys."),
        ] = None,
        exact_strength: Annotated[
            float | None,
            Field(
                gt=0,
                description="Score with which a constructed head attends to the one column that it "
                "reads, the rest being softmax leak; null trains the heads.",
            ),
        ] = None,
    ) -> None:
        super().__init__()
        law = task.facts(HistoryLaw)
        self.history, self.dimension = law.history, law.dimension
        self.hidden = law.history * law.dimension
        self.bounded, self.input_mode = boundary_activation == "tanh", input_mode
        width = law.dimension + (law.history if position == "onehot" else 0)
        rank = width if rank is None else rank
        self.kappa = rank**-0.5 if scale == "sqrt" else 1.0
        if exact_strength is None:
            self.W_Q = uniform(heads, rank, width, fan_in=width)
            self.W_K = uniform(heads, rank, width, fan_in=width)
            self.W_V = uniform(heads, law.dimension, law.dimension, fan_in=law.dimension)
        else:
            rule = task.facts(LinearHistoryLaw).operator
            built = constructed_heads(rule, law.history, exact_strength, heads, rank, self.kappa)
            self.register_buffer("W_Q", as_buffer(built.W_Q))
            self.register_buffer("W_K", as_buffer(built.W_K))
            self.register_buffer("W_V", as_buffer(built.W_V))
        self.register_buffer("content", torch.eye(law.dimension, width))
        if position == "learned":
            self.places = nn.Parameter(torch.randn(law.history, width) * width**-0.5)
        else:
            places = torch.eye(width)[law.dimension :]
            blank = torch.zeros(law.history, width)
            self.register_buffer("places", places if position == "onehot" else blank)

    @classmethod
    def trains(cls, parameters: Mapping[str, Any]) -> bool:
        """Not in the constructed form."""
        return parameters["exact_strength"] is None

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Only tasks with a law of history; the constructed form needs positions and heads."""
        if HistoryLaw not in task.offers:
            return (
                f"twm_attention continues a history by a rule; {task.name} has none (it needs the "
                "fact HistoryLaw)"
            )
        if parameters["exact_strength"] is None:
            return None
        if parameters["position"] != "onehot":
            return f"exact_strength needs position: onehot, not {parameters['position']}"
        law = linear_law(task)
        if isinstance(law, str):
            return f"{law}, whose columns exact_strength could attend to"
        needed = len(columns_read(law.operator, law.history))
        if needed > parameters["heads"]:
            return (
                f"this rule reads {needed} columns and every column takes one head, so "
                f"exact_strength needs heads: {needed} or more, not {parameters['heads']}"
            )
        return None

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """The columns move on by one, and the last is written by attention, plus the input."""
        return self._advance(state, inputs, self._prepare())

    def read(self, state: Tensor) -> Tensor:
        """The newest column (... O) of states (... H)."""
        return state[..., -self.dimension :]

    def encode(self, inputs: Tensor) -> Tensor:
        """The state after the inputs (B s I): set to them, or run through them for `add`."""
        if self.input_mode == "add":
            return super().encode(inputs)
        return inputs.reshape(inputs.shape[0], -1)

    def trace(self, inputs: Tensor, steps: int) -> Trace:
        """`step` by `step`, with the weights prepared once, and the attention of every state."""
        batch, input_steps = inputs.shape[:2]
        prepared = self._prepare()
        state = self.initial(batch)
        if self.input_mode == "clamp":
            states = [state] * (input_steps - 1) + [self.encode(inputs)]
        else:
            states = [state]
            for step_inputs in inputs.unbind(1):
                states.append(self._advance(states[-1], step_inputs, prepared))
            states = states[1:]
        silence = torch.zeros_like(inputs[:, 0])
        for _ in range(steps - input_steps):
            states.append(self._advance(states[-1], silence, prepared))
        stacked = torch.stack(states, 1)
        maps = self._attention(self._columns(stacked), prepared)
        return Trace(stacked, self.read(stacked), {"attention": maps})

    def stacked_kernel(self) -> StackedKernel | None:
        """Its passes through time by hand; the constructed form has nothing to train."""
        if not isinstance(self.W_V, nn.Parameter):
            return None
        clamped = self.input_mode == "clamp"
        return AttentionKernel(
            Substrate(self.content, self.places, self.kappa, self.bounded, clamped)
        )

    def facts(self, kind: type[Fact]) -> Fact:
        """Its columns (the state itself), and its heads."""
        if kind is NativeColumns:
            return kind(self.history, self.dimension, torch.eye(self.hidden).double().numpy())
        if kind is BoundaryHeads:
            heads = Heads(to_array(self.W_Q), to_array(self.W_K), to_array(self.W_V))
            return kind(heads, self.history)
        return super().facts(kind)

    def _prepare(self) -> _Prepared:
        """Scores are linear in column s: (h_s C + p_s) M (h_i C + p_i), M = kappa W_Q^T W_K."""
        product = self.kappa * self.W_Q.transpose(-1, -2) @ self.W_K
        offered = torch.cat([self.content, self.places])
        scored = product @ offered.T
        heads, dimension = self.W_V.shape[:2]
        return _Prepared(
            (self.content @ scored).transpose(0, 1).reshape(dimension, -1),
            (self.places[-1] @ scored).reshape(-1),
            self.W_V.transpose(1, 2).reshape(heads * dimension, dimension),
        )

    def _advance(self, state: Tensor, inputs: Tensor, prepared: _Prepared) -> Tensor:
        columns = self._columns(state)
        mixed = self._attention(columns, prepared) @ columns
        written = mixed.flatten(-2) @ prepared.value
        if self.bounded:
            written = torch.tanh(written)
        return torch.cat([state[..., self.dimension :], written + inputs], -1)

    def _columns(self, state: Tensor) -> Tensor:
        return state.reshape(*state.shape[:-1], self.history, self.dimension)

    def _attention(self, columns: Tensor, prepared: _Prepared) -> Tensor:
        """alpha (... heads s) of columns (... s d)."""
        queries = columns[..., -1, :] @ prepared.query + prepared.offset
        by_head = queries.unflatten(-1, (-1, self.dimension + self.history))
        by_content, by_place = by_head.split([self.dimension, self.history], -1)
        return torch.softmax(by_content @ columns.transpose(-1, -2) + by_place, -1)


@hookimpl
def emtkit_architectures() -> list[type[RecurrentModel]]:
    """Traveling-wave memory with self-attention at its boundary."""
    return [TwmAttention]
