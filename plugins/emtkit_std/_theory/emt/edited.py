"""A network with another map."""

import torch
from torch import Tensor

from emtkit import RecurrentModel
from emtkit_std._theory.facts import Array


class EditedMap(RecurrentModel):
    """A network with the map F(h, u) + E [D (h - mean); 1], `change` E (H m+1), `dual` D (m H)."""

    name = "edited"

    def __init__(self, inner: RecurrentModel, change: Array, dual: Array, middle: Array) -> None:
        super().__init__()
        self.inner, self.hidden = inner, inner.hidden
        self.register_buffer("change", torch.from_numpy(change))
        self.register_buffer("dual", torch.from_numpy(dual))
        self.register_buffer("middle", torch.from_numpy(middle))

    def initial(self, batch: int) -> Tensor:
        """The network's own."""
        return self.inner.initial(batch)

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """The network's own, and the edit."""
        moved: Tensor = self.inner.step(state, inputs)
        read = (state - self.middle) @ self.dual.T
        return moved + read @ self.change[:, :-1].T + self.change[:, -1]

    def read(self, state: Tensor) -> Tensor:
        """The network's own."""
        return self.inner.read(state)
