"""Memories of a known mechanism, embedded in units in ways that must not matter."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from emtkit import Fact, NotApplicable, Task
from emtkit_std._theory.facts import LinearRecurrence
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.recurrence import Constructed, to_array

DISTRACTOR_GAIN = 2.0
"""Spectral radius of the distractors' weights, at which they do not fade in silence."""


@dataclass(frozen=True)
class Embedding:
    """How a memory m lies in the state h, beside distractors w:

        h = scale A asinh(c Q (m, w)) / c,   w_t = tanh(R w_{t-1} + B u_t)

    `condition`: that of the random A; None is A = 1. `curvature`: c, with a random rotation Q; 0 is
    the limit without asinh and Q. `distractors`: the number of w, which no output reads.
    """

    condition: float | None = None
    curvature: float = 0.0
    distractors: int = 0
    scale: float = 1.0


class EmbeddedMemory(Constructed):
    """A mechanism, said in its own coordinates and run in others.

    A subclass sets its sizes, calls `embed` with them, and says how the memory moves (`advance`),
    is read (`answer`) and begins (`rest`). All that an embedding changes is the state.
    """

    offers = (Mechanism,)

    def embed(self, task: Task, memory: int, embedding: Embedding, noise: float) -> None:
        """Take the sizes, and draw the embedding from torch's generator, in float64."""
        self.memory, self.hidden = memory, memory + embedding.distractors
        self.embedding, self.noise = embedding, noise
        into, back = oblique(self.hidden, embedding.condition)
        self.register_buffer("into", into * embedding.scale)
        self.register_buffer("back", back / embedding.scale)
        turn = torch.eye(self.hidden).double()
        self.register_buffer("turn", orthogonal(self.hidden) if embedding.curvature else turn)
        others, inputs = embedding.distractors, task.channels.inputs
        recurrent = normal(others, others) * DISTRACTOR_GAIN / max(1, others) ** 0.5
        self.register_buffer("W_distractors", recurrent)
        self.register_buffer("W_heard", normal(others, inputs) / inputs**0.5)

    @abstractmethod
    def advance(self, memory: Tensor, inputs: Tensor) -> Tensor:
        """The next memory (B m) from the last one and one step of input (B I)."""

    @abstractmethod
    def answer(self, memory: Tensor) -> Tensor:
        """Outputs (... O) of memories (... m)."""

    @abstractmethod
    def mechanism(self) -> Mechanism:
        """What it is, by construction."""

    def rest(self) -> Tensor:
        """The memory (m) before the first input: zero unless a subclass says otherwise."""
        return self.into.new_zeros(self.memory)

    def initial(self, batch: int) -> Tensor:
        """The memory at rest, and distractors at zero (B H)."""
        others = self.into.new_zeros(self.embedding.distractors)
        return self.state_of(torch.cat([self.rest(), others])).expand(batch, -1)

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """The memory and the distractors, each by its own rule (B H)."""
        contents = self.contents(state)
        memory, others = contents[..., : self.memory], contents[..., self.memory :]
        heard = torch.tanh(others @ self.W_distractors.T + inputs @ self.W_heard.T)
        return self.state_of(torch.cat([self.advance(memory, inputs), heard], -1))

    def read(self, state: Tensor) -> Tensor:
        """The outputs (... O), of the memory alone."""
        return self.answer(self.contents(state)[..., : self.memory])

    def state_of(self, contents: Tensor) -> Tensor:
        """States (... H) of memories with their distractors (... H)."""
        if curvature := self.embedding.curvature:
            contents = torch.asinh(curvature * (contents @ self.turn.T)) / curvature
        return contents @ self.into.T

    def contents(self, state: Tensor) -> Tensor:
        """What `state_of` made states (... H) of, by its inverse."""
        contents = state @ self.back.T
        if curvature := self.embedding.curvature:
            contents = torch.sinh(curvature * contents) @ self.turn / curvature
        return contents

    def facts(self, kind: type[Fact]) -> Fact:
        """Its mechanism."""
        if kind is Mechanism:
            return self.mechanism()
        return super().facts(kind)


class EmbeddedLinearMemory(EmbeddedMemory):
    """A memory that moves and is read linearly: a recurrence with weights, where no unit bends."""

    offers = (Mechanism, LinearRecurrence)

    def facts(self, kind: type[Fact]) -> Fact:
        """Its mechanism, and its weights in the units, from unit memories and unit inputs."""
        if kind is not LinearRecurrence:
            return super().facts(kind)
        if self.embedding.curvature or self.embedding.distractors:
            raise NotApplicable(
                f"'{self.name}' is a linear recurrence without curvature and distractors alone"
            )
        units = torch.eye(self.memory).to(self.into)
        heard = torch.eye(self.W_heard.shape[1]).to(self.into)
        silence, empty = heard.new_zeros(len(units), len(heard)), units.new_zeros(len(heard), 1)
        W_hh = self.into @ self.advance(units, silence).T @ self.back
        W_uh = self.into @ self.advance(empty.expand(-1, self.memory), heard).T
        W_r = (self.answer(units) - self.answer(torch.zeros_like(units))).T @ self.back
        return kind(*map(to_array, (W_hh, W_uh, W_r)))


def normal(rows: int, columns: int) -> Tensor:
    """Independent N(0, 1) (rows, columns) from torch's generator, in float64."""
    return torch.randn(rows, columns, dtype=torch.float64)


def orthogonal(size: int) -> Tensor:
    """A random rotation or reflection (size, size) from torch's generator, in float64."""
    return torch.linalg.qr(normal(size, size)).Q.contiguous()


def oblique(size: int, condition: float | None) -> tuple[Tensor, Tensor]:
    """A random matrix (size, size) and its inverse, of singular values spread in logarithm."""
    if condition is None:
        one = torch.eye(size, dtype=torch.float64)
        return one, one.clone()
    left, right = orthogonal(size), orthogonal(size)
    spread = torch.linspace(-0.5, 0.5, size, dtype=torch.float64) if size > 1 else torch.zeros(1)
    values = torch.as_tensor(condition, dtype=torch.float64) ** spread
    return left * values @ right, right.T / values @ left.T
