"""Slots that a clock addresses: items stay where they were written."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from emtkit import SequenceModel, Task, hookimpl
from emtkit_std._parameters import Condition, Curvature, Distractors, Scale, StateNoise
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.delay_line import refuse_without_line, required_line
from emtkit_std._theory.networks.embedded import EmbeddedMemory, Embedding, orthogonal


class PhaseClock(EmbeddedMemory):
    """L slots, one of them written at each step, by a clock; with nothing to train.

        p_t = p_{t-1} + 1 mod L,   y_t = sum_a G_a z_{t, p_t - a},
        z_{t,q} = u_t + F z_{t-1,q} at q = p_t,   z_{t,q} = z_{t-1,q} elsewhere

    The outputs are those of `register`, and no item moves: an item's place is that of the time at
    which it came. With a `turn` of theta degrees all slots are held in a frame that turns by R in
    every step, m_t = R^t z_t, R a rotation by theta in random planes: the code of an item turns,
    R being the same for all items. The largest of the clock's L units is the phase, which small
    noise of the state does not move; it does move the angle of the frame, and not its length.

    Shapes: state B H, H = L I + L + distractors, and 2 more with a turn.

    References: none (own work); a control for waves, as it solves what they solve.
    """

    name = "phase_clock"

    def __init__(
        self,
        task: Task,
        *,
        turn: Annotated[
            float,
            Field(ge=0, le=180, description="Angle by which the slots turn per step, in degrees."),
        ] = 0.0,
        condition: Condition = None,
        curvature: Curvature = 0.0,
        distractors: Distractors = 0,
        scale: Scale = 1.0,
        noise: StateNoise = 0.0,
    ) -> None:
        super().__init__()
        line = required_line(task)
        self.length, self.inputs, self.angle = line.length, line.inputs, math.radians(turn)
        self.hold(line.weights())
        self.size = self.length * self.inputs
        planes = orthogonal(self.size) if turn else torch.eye(self.size, dtype=torch.float64)
        self.register_buffer("planes", planes)
        embedding = Embedding(condition, curvature, distractors, scale)
        memory = self.size + self.length + (2 if turn else 0)
        self.embed(task, memory, embedding, noise)

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Needs a task that repeats items from rest."""
        return refuse_without_line(task)

    def rest(self) -> Tensor:
        """Empty slots, the clock one step before the first, the frame at zero."""
        memory = super().rest()
        memory[self.size + self.length - 1] = 1.0
        if self.angle:
            memory[-2] = 1.0
        return memory

    def advance(self, memory: Tensor, inputs: Tensor) -> Tensor:
        """The clock moves on, and the slot of its phase is written."""
        slots, phase, frame = self._parts(memory)
        phase = phase.roll(1, -1)
        here = phase.unsqueeze(-1)
        written = inputs.unsqueeze(-2) + slots @ self.returns.T
        slots = torch.where(here > 0, written, slots)
        if self.angle:
            frame = _turned(frame, frame.new_tensor([math.cos(self.angle), math.sin(self.angle)]))
        held = self._framed(slots.flatten(-2), frame)
        return torch.cat([held, phase, frame], -1)

    def answer(self, memory: Tensor) -> Tensor:
        """The items of the ages that are asked for, found by the clock."""
        slots, phase, _ = self._parts(memory)
        ages = range(self.length)
        items = [(phase.roll(-age, -1).unsqueeze(-1) * slots).sum(-2) for age in ages]
        return torch.cat(items, -1) @ self.reads.T

    def mechanism(self) -> Mechanism:
        """All ages, at the places of their times."""
        kind = "rotation" if self.angle else "slot"
        return Mechanism(kind, tuple(range(self.length)), (1.0,) * self.length)

    def _parts(self, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Slots (... L I) out of their frame, the phase (... L) as exact 0 and 1, the frame."""
        held, phase, frame = memory.tensor_split([self.size, self.size + self.length], -1)
        most = phase == phase.amax(-1, keepdim=True)
        phase = (most & (most.cumsum(-1) == 1)).to(memory.dtype)  # the first of equal ones
        if self.angle:
            frame = normalize(frame, dim=-1)
            back = frame * frame.new_tensor([1.0, -1.0])
            held = self._rotated(held, back) @ self.planes
        return held.unflatten(-1, (self.length, self.inputs)), phase, frame

    def _framed(self, slots: Tensor, frame: Tensor) -> Tensor:
        return self._rotated(slots @ self.planes.T, frame) if self.angle else slots

    def _rotated(self, held: Tensor, frame: Tensor) -> Tensor:
        """Pairs of `held` (... L I) turned by the angle of `frame` (... 2); one left over stays."""
        pairs = self.size // 2
        first, second, alone = held.tensor_split([pairs, 2 * pairs], -1)
        cosine, sine = frame[..., :1], frame[..., 1:]
        turned = (cosine * first - sine * second, sine * first + cosine * second)
        return torch.cat([*turned, alone], -1)


def _turned(frame: Tensor, by: Tensor) -> Tensor:
    """The product of two numbers of the unit circle (... 2)."""
    cosine = frame[..., :1] * by[0] - frame[..., 1:] * by[1]
    sine = frame[..., :1] * by[1] + frame[..., 1:] * by[0]
    return torch.cat([cosine, sine], -1)


@hookimpl
def emtkit_architectures() -> list[type[SequenceModel]]:
    """The architecture of this module."""
    return [PhaseClock]
