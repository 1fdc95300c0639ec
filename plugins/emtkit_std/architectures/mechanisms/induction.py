"""Two layers of attention that were built: one finds what came before, one what came with a key."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from emtkit import Fact, SequenceModel, Task, Trace, hookimpl
from emtkit_std._parameters import Condition, Scale
from emtkit_std._theory.facts import PairsLaw
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.context import ContextModel
from emtkit_std._theory.networks.embedded import oblique


class Induction(ContextModel):
    """Answers a key with the value that followed it, by an induction head; nothing to train.

        r_t = (u_t, p_t, y_t) in the coordinates of the stream, at first (u_t, 0, 0)
        p_t = sum_j alpha_tj u_j,          alpha_tj = softmax_j(beta [t - j = 1])
        y_t = sum_j alpha'_tj value(u_j),
              alpha'_tj = softmax_j(beta key(u_t) . (key(p_j) - key(u_j)))

    over tokens j <= t: the first layer puts beside each token the one before it, and the second
    looks at the token that came after its own key. Taking off key(u_j) keeps it from tokens that
    are keys themselves: the first of a sequence has none before it, and finds itself. What leaks to
    other tokens is of order T exp(-beta). Without the first layer no token looks better than
    another.

    The state is the stream after both layers, h = A r. Shapes: states B T H, H = 2 I + O.

    References: Olsson et al. (2022), arXiv:2209.11895; Elhage et al. (2021), "A mathematical
    framework for transformer circuits".
    """

    name = "induction"
    offers = (Mechanism,)

    def __init__(
        self,
        task: Task,
        *,
        strength: Annotated[
            float, Field(gt=0, description="Score beta of the token that a head looks at.")
        ] = 40.0,
        condition: Condition = None,
        scale: Scale = 1.0,
    ) -> None:
        super().__init__()
        law = task.facts(PairsLaw)
        self.strength, self.length = strength, 2 * law.pairs + law.queries
        inputs = law.keys + law.dimension
        self.hidden = 2 * inputs + law.dimension
        into, back = oblique(self.hidden, condition)
        into, back = into * scale, back / scale
        heard, before = slice(0, inputs), slice(inputs, 2 * inputs)
        key, key_before = slice(0, law.keys), slice(inputs, inputs + law.keys)
        value, answer = slice(law.keys, inputs), slice(2 * inputs, self.hidden)
        weights = {
            "W_uh": into[:, heard],
            "W_V1": back[heard],
            "W_O1": into[:, before],
            "W_Q2": strength * back[key],
            "W_K2": back[key_before] - back[key],
            "W_V2": back[value],
            "W_O2": into[:, answer],
            "W_r": back[answer],
        }
        for name, each in weights.items():
            self.register_buffer(name, each.clone())

    @classmethod
    def trains(cls, parameters: Mapping[str, Any]) -> bool:
        """Never."""
        return False

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Needs keys whose values follow them."""
        if PairsLaw not in task.offers:
            return (
                f"induction answers keys with the values that followed them, and '{task.name}' "
                "offers no PairsLaw"
            )
        if not task.facts(PairsLaw).apart:
            return (
                f"induction looks for what followed a key, and in '{task.name}' values come in the "
                "same step here; apart: true would do"
            )
        return None

    def tokens(self, values: Tensor) -> Tensor:
        """The stream before the first layer."""
        return values @ self.W_uh.T

    def look(self, context: Tensor) -> Tensor:
        """The answer of the newest token, after both layers over all."""
        return self._stream(context)[:, -1] @ self.W_r.T

    def trace(self, inputs: Tensor, steps: int) -> Trace:
        """All steps at once; its tasks end with their inputs."""
        stream = self._stream(self.tokens(inputs))
        return Trace(stream, stream @ self.W_r.T)

    def facts(self, kind: type[Fact]) -> Fact:
        """Its mechanism: all ages in the context, used where a key asks for them."""
        if kind is not Mechanism:
            return super().facts(kind)
        ages = tuple(range(self.length))
        return Mechanism("attention", ages, (1.0,) * self.length)

    def _stream(self, tokens: Tensor) -> Tensor:
        steps = torch.arange(tokens.shape[1], device=tokens.device)
        distance = steps[:, None] - steps
        place = self.strength * (distance == 1).to(tokens)
        stream = tokens + _attended(place, distance, tokens @ self.W_V1.T) @ self.W_O1.T
        scores = (stream @ self.W_Q2.T) @ (stream @ self.W_K2.T).mT
        return stream + _attended(scores, distance, stream @ self.W_V2.T) @ self.W_O2.T


def _attended(scores: Tensor, distance: Tensor, values: Tensor) -> Tensor:
    """Of values (B T w) what each token sees by its scores (... T T), of those up to itself."""
    return torch.softmax(scores.masked_fill(distance < 0, -torch.inf), -1) @ values


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [Induction]
