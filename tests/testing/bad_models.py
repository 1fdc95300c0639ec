"""Architectures that each break one rule; `BREAKS` says which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from emtkit import (
    RecurrentModel,
    SequenceModel,
    SimpleRecurrence,
    StackedKernel,
    Task,
    Trace,
    Unrolled,
)

Hidden = Annotated[int, Field(ge=1, description="Number of units H.")]


class GoodModel(RecurrentModel):
    """h_t = tanh(W_hh h_{t-1} + W_uh u_t), y_t = W_r h_t.

    References: none (a test).
    """

    name = "good_model"

    def __init__(self, task: Task, *, hidden: Hidden = 5) -> None:
        super().__init__()
        self.hidden = hidden
        self.W_hh = nn.Parameter(torch.randn(hidden, hidden) / hidden)
        self.W_uh = nn.Parameter(torch.randn(hidden, task.channels.inputs))
        self.W_r = nn.Parameter(torch.randn(task.channels.outputs, hidden) / hidden)

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        return torch.tanh(state @ self.W_hh.T + inputs @ self.W_uh.T)

    def read(self, state: Tensor) -> Tensor:
        return state @ self.W_r.T


class GoodSequence(SequenceModel):
    """h_t = W_uh u_t, y_t = W_r h_t, without a memory.

    References: none (a test).
    """

    name = "good_sequence"

    def __init__(self, task: Task, *, hidden: Hidden = 5) -> None:
        super().__init__()
        self.W_uh = nn.Parameter(torch.randn(hidden, task.channels.inputs))
        self.W_r = nn.Parameter(torch.randn(task.channels.outputs, hidden) / hidden)

    def trace(self, inputs: Tensor, steps: int) -> Trace:
        later = inputs.new_zeros(inputs.shape[0], steps - inputs.shape[1], inputs.shape[2])
        states = self.mixed(torch.cat([inputs, later], 1), inputs) @ self.W_uh.T
        return Trace(states, states @ self.W_r.T)

    def mixed(self, heard: Tensor, inputs: Tensor) -> Tensor:
        return heard


class AcceptsRaises(GoodModel):
    """h_t = 0. References: none."""

    name = "accepts_raises"

    @classmethod
    def accepts(cls, task, parameters):
        return task.no_such_thing


class AcceptsNothing(GoodModel):
    """h_t = 0. References: none."""

    name = "accepts_nothing"

    @classmethod
    def accepts(cls, task, parameters):
        return "it likes no task"


class WarnsOfNothing(GoodModel):
    """h_t = 0. References: none."""

    name = "warns_of_nothing"

    @classmethod
    def warns(cls, task, parameters):
        return " "


class NothingToTrain(GoodModel):
    """h_t = 0. References: none."""

    name = "nothing_to_train"

    def __init__(self, task: Task, *, hidden: Hidden = 5) -> None:
        super().__init__(task, hidden=hidden)
        for name in ("W_hh", "W_uh", "W_r"):
            value = self._parameters.pop(name)
            self.register_buffer(name, value.detach())


class StateOfTwoParts(GoodModel):
    """h_t = 0. References: none."""

    name = "state_of_two_parts"

    def step(self, state, inputs):
        return super().step(state, inputs), inputs


class SmallerThanItsState(GoodModel):
    """h_t = 0. References: none."""

    name = "smaller_than_its_state"

    def __init__(self, task: Task, *, hidden: Hidden = 5) -> None:
        super().__init__(task, hidden=hidden)
        self.hidden = hidden - 1


class AnswersInSingle(GoodModel):
    """h_t = 0. References: none."""

    name = "answers_in_single"

    def read(self, state: Tensor) -> Tensor:
        return super().read(state).float()


class OneOutputTooMany(GoodModel):
    """h_t = 0. References: none."""

    name = "one_output_too_many"

    def read(self, state: Tensor) -> Tensor:
        outputs = super().read(state)
        return torch.cat([outputs, outputs[..., :1]], -1)


class EveryNetworkNew(GoodModel):
    """h_t = 0. References: none."""

    name = "every_network_new"
    made = 0

    def __init__(self, task: Task, *, hidden: Hidden = 5) -> None:
        super().__init__(task, hidden=hidden)
        EveryNetworkNew.made += 1
        self.W_hh.data += self.made


class KeepsItsState(GoodModel):
    """h_t = 0. References: none."""

    name = "keeps_its_state"

    def __init__(self, task: Task, *, hidden: Hidden = 5) -> None:
        super().__init__(task, hidden=hidden)
        self.steps_made = 0

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        self.steps_made += 1
        return super().step(state, inputs) / self.steps_made


class Noisy(GoodModel):
    """h_t = 0. References: none."""

    name = "noisy"

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        return super().step(state, inputs) + 0.1 * torch.randn_like(state)


class NoisyWhereAsked(GoodModel):
    """h_t = 0. References: none."""

    name = "noisy_where_asked"

    def __init__(
        self,
        task: Task,
        *,
        hidden: Hidden = 5,
        jitter: Annotated[float, Field(ge=0, description="Its noise.")] = 0.0,
    ) -> None:
        super().__init__(task, hidden=hidden)
        self.jitter = jitter

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        moved = super().step(state, inputs)
        return moved + self.jitter * torch.randn_like(state) if self.jitter else moved


class DrawsFromNumpy(GoodModel):
    """h_t = 0. References: none."""

    name = "draws_from_numpy"

    def __init__(self, task: Task, *, hidden: Hidden = 5) -> None:
        super().__init__(task, hidden=hidden)
        self.W_hh.data *= np.random.rand()  # noqa: NPY002


class SomeSizesRaise(GoodModel):
    """h_t = 0. References: none."""

    name = "some_sizes_raise"

    def __init__(self, task: Task, *, hidden: Hidden = 5) -> None:
        super().__init__(task, hidden={5: 5}[hidden])


class AllOnes(GoodModel):
    """h_t = 0. References: none."""

    name = "all_ones"

    def __init__(self, task: Task, *, hidden: Hidden = 5) -> None:
        super().__init__(task, hidden=hidden)
        for value in self.parameters():
            nn.init.constant_(value, 0.1)


class SeesTheFuture(GoodSequence):
    """y_t = 0. References: none."""

    name = "sees_the_future"

    def mixed(self, heard: Tensor, inputs: Tensor) -> Tensor:
        return heard + inputs.mean(1, keepdim=True)


class CountsTheSteps(GoodSequence):
    """y_t = 0. References: none."""

    name = "counts_the_steps"

    def mixed(self, heard: Tensor, inputs: Tensor) -> Tensor:
        return heard / heard.shape[1]


class CentresTheBatch(GoodModel):
    """h_t = 0. References: none."""

    name = "centres_the_batch"

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        moved = super().step(state, inputs)
        return moved - moved.mean(0)


class OwnTrace(GoodModel):
    """h_t = 0. References: none."""

    name = "own_trace"

    def trace(self, inputs: Tensor, steps: int) -> Trace:
        trace = super().trace(inputs, steps)
        return Trace(trace.states, 2 * trace.outputs)


class IdleParameter(GoodModel):
    """h_t = 0. References: none."""

    name = "idle_parameter"

    def __init__(self, task: Task, *, hidden: Hidden = 5) -> None:
        super().__init__(task, hidden=hidden)
        self.idle = nn.Parameter(torch.randn(3))


class OtherUnderVmap(GoodModel):
    """h_t = 0. References: none."""

    name = "other_under_vmap"

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        gain = 0.5 if torch._C._functorch.is_batchedtensor(inputs) else 1.0
        return gain * super().step(state, inputs)


class TaskAsNumber(GoodModel):
    """h_t = 0. References: none."""

    name = "task_as_number"

    def __init__(self, task: Task, *, hidden: Hidden = 5) -> None:
        super().__init__(task, hidden=hidden)
        self.gain = float(vars(task).get("gain", 1.0))

    def read(self, state: Tensor) -> Tensor:
        return self.gain * super().read(state)


class StaysOnTheCpu(GoodModel):
    """h_t = 0. References: none."""

    name = "stays_on_the_cpu"

    def step(self, state: Tensor, inputs: Tensor) -> Tensor:
        return super().step(state, inputs) + torch.ones(self.hidden, dtype=state.dtype)


class HiddenNumber(GoodModel):
    """h_t = 0. References: none."""

    name = "hidden_number"

    def __init__(self, task: Task, *, hidden: Hidden = 5) -> None:
        super().__init__(task, hidden=hidden)
        self.gain = float(torch.rand(()))

    def read(self, state: Tensor) -> Tensor:
        return self.gain * super().read(state)


class LeakyKernel(StackedKernel):
    """h_t = tanh(W_hh h_{t-1} + W_uh u_t), whose derivative forgets the slope of tanh."""

    def forward(self, weights: Mapping[str, Tensor], inputs: Tensor, steps: int) -> Unrolled:
        state = inputs.new_zeros(*inputs.shape[1:3], weights["W_hh"].shape[1])
        states = []
        for t in range(steps):
            heard = inputs[t] if t < len(inputs) else torch.zeros_like(inputs[0])
            drive = state @ weights["W_hh"].transpose(1, 2)
            state = torch.tanh(drive + heard @ weights["W_uh"].transpose(1, 2))
            states.append(state)
        return Unrolled(torch.stack(states))

    def backward(
        self, weights: Mapping[str, Tensor], inputs: Tensor, run: Unrolled, slopes: Tensor
    ) -> dict[str, Tensor]:
        found = {name: torch.zeros_like(weights[name]) for name in ("W_hh", "W_uh")}
        delta = torch.zeros_like(run.states[0])
        for t in reversed(range(len(run.states))):
            scored = t - len(run.states) + len(slopes)
            delta = delta @ weights["W_hh"] + (slopes[scored] if scored >= 0 else 0)
            if t:
                found["W_hh"] += delta.transpose(1, 2) @ run.states[t - 1]
            if t < len(inputs):
                found["W_uh"] += delta.transpose(1, 2) @ inputs[t]
        return found


class KernelOfAnother(GoodModel):
    """h_t = 0. References: none."""

    name = "kernel_of_another"

    def stacked_kernel(self) -> StackedKernel:
        return LeakyKernel()


class OtherFact(GoodModel):
    """h_t = 0. References: none."""

    name = "other_fact_of_a_model"
    offers = (Trace,)

    def facts(self, kind):
        return "a fact"


class JacobianOfAnother(GoodModel):
    """h_t = 0. References: none."""

    name = "jacobian_of_another"

    def jacobian(self, state: Tensor, inputs: Tensor) -> Tensor:
        return self.W_hh.expand(state.shape[0], -1, -1)


class FormOfAnother(GoodModel):
    """h_t = 0. References: none."""

    name = "form_of_another"

    def simple_form(self) -> SimpleRecurrence:
        return SimpleRecurrence("relu")


class _OwnRule(torch.autograd.Function):
    """x, and its place in the stack times the rounding error of x."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        pass

    @staticmethod
    def backward(ctx, slope: Tensor) -> Tensor:
        return slope

    @staticmethod
    def vmap(info, dims, x: Tensor):
        place = (x.new_ones(info.batch_size).cumsum(0) - 1).reshape(-1, *[1] * (x.dim() - 1))
        return x * (1 + place * torch.finfo(x.dtype).eps), dims[0]


