"""Attention that was built: heads that look at fixed distances, or alike at everything."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from emtkit import Fact, SequenceModel, Task, hookimpl
from emtkit_std._parameters import Condition, Scale
from emtkit_std._theory.facts import Array
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.attention_layer import AttentionLayer
from emtkit_std._theory.networks.delay_line import DelayLine, refuse_without_line, required_line
from emtkit_std._theory.networks.embedded import oblique


class ExactAttention(AttentionLayer):
    """One attention layer that answers the task, with nothing to train.

        y_t = sum_a G_a sum_j alpha_tj z_j,   alpha_tj = softmax_j(beta [t - j = a])

    With `position: relative` there is one head for each age a that is asked for, with scores of
    `strength` beta at that distance and 0 elsewhere; what leaks to other tokens is of order
    T exp(-beta). Before the item wanted has come, a head looks at all tokens alike. With `none` all
    scores are 0: one head answers with the mean of the context, which is right for no item.

    The tokens z are the inputs and, after them, the outputs, as in `attention`: what the context
    holds is exact. The state is the residual stream r without the token itself, h = A r, which
    holds what heads have read. Shapes: states B T H, H = I heads.

    References: Vaswani et al. (2017), arXiv:1706.03762; Raffel et al. (2020), arXiv:1910.10683, for
    the relative bias.
    """

    name = "exact_attention"
    offers = (Mechanism,)

    def __init__(
        self,
        task: Task,
        *,
        position: Annotated[
            Literal["relative", "none"],
            Field(description="Whether heads look at distances, or at everything alike."),
        ] = "relative",
        strength: Annotated[
            float, Field(gt=0, description="Score beta at the distance that a head looks at.")
        ] = 40.0,
        condition: Condition = None,
        scale: Scale = 1.0,
    ) -> None:
        super().__init__()
        line = required_line(task)
        self.length, self.placed = line.length, position == "relative"
        answers = _answers(line)
        if not self.placed:
            answers = {0: sum(answers.values(), np.zeros_like(line.reads[0]))}
        self.heads, self.hidden = len(answers), len(answers) * line.inputs
        self.reach, self.residual = line.length + 1, False  # farther tokens share the last score
        bias = torch.zeros(self.heads, self.reach, dtype=torch.float64)
        if self.placed:
            bias[range(self.heads), list(answers)] = strength
        into, back = oblique(self.hidden, condition)
        tokens = torch.eye(self.hidden, line.inputs, dtype=torch.float64)
        read = torch.from_numpy(np.concatenate(list(answers.values()), axis=1))
        weights = {"W_uh": tokens, "W_V": tokens.T.repeat(self.heads, 1), "bias": bias}
        weights |= {"W_O": scale * into, "W_r": read @ back / scale}
        weights |= {name: torch.zeros_like(into) for name in ("W_Q", "W_K")}
        weights |= {"b": into.new_zeros(self.hidden), "b_r": into.new_zeros(len(read))}
        for name, value in weights.items():
            self.register_buffer(name, value)

    @classmethod
    def trains(cls, parameters: Mapping[str, Any]) -> bool:
        """Never."""
        return False

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Needs a task that repeats items."""
        return super().accepts(task, parameters) or refuse_without_line(task)

    def facts(self, kind: type[Fact]) -> Fact:
        """Its mechanism: all ages in the context, used where heads find them."""
        if kind is not Mechanism:
            return super().facts(kind)
        ages, everything = tuple(range(self.length)), (1.0,) * self.length
        return Mechanism("attention", ages, everything, used=self.placed)


def _answers(line: DelayLine) -> dict[int, Array]:
    """What each distance that is looked at adds to the outputs (O, I).

    An item that comes back is answered by step t from tokens up to t - 1: one step nearer.
    """
    if line.returns.any():
        return {line.length - 1: line.reads[0] @ line.returns}
    return {age: reads for age, reads in enumerate(line.reads) if reads.any()}


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [ExactAttention]
