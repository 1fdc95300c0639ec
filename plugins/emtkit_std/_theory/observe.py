"""A subject at work: its states beside the true sequence, and its Jacobians, in float64.

The true sequence x is what the states should hold: for a task with a law of history the inputs
and, after them, the targets (Eq. 4 of arXiv:2310.02430); elsewhere the inputs.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import jacrev, vmap

from emtkit import (
    Batch,
    NotApplicable,
    RecurrentModel,
    SequenceModel,
    Subject,
    find_fixed_points,
    state_jacobians,
    state_map_of,
)
from emtkit_std._theory.facts import DelayLaw, HistoryLaw

Array = NDArray[np.float64]

LARGEST = 1e50
"""Steps from the first state beyond this on are left out: their squares would overflow."""
KINK = 1e-3
"""A relative change of the Jacobian, on the two sides of a point, that betrays a kink."""


@dataclass(frozen=True)
class Run:
    """One run of a model: step t of `states` (B T H) has heard all of `sequence` up to t (B T d).

    Steps 0 .. `first` - 1 do not hold a whole history yet; `outputs` (B T O); the trace's `extras`.
    """

    states: Array
    outputs: Array
    sequence: Array
    first: int
    extras: dict[str, Array]


@dataclass(frozen=True)
class InputJacobians:
    """Of one step's state and output to every driven input: (B driven H I), (B driven O I)."""

    states: Array
    outputs: Array


@dataclass(frozen=True)
class Local:
    """The state map near a fixed point: `point` (H), `jacobian` (H, H); or why there is none."""

    point: Array | None
    jacobian: Array | None
    reason: str = ""


def law_of(subject: Subject) -> HistoryLaw | None:
    """The task's law of history, where it offers one."""
    return subject.task.facts(HistoryLaw) if HistoryLaw in subject.task.offers else None


def memory_span(subject: Subject, asked: int | None) -> int:
    """How many items a state should hold: as asked, else s, else the longest delay and the item.

    Raises:
        NotApplicable: nothing says how many.
    """
    if asked is not None:
        return asked
    law = law_of(subject)
    if law is not None:
        return law.history
    if DelayLaw in subject.task.offers:
        return max(subject.task.facts(DelayLaw).delay) + 1
    raise NotApplicable(
        f"{subject.task.name} offers neither HistoryLaw nor DelayLaw, so nothing says how far back "
        "a state should reach; set the number of items"
    )


def precise(model: SequenceModel) -> SequenceModel:
    """A copy in float64."""
    return copy.deepcopy(model).double()


def draw(subject: Subject, sequences: int, steps: int) -> Batch:
    """Fresh sequences in float64, with `steps` scored steps where the task has horizons."""
    horizon = steps if subject.task.horizons else None
    batch = subject.task.sample(sequences, subject.stream.fork("sequences"), horizon)
    return Batch(
        batch.inputs.double(), batch.targets.double(), batch.mask.double(), batch.input_steps
    )


def run(subject: Subject, sequences: int, steps: int, span: int) -> Run:
    """Run `sequences` for `steps` autonomous steps (where the task has any) after the inputs.

    Raises:
        NotApplicable: fewer than three steps hold a whole history in numbers that stay bounded.
    """
    batch = draw(subject, sequences, steps)
    with torch.no_grad():
        trace = precise(subject.model)(batch.inputs[:, : batch.input_steps], batch.steps)
    sequence = batch.inputs
    if law_of(subject) is not None:
        scored = batch.targets[:, batch.input_steps :]
        sequence = torch.cat([batch.inputs[:, : batch.input_steps], scored], 1)
    bounded = (trace.states.abs() < LARGEST).all(-1).all(0)
    steps_used = int(bounded.long().cumprod(0).sum())
    first = span - 1
    if steps_used < first + 3:
        raise NotApplicable(
            f"only {max(0, steps_used - first)} steps hold a whole history of {span} items (the "
            f"states of {steps_used} of {batch.steps} steps stay below {LARGEST:g}); three are "
            "needed"
        )
    extras = {name: _numpy(value[:, :steps_used]) for name, value in trace.extras.items()}
    return Run(
        _numpy(trace.states[:, :steps_used]),
        _numpy(trace.outputs[:, :steps_used]),
        _numpy(sequence[:, :steps_used]),
        first,
        extras,
    )


def local_map(model: SequenceModel, inputs: int, near: Array | None = None) -> Local:
    """The Jacobian at the origin if that is fixed, else at the fixed point nearest to `near` (H).

    Undefined for what is no state map, where no fixed point is found, and at a kink of relu.
    """
    if not isinstance(model, RecurrentModel):
        return Local(None, None, f"{model.name} has no state map")
    exact = precise(model)
    assert isinstance(exact, RecurrentModel)
    silence = torch.zeros(inputs, dtype=torch.float64)
    state_map = state_map_of(exact, silence)
    origin = np.zeros(exact.hidden)
    start = torch.from_numpy(np.stack([origin, origin if near is None else near]))
    with torch.no_grad():
        stays = float((state_map(start[:1]) - start[:1]).abs().max()) < 1e-12
    if stays:
        point = start[0]
    else:
        found = find_fixed_points(state_map, start)
        if not len(found.points):
            return Local(None, None, "no fixed point was found from the origin or the mean state")
        distances = (found.points - start[1]).norm(dim=1)
        point = found.points[int(distances.argmin())].detach()
    generator = np.random.Generator(np.random.Philox(key=0))
    nudge = torch.from_numpy(1e-7 * generator.standard_normal(len(point)))
    points = torch.stack([point, point + nudge, point - nudge])
    jacobians = state_jacobians(exact.step, points, silence.expand(3, -1)).detach()
    change = float((jacobians[1] - jacobians[2]).norm())
    if change > KINK * max(1e-300, float(jacobians[1].norm())):
        return Local(None, None, "the state map has a kink at its fixed point, so no Jacobian")
    return Local(_numpy(point), _numpy(jacobians[0]))


def input_jacobians(subject: Subject, batch: Batch, step: int) -> InputJacobians:
    """dh(step)/du and dy(step)/du for the driven inputs up to `step` (from 0)."""
    model = precise(subject.model)

    def answer(inputs: Tensor) -> tuple[Tensor, Tensor]:
        trace = model(inputs[None], step + 1)
        return trace.states[0, -1], trace.outputs[0, -1]

    states, outputs = vmap(jacrev(answer))(batch.inputs[:, : min(batch.input_steps, step + 1)])
    return InputJacobians(_numpy(states.transpose(1, 2)), _numpy(outputs.transpose(1, 2)))


def readout_matrix(model: SequenceModel, point: Array) -> Array:
    """d read / d state (O, H) of a recurrent model at `point` (H)."""
    exact = precise(model)
    assert isinstance(exact, RecurrentModel)
    return _numpy(jacrev(exact.read)(torch.from_numpy(point)))


def _numpy(tensor: Tensor) -> Array:
    return tensor.detach().double().cpu().numpy()
