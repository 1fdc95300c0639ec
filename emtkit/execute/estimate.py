"""How long a training would take, guessed from its size alone; nothing is run.

    seconds = sum over iterations of  T c_call  +  rows B T (c_step + c_product P)

with T time steps (the longest that a curriculum reaches), B sequences and P parameters. The three
costs are nominal (`Tier.cost`), of one core of 2026; the sum is meant to tell minutes from days.
"""

from emtkit.train.grouping import TIERS, Stack


def seconds(stack: Stack) -> float:
    """What training a stack costs on one worker, forward and backward."""
    cost = TIERS[stack.tier].cost
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