class KnowsItsPlace(GoodModel):
    """h_t = 0. References: none."""

    name = "knows_its_place"

    def read(self, state: Tensor) -> Tensor:
        return _OwnRule.apply(super().read(state))


BREAKS: dict[type[SequenceModel], str] = {
    AcceptsRaises: "accepts says why",
    WarnsOfNothing: "accepts says why",
    AcceptsNothing: "finds a task",
    NothingToTrain: "builds with defaults",
    StateOfTwoParts: "step keeps the state",
    SmallerThanItsState: "step keeps the state",
    AnswersInSingle: "moves to another dtype",
    OneOutputTooMany: "trace shapes",
    EveryNetworkNew: "equal seeds equal networks",
    KeepsItsState: "runs alike twice",
    Noisy: "no global randomness",
    NoisyWhereAsked: "no global randomness",
    DrawsFromNumpy: "no global randomness",
    SomeSizesRaise: "builds with random parameters",
    AllOnes: "different seeds differ",
    SeesTheFuture: "causal in time",
    CountsTheSteps: "goes on alike",
    CentresTheBatch: "each sequence alone",
    OwnTrace: "trace equals steps",
    IdleParameter: "gradient reaches every parameter",
    OtherUnderVmap: "loop equals vmap",
    TaskAsNumber: "stacked equals alone",
    KnowsItsPlace: "same bits at every place",
    StaysOnTheCpu: "moves to another device",
    HiddenNumber: "saved equals loaded",
    OtherFact: "facts are answered",
    KernelOfAnother: "kernel equals plain",
    FormOfAnother: "kernel equals plain",
    JacobianOfAnother: "jacobian is the derivative",
}
