"""What an architecture is: one network, written for one sequence batch; the core stacks many."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from emtkit.errors import PluginError
from emtkit.plugin.inherited import FACTS, forget_inherited
from emtkit.plugin.kernel import StackedKernel
from emtkit.plugin.task import Fact, Task


@dataclass(frozen=True)
class Trace:
    """What a network did: `states` (B T H), `outputs` (B T O), `extras` such as attention maps."""

    states: Tensor
    outputs: Tensor
    extras: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Recognised:
    """Weights of a network trained elsewhere, under an architecture's own names.

    `parameters` are those of the constructor that the weights tell; `used` are the names that the
    weights had elsewhere: what is left over was not understood.
    """

    weights: Mapping[str, Tensor]
    parameters: Mapping[str, Any]
    used: frozenset[str]


class SequenceModel(nn.Module, ABC):
    """One network that reads `input_steps` steps and then goes on by itself.

    The constructor takes the task, and keyword-only parameters that a study file may set. All
    randomness of the constructor comes from torch's generator, which the core seeds. Whatever it
    takes from the task beyond sizes is a registered buffer: it is stacked with the parameters.

    A subclass that writes `trace` anew (or `step`, of a `RecurrentModel`) inherits nothing of what
    its parent says about it: facts, `recognise`, forms and kernels. It may say its own.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    offers: ClassVar[tuple[type, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        moves = ("trace", "forward")
        statements = {FACTS: moves, ("recognise",): moves, ("empty",): ("__init__",)}
        forget_inherited(cls, SequenceModel, statements)

    @classmethod
    def trains(cls, parameters: Mapping[str, Any]) -> bool:
        """Whether there is anything to train; constructed networks answer False."""
        return True

    @classmethod
    def accepts(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """None, or the reason why this architecture does not apply to `task`."""
        return None

    @classmethod
    def warns(cls, task: Task, parameters: Mapping[str, Any]) -> str | None:
        """None, or what is known to go wrong with many networks of this kind on `task`.

        Asked where `accepts` has no objection; `emtkit plan` prints it, and nothing is left out.
        """
        return None

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor]) -> Recognised | None:
        """A state dict written elsewhere as this architecture's own, or None if it is not one."""
        return None

    @classmethod
    def empty(cls, task: Task, parameters: Mapping[str, Any]) -> Self:
        """The network of these parameters, whose weights are any: its state dict is loaded next.

        To be written where the constructor takes long to find them.
        """
        return cls(task, **parameters)

    @abstractmethod
    def trace(self, inputs: Tensor, steps: int) -> Trace:
        """Read `inputs` (B driven I), then go on to `steps` steps in all."""

    def facts(self, kind: type[Fact]) -> Fact:
        """The fact of type `kind`, one of `offers`."""
        raise PluginError(
            f"architecture '{self.name}' was asked for the fact {kind.__name__}; it offers "
            f"{[offer.__name__ for offer in self.offers]} and must answer each in `facts`"
        )

    def forward(self, inputs: Tensor, steps: int | None = None) -> Trace:
        """`trace`, under the name by which torch calls a module; of the inputs alone by default."""
        return self.trace(inputs, inputs.shape[1] if steps is None else steps)


@dataclass(frozen=True)
class SimpleRecurrence:
    """The form of a network that the hand-written tiers know; the module stays the reference.

    h_t = W_uh u_t + W_hh sigma(h_{t-1}) + b,  y_t = rho(W_r x_t + b_r), zero at first; x_t is
    sigma(h_t) when `reads` is "activation" (an Elman network), h_t itself when it is
    "preactivation". The module's parameters bear exactly these names; the biases are optional.
    """

    activation: Literal["linear", "relu", "tanh"]
    readout: Literal["linear", "relu"] = "linear"
    reads: Literal["activation", "preactivation"] = "activation"


class RecurrentModel(SequenceModel):
    """A network with one state of size H = `hidden`: h_t = step(h_{t-1}, u_t), y_t = read(h_t).

    After the driven steps the input is zero. `y_t` is read after `u_t` enters.

    With state noise, h_t = step(h_{t-1}, u_t) + `noise` xi_t, xi_t of independent N(0, 1) that the
    core draws; the constructor sets the standard deviation `noise`, and nothing else is to be done.
    """

    hidden: int
    noise: float = 0.0

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        moves = ("initial", "step", "encode", "trace", "forward")
        whole = (*moves, "read")
        forget_inherited(cls, SequenceModel, {FACTS: whole, ("recognise",): whole})
        forget_inherited(cls, RecurrentModel, {("jacobian",): ("step",)})
        forget_inherited(cls, RecurrentModel, {("stacked_kernel",): moves, ("simple_form",): whole})

    def initial(self, batch: int) -> Tensor:
        """The state before the first input (B H): zero unless a subclass says otherwise."""
        like: Tensor = next(iter(self.state_dict(keep_vars=True).values()))
        return like.new_zeros(batch, self.hidden)

    @abstractmethod
    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        """The next state (B H) from the last one and one step of input (B I)."""

    @abstractmethod
    def read(self, state: Tensor) -> Tensor:
        """Outputs (... O) of states (... H)."""

    def encode(self, inputs: Tensor) -> Tensor:
        """The state (B H) after the driven inputs (B driven I).

        A substrate that is set from its history, not run through it, overrides this; it then
        applies only to tasks whose scored steps all come after the driven ones.
        """
        state = self.initial(inputs.shape[0])
        for step_inputs in inputs.unbind(1):
            state = self.step(state, step_inputs)
        return state

    @classmethod
    def encodes(cls) -> bool:
        """Whether the driven phase is the subclass's own `encode`, not repeated steps."""
        return cls.encode is not RecurrentModel.encode

    def jacobian(self, state: Tensor, inputs: Tensor) -> Tensor | None:
        """d step / d state of every row (B H H) in closed form; None where it must be derived."""
        return None

    def simple_form(self) -> SimpleRecurrence | None:
        """The simple recurrence that this network is, if it is one; it then trains faster."""
        return None

    def stacked_kernel(self) -> StackedKernel | None:
        """Its passes through time for M networks, written by hand; it then trains faster.

        For networks that start from `initial` or set their state by `encode`, as `trace` does.
        """
        return None

    def trace(self, inputs: Tensor, steps: int) -> Trace:
        """Unroll `step`; where `encode` is overridden, the states before its result are initial.

        Without state noise: that is handed to `forward`, by the core, in training and evaluation.
        """
        return self._unrolled(inputs, steps, None)

    def forward(
        self, inputs: Tensor, steps: int | None = None, noise: Tensor | None = None
    ) -> Trace:
        """`trace`, or step by step with xi (T B H) in `noise`; a state that `encode` sets has none.

        `noise` may have more steps than are made, so that longer runs begin as shorter ones.
        """
        if noise is None:
            return super().forward(inputs, steps)
        return self._unrolled(inputs, inputs.shape[1] if steps is None else steps, noise)

    def _unrolled(self, inputs: Tensor, steps: int, noise: Tensor | None) -> Trace:
        batch, input_steps = inputs.shape[:2]
        added = [None] * steps if noise is None else [self.noise * xi for xi in noise.unbind(0)]
        state = self.initial(batch)
        states: list[Tensor] = []
        if self.encodes():
            states = [state] * (input_steps - 1)
            state = self.encode(inputs)
            states.append(state)
        else:
            for step_inputs, xi in zip(inputs.unbind(1), added, strict=False):
                state = _moved(self.step(state, step_inputs), xi)
                states.append(state)
        silence = torch.zeros_like(inputs[:, 0])
        for xi in added[input_steps:steps]:
            state = _moved(self.step(state, silence), xi)
            states.append(state)
        stacked = torch.stack(states, 1)
        return Trace(stacked, self.read(stacked))


def _moved(state: Tensor, by: Tensor | None) -> Tensor:
    return state if by is None else state + by
