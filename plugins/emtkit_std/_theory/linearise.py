"""What every analysis of the binding circuit starts from: a network, linearised where it lives."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emtkit import (
    Batch,
    NotApplicable,
    RecurrentModel,
    StateMap,
    Subject,
    find_fixed_points,
    row_jacobians,
    state_map_of,
)
from emtkit_std._theory.emt import memories as memories
from emtkit_std._theory.facts import HistoryLaw

Array = NDArray[np.float64]

FIXED = 1e-12
KINK_STEP, KINK_LIMIT = 1e-6, 1e-3
STARTS = 32


@dataclass(frozen=True, eq=False)
class Linearised:
    """A network in float64 at the fixed point nearest to where its states live.

    `point` (H,), `jacobian` d h(t+1) / d h(t) (H, H), `readout` d y / d h (O, H).
    """

    model: RecurrentModel
    point: Array
    jacobian: Array

    @cached_property
    def readout(self) -> Array:
        """Derived only where it is asked for: spectra do not need it."""
        slopes = row_jacobians(self.model.read, torch.from_numpy(self.point).unsqueeze(0))
        return np.asarray(slopes[0].numpy())


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Sequences of the task and what the network did: `states` B T H, `outputs` B T O."""

    batch: Batch
    states: Tensor
    outputs: Tensor

    @property
    def autonomous(self) -> Tensor:
        """The states from the last driven step on."""
        return self.states[:, self.batch.input_steps - 1 :]


def autonomous_law(subject: Subject) -> HistoryLaw:
    """The history law of the subject.

    Raises:
        NotApplicable: there is none, or its rule keeps nothing going by itself.
    """
    law = subject.fact(HistoryLaw)
    if law.core_rank == 0:
        raise NotApplicable(
            f"'{subject.task.name}' is driven: its rule has core rank 0, so there is no "
            "autonomous core to compare with"
        )
    return law


def in_double(subject: Subject) -> RecurrentModel:
    """A float64 copy of the subject's recurrent model."""
    model = subject.model
    if not isinstance(model, RecurrentModel):
        raise NotApplicable(f"'{model.name}' has no state map h -> step(h, u)")
    return copy.deepcopy(model).double()


def run(
    subject: Subject, model: RecurrentModel, sequences: int, horizon: int | None = None
) -> Trajectories:
    """`sequences` fresh sequences of the task through `model` (float64), always the same ones."""
    batch = subject.task.sample(sequences, subject.stream.fork("sequences"), horizon)
    batch = Batch(batch.inputs.double(), batch.targets.double(), batch.mask, batch.input_steps)
    with torch.no_grad():
        trace = model.trace(batch.inputs[:, : batch.input_steps], batch.steps)
    return Trajectories(batch, trace.states, trace.outputs)


def silent_map(subject: Subject, model: RecurrentModel) -> StateMap:
    """h -> step(h, 0)."""
    return state_map_of(model, torch.zeros(subject.task.channels.inputs, dtype=torch.float64))


def linearise(subject: Subject, sequences: int = 16) -> Linearised:
    """The network at the origin where that is a fixed point, else at the one nearest its states.

    Raises:
        NotApplicable: no fixed point was found, or the map has a kink there (relu at its
            threshold), so that no Jacobian exists.
    """
    model = in_double(subject)
    state_map = silent_map(subject, model)
    size = model.hidden
    with torch.no_grad():
        point = torch.zeros(1, size, dtype=torch.float64)
        if float(state_map(point).abs().max()) > FIXED:
            point = _nearest(subject, model, state_map, sequences)
        _refuse_kink(subject, state_map, point)
        jacobian = state_map.jacobians(point)[0]
    return Linearised(model, point[0].numpy(), jacobian.numpy())


def histories(law: HistoryLaw, batch: Batch) -> Array:
    """True flattened histories (B, K, s d): entry k belongs to the state of step driven + k.

    Raises:
        NotApplicable: the inputs are not the first s vectors of the history.
    """
    width = law.dimension
    if batch.input_steps != law.history or batch.inputs.shape[-1] != width:
        raise NotApplicable(
            f"the history of {law.history} x {width} is not what {batch.input_steps} input steps"
            f" of {batch.inputs.shape[-1]} channels hold"
        )
    heard = batch.inputs[:, : batch.input_steps]
    values = torch.cat([heard, batch.targets[:, batch.input_steps :, :width]], 1)
    return memories.windows(values.numpy(), law.history)


def _nearest(
    subject: Subject, model: RecurrentModel, state_map: StateMap, sequences: int
) -> Tensor:
    states = run(subject, model, sequences).autonomous.flatten(0, 1)
    states = states[states.isfinite().all(1)]
    centre = states.mean(0, keepdim=True) if len(states) else states.new_zeros(1, model.hidden)
    spread = states[:: max(1, len(states) // STARTS)]
    starts = torch.cat([torch.zeros_like(centre), centre, spread])
    found = find_fixed_points(state_map, starts)
    if not len(found.points):
        least = float(found.unconverged_residuals.min())
        raise NotApplicable(
            f"no fixed point was found from {len(starts)} starts (least |F|^2 / 2 = {least:.2g}), "
            "so there is no place to linearise at"
        )
    distance = (found.points - centre).norm(dim=1)
    return found.points[int(distance.argmin())].unsqueeze(0)


def _refuse_kink(subject: Subject, state_map: StateMap, point: Tensor) -> None:
    """One-sided slopes along random directions must agree."""
    normals = subject.stream.fork("kink").normal((4, point.shape[1])).double()
    steps = KINK_STEP * normals / normals.norm(dim=1, keepdim=True)
    moved = state_map(torch.cat([point, point + steps, point - steps]))
    here, after, before = moved.split([1, len(steps), len(steps)])
    ahead, behind = after - here, here - before
    gap = (ahead - behind).norm() / (ahead.norm() + behind.norm()).clamp(min=1e-300)
    if float(gap) > KINK_LIMIT:
        raise NotApplicable(
            "the state map has a kink at its fixed point (a relu at its threshold), so it has no "
            "Jacobian there"
        )
