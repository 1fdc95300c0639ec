"""A subject at work: its states beside the true sequence, and what its inputs move, in float64.

The true sequence x is what the states should hold: for a task with a law of history the inputs
and, after them, the targets (Eq. 4 of arXiv:2310.02430); elsewhere the inputs.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from emtkit import Batch, NotApplicable, SequenceModel, Subject
from emtkit_std._theory.emt.memories import windows
from emtkit_std._theory.facts import Array, DelayLaw, HistoryLaw, LinearHistoryLaw
from emtkit_std._theory.networks.recurrence import to_array
from emtkit_std._theory.required_memory import RequiredMemory, required_memory

LARGEST = 1e50
"""Steps from the first state beyond this on are left out: their squares would overflow."""
NEEDED = 0.1
"""Share of the most need, below which the items of an age are not asked for without a law."""
MOST_STEPS = 64
"""A task may be trained on a million steps; states of as many are not kept."""


@dataclass(frozen=True)
class Run:
    """One run of a model: step t of `states` (B T H) follows all of `sequence` up to t (B T d).

    Steps 0 .. `first` - 1 do not hold a whole history yet; `outputs` (B T O) and `extras` are the
    trace's.
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


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Sequences of the task and what the network did: `states` B T H, `outputs` B T O."""

    batch: Batch
    states: Tensor
    outputs: Tensor
    extras: dict[str, Tensor]

    @property
    def autonomous(self) -> Tensor:
        """The states from the last driven step on."""
        return self.states[:, self.batch.input_steps - 1 :]


def law_of(subject: Subject) -> HistoryLaw | None:
    """The task's law of history, where it offers one."""
    return subject.task.facts(HistoryLaw) if HistoryLaw in subject.task.offers else None


def linear_law_of(subject: Subject) -> LinearHistoryLaw | None:
    """The same where its rule is a matrix."""
    law = law_of(subject)
    return law if isinstance(law, LinearHistoryLaw) else None


def autonomous_law(subject: Subject) -> LinearHistoryLaw:
    """The linear history law of the subject.

    Raises:
        NotApplicable: there is none, or its rule keeps nothing going by itself.
    """
    law = subject.fact(LinearHistoryLaw)
    if law.core_rank == 0:
        raise NotApplicable(
            f"'{subject.task.name}' is driven: its rule has core rank 0, so there is no "
            "autonomous core to compare with"
        )
    return law


def memory_span(subject: Subject, requested: int | None) -> int:
    """Items that a state should hold: as requested, else s, else the longest delay and the item.

    Without a law, as many as `needed_span` finds in what must be remembered.

    Raises:
        NotApplicable: no law gives the number, and none can be estimated.
    """
    if requested is not None:
        return requested
    law = law_of(subject)
    if law is not None:
        return law.history
    if DelayLaw in subject.task.offers:
        return max(subject.task.facts(DelayLaw).delay) + 1
    try:
        memory = required_memory(subject)
    except NotApplicable as reason:
        raise NotApplicable(
            f"{subject.task.name} offers neither HistoryLaw nor DelayLaw, so it is unknown how far "
            f"back a state should reach, and it cannot be estimated ({reason}); set the number of "
            "items"
        ) from None
    return needed_span(memory)


