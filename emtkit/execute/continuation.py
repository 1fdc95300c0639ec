"""Trainings that go on where a shorter one ended, with the bits of one that never stopped.

Networks that differ in `steps` alone are on one *course*, whose key leaves `steps` out. When one
ends, the numbers of its optimiser are kept under that key (its weights and losses are stored as
ever); a longer one of that course then begins there, where its rate was the same until then.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emtkit.execute.provenance import sources
from emtkit.methods.schedules.base import Schedule
from emtkit.methods.settings import Scope
from emtkit.plugin.registry import Registry
from emtkit.store.records import Bundle, CellState
from emtkit.store.store import Store
from emtkit.study.cells import TRAINING_VERSION, Cell, digest
from emtkit.train.row_state import RowState

_AT_ONCE = 100
KEPT_BYTES = 256 * 2**10
"""Larger states are not kept; three numbers a weight (adam) are 21,000 weights in float32."""


def course_of(cell: Cell) -> str:
    """The key of everything that decides a training but its number of iterations."""
    settings = cell.training.identity_of(Scope.ROW, Scope.STACK)
    settings.pop("steps")
    parts = [cell.task.identity(), cell.architecture.identity(), settings, cell.seed]
    return digest(["course", TRAINING_VERSION, *parts])


def last_state(cell: Cell, row: RowState, meta: Mapping[str, Any]) -> CellState | None:
    """What a longer training of its course needs of one that is done, if it is small enough."""
    if row.end != "done" or not row.iteration:
        return None
    kept = RowState(
        row.parameters,
        row.buffers,
        np.zeros(0),
        row.progress,
        iteration=row.iteration,
        solved_at=row.solved_at,
        seconds=row.seconds,
    ).encode()
    if len(kept) > KEPT_BYTES:
        return None
    return CellState(course_of(cell), {**meta, "cell": cell.key}, kept)


def longest(states: Sequence[CellState], store: Store) -> tuple[CellState, ...]:
    """Of these last states, those that come further than what is kept of their course."""
    known = store.state_metas(state.cell for state in states)
    found = {state.cell: state for state in sorted(states, key=_iteration)}
    return tuple(
        state
        for key, state in found.items()
        if key not in known or known[key]["iteration"] < _iteration(state)
    )


def begin_where_others_ended(
    cells: Sequence[Cell], store: Store, registry: Registry, tier: str | None
) -> None:
    """Give cells that were not begun the last state of their course, where they go on from it."""
    own = store.state_metas(cell.key for cell in cells)
    courses = _courses(cells, store)
    further = [
        cell
        for cell in cells
        if cell.key not in own and _why_not(cell, courses.get(cell.key), registry, tier) == ""
    ]
    for start in range(0, len(further), _AT_ONCE):
        found: list[CellState] = []
        for cell in further[start : start + _AT_ONCE]:
            (state,) = store.states_of([course_of(cell)]).values()
            losses = store.history(str(state.meta["cell"])).get("loss")
            if losses is not None and len(losses) == state.meta["iteration"]:
                found.append(_begun(cell, state, losses))
        store.commit(Bundle(states=tuple(found)))


def continuations(
    cells: Sequence[Cell], store: Store, registry: Registry
) -> tuple[int, dict[str, int]]:
    """How many cells go on from a shorter training, and how many do not, by the reason."""
    courses = _courses(cells, store)
    reasons = [_why_not(cell, courses.get(cell.key), registry, None) for cell in cells]
    told = [reason for reason in reasons if reason]
    return reasons.count(""), {reason: told.count(reason) for reason in dict.fromkeys(told)}


def _courses(cells: Sequence[Cell], store: Store) -> dict[str, Mapping[str, Any]]:
    """What is known of the last state of each trained cell's course, by the cell's key."""
    keys = {cell.key: course_of(cell) for cell in cells if cell.trains and cell.training.steps}
    known = store.state_metas(keys.values())
    return {key: known[course] for key, course in keys.items() if course in known}


def _why_not(
    cell: Cell, meta: Mapping[str, Any] | None, registry: Registry, tier: str | None
) -> str | None:
    """Why a cell begins anew though its course is known; "" where it goes on, None elsewhere."""
    training = cell.training
    if meta is None or meta["iteration"] >= training.steps:
        return None
    done = int(meta["iteration"])
    if not _is_same_rate(training.schedule, training.lr, done, training.steps):
        return (
            f"the rate of schedule `{training.schedule.kind}` depends on the whole number of "
            f"iterations, so that the first {done} of {training.steps} differ from all of {done}"
        )
    if any(step <= done for step in training.snapshots):
        return f"snapshots at or before iteration {done} are asked for, and no weights of then kept"
    if meta["sources"] != sources(registry, cell):
        return "the sources of its task or architecture have changed"
    if tier is not None and tier != meta["tier"]:
        return f"the {done} iterations were made in the tier {meta['tier']}"
    return ""


@cache
def _is_same_rate(schedule: Schedule, lr: float, first: int, steps: int) -> bool:
    """Whether the first so many rates are those of a training that ends there."""
    return all(schedule.rate(lr, first, at) == schedule.rate(lr, steps, at) for at in range(first))


def _begun(cell: Cell, state: CellState, losses: NDArray[Any]) -> CellState:
    row = RowState.decode(state.data)
    row.losses = np.zeros(cell.training.steps)
    row.losses[: len(losses)] = losses
    meta = {name: value for name, value in state.meta.items() if name != "cell"}
    return CellState(cell.key, meta, row.encode())


def _iteration(state: CellState) -> int:
    return int(state.meta["iteration"])
