"""A network written in other coordinates of its state: what it answers is the same."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emtkit.plugin.architecture import RecurrentModel, SequenceModel, Trace
from emtkit.plugin.comparison import Change


def rewritten(model: SequenceModel, change: Change, size: int) -> SequenceModel:
    """`model`, whose states have `size` numbers, with g = A h in place of h."""
    matrix = torch.from_numpy(_matrix(change, size))
    if isinstance(model, RecurrentModel):
        return RewrittenRecurrence(model, matrix).eval()
    return RewrittenSequence(model, matrix).eval()


class RewrittenSequence(SequenceModel):
    """The traces of `inner` with states A h."""

    name = "rewritten_sequence"

    def __init__(self, inner: SequenceModel, matrix: Tensor) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("into", matrix)

    def trace(self, inputs: Tensor, steps: int) -> Trace:
        """The inner trace in other coordinates."""
        return _rewritten(self.inner.trace(inputs, steps), self.get_buffer("into"))


class RewrittenRecurrence(RecurrentModel):
    """g_t = A step(A^-1 g_{t-1}, u_t), y_t = read(A^-1 g_t)."""

    name = "rewritten_recurrence"

    def __init__(self, inner: RecurrentModel, matrix: Tensor) -> None:
        super().__init__()
        self.inner, self.hidden = inner, inner.hidden
        self.register_buffer("into", matrix)
        self.register_buffer("back", torch.linalg.inv(matrix))

    def initial(self, batch: int) -> Tensor:
        """The inner state before the first input."""
        return self.inner.initial(batch) @ self.get_buffer("into").T

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """What `inner` does, between A^-1 and A."""
        inner = self.inner.step(state @ self.get_buffer("back").T, inputs)
        return inner @ self.get_buffer("into").T

    def read(self, state: Tensor) -> Tensor:
        """What `inner` reads."""
        return self.inner.read(state @ self.get_buffer("back").T)

    def trace(self, inputs: Tensor, steps: int) -> Trace:
        """The inner trace in other coordinates."""
        return _rewritten(self.inner.trace(inputs, steps), self.get_buffer("into"))


def _rewritten(trace: Trace, matrix: Tensor) -> Trace:
    states = trace.states @ matrix.T.to(trace.states.dtype)
    return Trace(states, trace.outputs, trace.extras)


def _matrix(change: Change, size: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(2)
    left, right = (np.linalg.qr(rng.normal(size=(size, size)))[0] for _ in range(2))
    made = {
        "order": np.eye(size)[rng.permutation(size)],
        "signs": np.diag(rng.choice([-1.0, 1.0], size)),
        "rotation": left,
        "scale": 3.0 * np.eye(size),
        "linear": left @ np.diag(np.linspace(0.5, 2.0, size)) @ right,
    }
    return np.asarray(made[change])
