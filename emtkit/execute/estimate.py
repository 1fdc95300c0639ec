"""How long a training would take, guessed from its size alone; nothing is run.

    seconds = sum over iterations of  T c_call  +  rows B T (c_step + c_product P)

with T time steps (the longest that a curriculum reaches), B sequences and P parameters. The three
costs are nominal, of one core of 2026; the sum is meant to tell minutes from days.
"""

from __future__ import annotations

from dataclasses import dataclass

from emtkit.train.grouping import Stack


@dataclass(frozen=True)
class Cost:
    """Seconds per `call` (a time step of one program), `step` (of one sequence) and `product`.

    `stacked`: whether one program serves all rows of a stack.
    """

    call: float
    step: float
    product: float
    stacked: bool = True


NOMINAL = {
    "cuda": Cost(call=1e-5, step=1e-10, product=2e-13),  # by data sheets; not measured
    "cuda_tf32": Cost(call=1e-5, step=1e-10, product=1e-13),  # likewise
    "native": Cost(call=1e-5, step=1e-9, product=7.5e-11),
    "dense": Cost(call=6e-5, step=6e-8, product=1e-10),
    "vmap": Cost(call=2e-4, step=2e-7, product=1.8e-10),
    "loop": Cost(call=2e-4, step=2e-7, product=1.8e-10, stacked=False),
}


def seconds(stack: Stack) -> float:
    """What training a stack costs on one worker, forward and backward."""
    cost = NOMINAL[stack.tier]
    iterations = [cell.training.steps for cell in stack.cells]
    calls = max(iterations) if cost.stacked else sum(iterations)
    sequences = sum(iterations) * stack.cells[0].training.batch
    product = cost.product * stack.parameters
    return stack.length * (calls * cost.call + sequences * (cost.step + product))


def duration_text(value: float) -> str:
    """A guessed duration with no more digits than a guess deserves: `3 min`, `50 h`."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if value >= 1.5 * size:
            return f"{value / size:.0f} {unit}"
    return f"{max(value, 1.0):.0f} s"
