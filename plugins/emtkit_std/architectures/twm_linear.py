"""Traveling-wave memory with a linear boundary condition."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from emtkit import Fact, NotApplicable, RecurrentModel, Task, hookimpl
from emtkit_std._parameters import InputMode
from emtkit_std._theory.emt.circuit import linear_law
from emtkit_std._theory.facts import HistoryLaw, LinearHistoryLaw
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.networks.delay_line import delay_line_of
from emtkit_std._theory.waves.wavefield import NativeColumns

WORST_CONDITION = 1e3


class TwmLinear(RecurrentModel):
    """H(t+1) = [h_2 .. h_s, F vec H + u]: s columns travel one place a step, F writes the last.

    Column s is the newest and is the output; s and d are the task's. Inputs that are added are
    polluted wherever F reads columns that are filled before the last input. In a random basis the
    state is h = Psi vec H, so W_hh = Psi Phi Psi^+.

    References: Karuvally, Sejnowski and Siegelmann, ICML 2024, Eqs. 3 (as Eq. 24), 4 and 6.
    """

    name = "twm_linear"
    offers = (NativeColumns, Mechanism)

    def __init__(
        self,
        task: Task,
        *,
        boundary_init: Annotated[
            Literal["uniform", "zero", "gaussian"],
            Field(description="Initial F: U(-1, 1) / sqrt(s d), zero, or N(0, 1 / (s d))."),
        ] = "uniform",
        input_mode: InputMode = "clamp",
        basis: Annotated[
            Literal["native", "random"],
            Field(
                description="Whether the state is the columns, or they are hidden in it by a "
                "fixed Gaussian Psi (H, s d)."
            ),
        ] = "native",
        hidden: Annotated[
            int | None, Field(ge=1, description="Number of units H; null takes s d.")
        ] = None,
        exact: Annotated[
            bool, Field(description="Whether F is the task's rule, with nothing to train.")
        ] = False,
    ) -> None:
        super().__init__()
        law = task.facts(HistoryLaw)
        self.history, self.dimension, self.input_mode = law.history, law.dimension, input_mode
        size = law.history * law.dimension
        self.hidden = size if hidden is None else hidden
        start = _start(boundary_init, law.dimension, size)
        self.certain = exact and (input_mode == "clamp" or not isinstance(delay_line_of(task), str))
        if exact:
            rule = torch.as_tensor(task.facts(LinearHistoryLaw).operator, dtype=start.dtype)
            self.register_buffer("boundary", rule)
        else:
            self.boundary = nn.Parameter(start)
        self.native = basis == "native"
        psi = torch.eye(size).double() if self.native else _gaussian_basis(self.hidden, size)
        # in float64 until the whole model takes a dtype, so that Psi^+ Psi is 1 to its precision
        self.register_buffer("psi", psi)
        self.register_buffer("psi_inverse", torch.linalg.pinv(psi))

    @classmethod
    def trains(cls, parameters: Mapping[str, Any]) -> bool:
        """Not when `exact`."""
        return not parameters["exact"]

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """Only tasks with a law of history, and a state that can hold it."""
        if HistoryLaw not in task.offers:
            return (
                f"twm_linear continues a history by a rule; {task.name} has none (it needs the "
                "fact HistoryLaw)"
            )
        law = task.facts(HistoryLaw)
        if parameters["exact"] and isinstance(reason := linear_law(task), str):
            return f"{reason}, which F could be"
        size, hidden = law.history * law.dimension, parameters["hidden"]
        if hidden is None or hidden == size:
            return None
        if parameters["basis"] == "native":
            return f"native columns take hidden = history * dimension = {size}, not {hidden}"
        if hidden < size:
            return f"{hidden} hidden units cannot hold history * dimension = {size} values"
        return None

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """The columns move on by one, and the last is written by F, plus the input."""
        columns = self._columns(state)
        written = columns @ self.boundary.T + inputs
        return self._state(torch.cat([columns[..., self.dimension :], written], -1))

    def read(self, state: Tensor) -> Tensor:
        """The newest column (... O) of states (... H)."""
        return self._columns(state)[..., -self.dimension :]

    def encode(self, inputs: Tensor) -> Tensor:
        """The state after the inputs (B s I): set to them, or run through them for `add`."""
        if self.input_mode == "add":
            return super().encode(inputs)
        return self._state(inputs.reshape(inputs.shape[0], -1))

    def facts(self, kind: type[Fact]) -> Fact:
        """Its columns, through Psi; its mechanism, where the rule is not trained."""
        if kind is NativeColumns:
            return kind(self.history, self.dimension, self.psi.double().cpu().numpy())
        if kind is Mechanism:
            if not self.certain:
                raise NotApplicable("what its columns hold is trained, or polluted by added inputs")
            return kind("register", tuple(range(self.history)), (1.0,) * self.history)
        return super().facts(kind)

    def _columns(self, state: Tensor) -> Tensor:
        return state if self.native else state @ self.psi_inverse.T.to(state.dtype)

    def _state(self, columns: Tensor) -> Tensor:
        return columns if self.native else columns @ self.psi.T.to(columns.dtype)


def _start(kind: str, dimension: int, size: int) -> Tensor:
    if kind == "zero":
        return torch.zeros(dimension, size)
    if kind == "gaussian":
        return torch.randn(dimension, size) * size**-0.5
    return torch.empty(dimension, size).uniform_(-(size**-0.5), size**-0.5)


def _gaussian_basis(hidden: int, size: int) -> Tensor:
    """N(0, 1/hidden) entries; drawn again while ill-conditioned, as square ones often are."""
    while True:
        psi = torch.randn(hidden, size, dtype=torch.float64) * hidden**-0.5
        if float(torch.linalg.cond(psi)) < WORST_CONDITION:
            return psi


@hookimpl
def emtkit_architectures() -> list[type[RecurrentModel]]:
    """Traveling-wave memory with a linear boundary."""
    return [TwmLinear]