def needed_span(memory: RequiredMemory) -> int:
    """Ages up to the last at which some item is needed by NEEDED of the most that any is.

    Two or more, and no more than half of the steps, for whole histories to be held in the rest.

    Raises:
        NotApplicable: nothing is needed.
    """
    steps = len(memory.weight)
    came = np.array([item.step for item in memory.items])
    ages = np.arange(steps)[:, None] - came
    needs = np.zeros(steps)
    np.maximum.at(needs, ages[ages >= 0], memory.weight[ages >= 0])
    if not needs.any():
        raise NotApplicable("nothing must be remembered; set the number of items to look at")
    within = int(np.flatnonzero(needs >= NEEDED * needs.max())[-1]) + 1
    return max(2, min(within, (steps + 1) // 2))


def in_double(model: SequenceModel) -> SequenceModel:
    """A copy in float64."""
    return copy.deepcopy(model).double()


def draw(subject: Subject, sequences: int, steps: int | None = None) -> Batch:
    """Sequences in float64, always the same; `steps` scored ones where the task has horizons.

    None takes the task's own, those it is trained on, up to `MOST_STEPS`.
    """
    horizon = steps if subject.task.horizons else None
    if steps is None and subject.task.horizon is not None:
        horizon = min(subject.task.horizon, MOST_STEPS)
    batch = subject.task.sample(sequences, subject.stream.fork("sequences"), horizon)
    return Batch(
        batch.inputs.double(), batch.targets.double(), batch.mask.double(), batch.input_steps
    )


def trajectories(
    subject: Subject, model: SequenceModel, sequences: int, steps: int | None = None
) -> Trajectories:
    """What `model` (float64) does on `sequences` sequences of the task."""
    batch = draw(subject, sequences, steps)
    with torch.no_grad():
        trace = model.trace(batch.inputs[:, : batch.input_steps], batch.steps)
    return Trajectories(batch, trace.states, trace.outputs, trace.extras)


def run(subject: Subject, sequences: int, steps: int | None, span: int, least: int = 3) -> Run:
    """Run `sequences` for `steps` autonomous steps (where the task has any) after the inputs.

    None takes the task's own, and `least` where it has fewer.

    Raises:
        NotApplicable: fewer than `least` steps hold a whole history in numbers that stay bounded.
    """
    if steps is None and subject.task.horizon is not None:
        steps = max(least, min(subject.task.horizon, MOST_STEPS))
    seen = trajectories(subject, in_double(subject.model), sequences, steps)
    batch = seen.batch
    sequence = batch.inputs if law_of(subject) is None else _continued(batch)
    bounded = (seen.states.abs() < LARGEST).all(-1).all(0)
    steps_used = int(bounded.long().cumprod(0).sum())
    first = span - 1
    if steps_used < first + least:
        raise NotApplicable(
            f"only {max(0, steps_used - first)} steps hold a whole history of {span} items (the "
            f"states of {steps_used} of {batch.steps} steps stay below {LARGEST:g}); at least "
            f"{least} must"
        )
    kept = (seen.states, seen.outputs, sequence)
    states, outputs, told = (to_array(values[:, :steps_used]) for values in kept)
    extras = {name: to_array(value[:, :steps_used]) for name, value in seen.extras.items()}
    return Run(states, outputs, told, first, extras)


def histories(law: HistoryLaw, batch: Batch) -> Array:
    """True flattened histories (B, K, s d): entry k belongs to the state of step driven + k.

    Raises:
        NotApplicable: the inputs are not the first s vectors of the history.
    """
    width = batch.inputs.shape[-1]
    if batch.input_steps != law.history or width != law.dimension:
        raise NotApplicable(
            f"the history of {law.history} x {law.dimension} is not what {batch.input_steps} input "
            f"steps of {width} channels hold"
        )
    return windows(_continued(batch).numpy(), law.history)


def driven_jacobians(subject: Subject, batch: Batch, step: int) -> InputJacobians:
    """dh(step)/du and dy(step)/du for the driven inputs up to `step` (from 0)."""
    model = in_double(subject.model)

    def answer(inputs: Tensor) -> tuple[Tensor, Tensor]:
        trace = model(inputs[None], step + 1)
        return trace.states[0, -1], trace.outputs[0, -1]

    states, outputs = vmap(jacrev(answer))(batch.inputs[:, : min(batch.input_steps, step + 1)])
    return InputJacobians(to_array(states.transpose(1, 2)), to_array(outputs.transpose(1, 2)))


def _continued(batch: Batch) -> Tensor:
    """The driven inputs and, after them, the targets: the sequence that a law continues."""
    driven, width = batch.input_steps, batch.inputs.shape[-1]
    return torch.cat([batch.inputs[:, :driven], batch.targets[:, driven:, :width]], 1)
