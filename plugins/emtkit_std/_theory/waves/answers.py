"""The boundary of a task without a law, and of what a network answers: both by regression.

At each scored step the answer is the new column, and the inputs that must be remembered x_N are the
old ones. The best linear boundary is that of least squares on the same sequences, each value less
its mean at that step:

    F_t = argmin |y_t - F x_N|^2,   of the targets, and of the network's outputs

    boundary_error = |F - f|_F / |f|_F over all steps,   linearity = R^2 of the outputs under F

By chance F and f differ by the share that is not linear in x_N: what both leave has the same
regressors. Source: Karuvally, Sejnowski and Siegelmann, ICML 2024, Eq. 8, with f estimated.
"""

from dataclasses import dataclass

import numpy as np

from emtkit import NotApplicable, Subject
from emtkit_std._theory.facts import Array
from emtkit_std._theory.memory_map.observed import ROWS_PER_ITEM
from emtkit_std._theory.networks.recurrence import to_array
from emtkit_std._theory.observe import LARGEST, in_double, trajectories
from emtkit_std._theory.required_memory import required_memory

SEQUENCES = 2048
MOST_STEPS = 12
GROUPS = 8


@dataclass(frozen=True)
class Boundary:
    """`error`, its standard error, `linearity` of the outputs and of the targets (`task`)."""

    error: float
    error_error: float
    linearity: float
    task: float


def answered_boundary(subject: Subject) -> Boundary:
    """What the answers write, beside what the targets ask for.

    Raises:
        NotApplicable: what must be remembered is unknown or too much, or outputs overflow.
    """
    memory = required_memory(subject)
    seen = trajectories(subject, in_double(subject.model), SEQUENCES)
    inputs, targets = to_array(seen.batch.inputs), to_array(seen.batch.targets)
    outputs = to_array(seen.outputs)
    if not np.abs(outputs).max() < LARGEST:
        raise NotApplicable(
            f"the outputs of '{subject.model.name}' are not below {LARGEST:g}; train it with a "
            "smaller learning rate"
        )
    scored = to_array(seen.batch.mask.expand(seen.batch.inputs.shape[:2])) > 0
    steps = [t for t in range(min(len(memory.weight), scored.shape[1])) if scored[:, t].any()]
    steps = [t for t in steps if memory.at(t)]
    if not steps:
        raise NotApplicable(
            f"'{subject.task.name}' scores no step at which something must be remembered; use "
            "`memory_map`, which looks at all steps"
        )
    chosen = {steps[i] for i in np.linspace(0, len(steps) - 1, MOST_STEPS).round().astype(int)}
    sums = np.zeros((GROUPS + 1, 6))
    for t in sorted(chosen):
        items = [memory.items[m] for m in memory.at(t)]
        rows = np.flatnonzero(scored[:, t])
        if len(items) * ROWS_PER_ITEM * 2 > len(rows):
            raise NotApplicable(
                f"{len(items)} inputs are needed at step {t}, too many for {len(rows)} sequences; "
                "make the task shorter"
            )
        x = np.stack([inputs[rows, item.step, item.channel] for item in items], 1)
        sums += _sums(x, targets[rows, t], outputs[rows, t])
    whole, parts = sums[-1], sums[:-1]
    if whole[1] <= 0:
        raise NotApplicable(
            f"no target of '{subject.task.name}' is linear in what must be remembered; use "
            "`memory_map`"
        )
    apart = np.sqrt(parts[:, 0] / parts[:, 1])
    error = float(np.sqrt((GROUPS - 1) * np.var(apart)))
    varied = whole[3] > 0
    return Boundary(
        float(np.sqrt(whole[0] / whole[1])),
        error,
        float(1 - whole[2] / whole[3]) if varied else float("nan"),
        float(1 - whole[4] / whole[5]),
    )


def _sums(x: Array, targets: Array, outputs: Array) -> Array:
    """|F - f|^2, |f|^2, and of outputs and targets what is missed and the whole: (GROUPS + 1, 6).

    A row for each group that is left out, and one with all.
    """
    x, y, z = (values - values.mean(0) for values in (x, outputs, targets))
    size = x.std(0)
    x = x / np.where(size > 0, size, 1.0)
    parts = [np.arange(len(x)) % GROUPS == out for out in range(GROUPS)]
    whole = np.hstack([x, y, z])
    squares = np.stack([whole[part].T @ whole[part] for part in parts])
    products = np.concatenate([squares.sum(0) - squares, squares.sum(0)[None]])
    items, both = x.shape[1], x.shape[1] + y.shape[1]
    rows = []
    for one in products:
        square, shared = one[:items, :items], one[:items, items:]
        maps = np.linalg.lstsq(square, shared, rcond=1e-10)[0]
        own = np.diag(one)[items:]
        missed = own - (2 * maps * shared - maps * (square @ maps)).sum(0)
        F, f = maps[:, : both - items], maps[:, both - items :]
        each = [
            (missed[: F.shape[1]], own[: F.shape[1]]),
            (missed[F.shape[1] :], own[F.shape[1] :]),
        ]
        sums = [np.square(F - f).sum(), np.square(f).sum()]
        rows.append([*sums, *(part.sum() for pair in each for part in pair)])
    return np.array(rows)
