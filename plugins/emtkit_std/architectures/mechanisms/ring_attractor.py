"""A ring of fixed points for every feature: a value is held as an angle."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from emtkit import SequenceModel, Task, hookimpl
from emtkit_std._parameters import Condition, Curvature, Distractors, Scale, StateNoise
from emtkit_std._theory.facts import CuedLaw
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.embedded import EmbeddedMemory, Embedding

BOUNDED = frozenset({"uniform", "constant", "signed"})


class RingAttractor(EmbeddedMemory):
    """An angle for each feature on a ring of fixed points, with nothing to train.

        z_t = exp(i kappa u_t) z_{t-1} (1 + eps (1 - |z_{t-1}|^2)),   z_0 = 1,
        y_t = c_t arg(z_t) / kappa,   c_t the cue

    Every z with |z| = 1 is a fixed point in silence, with multipliers 1 along the ring and
    1 - 2 eps across it: the ring corrects lengths, and no angle. An item of value x turns its ring
    by kappa x, and there it stays. Two units hold one z, and one more unit the cue.

    Shapes: state B H, H = 2 I + 1 + distractors for I features.

    References: Zhang (1996), doi:10.1523/JNEUROSCI.16-06-02112.1996 (angles that inputs turn), in
    the normal form of two units.
    """

    name = "ring_attractor"

    def __init__(
        self,
        task: Task,
        *,
        turn: Annotated[
            float,
            Field(gt=0, lt=180, description="Angle kappa of an item of value 1, in degrees."),
        ] = 90.0,
        correction: Annotated[
            float,
            Field(gt=0, le=0.5, description="Strength eps with which the ring attracts."),
        ] = 0.25,
        condition: Condition = None,
        curvature: Curvature = 0.0,
        distractors: Distractors = 0,
        scale: Scale = 1.0,
        noise: StateNoise = 0.0,
    ) -> None:
        super().__init__()
        law = task.facts(CuedLaw)
        self.angle, self.correction = math.radians(turn), correction
        self.features, self.longest = law.features, law.longest
        embedding = Embedding(condition, curvature, distractors, scale)
        self.embed(task, 2 * law.features + 1, embedding, noise)

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """One item of bounded values, asked for by a cue."""
        if CuedLaw not in task.offers:
            return f"a ring holds one item until a cue, and '{task.name}' offers no CuedLaw"
        law = task.facts(CuedLaw)
        if law.items > 1:
            return f"a ring holds one item, and there are {law.items} here; items: 1 would do"
        if law.amplitude not in BOUNDED:
            return (
                f"an angle holds values of at most 1, and the amplitude '{law.amplitude}' has no "
                f"bound ({', '.join(sorted(BOUNDED))} would do)"
            )
        return None

    def rest(self) -> Tensor:
        """All rings at the angle 0."""
        memory = super().rest()
        memory[: self.features] = 1.0
        return memory

    def advance(self, memory: Tensor, inputs: Tensor) -> Tensor:
        """Lengths towards 1, angles by the items; the cue is the input's."""
        along, across = self._rings(memory)
        length = 1.0 + self.correction * (1.0 - along.square() - across.square())
        items, cue = inputs[..., :-1], inputs[..., -1:]
        cosine, sine = torch.cos(self.angle * items), torch.sin(self.angle * items)
        turned = (cosine * along - sine * across, sine * along + cosine * across)
        return torch.cat([length * turned[0], length * turned[1], cue], -1)

    def answer(self, memory: Tensor) -> Tensor:
        """The angles, where the cue asks for them."""
        along, across = self._rings(memory)
        return memory[..., -1:] * torch.atan2(across, along) / self.angle

    def mechanism(self) -> Mechanism:
        """The one item, at any age."""
        return Mechanism("ring", tuple(range(self.longest + 1)))

    def _rings(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        return memory[..., : self.features], memory[..., self.features : -1]


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [RingAttractor]
