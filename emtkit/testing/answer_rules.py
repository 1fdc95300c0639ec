"""Rules for what a task says of any inputs: its targets, and further variables."""

import torch

from emtkit.plugin.stream import Stream
from emtkit.testing.bench import TaskBench
from emtkit.testing.rule import Mistake, Skip, Steps

SEQUENCES = 3


def targets_follow_from_the_inputs(bench: TaskBench) -> Steps:
    """`targets` gives those of `sample` on the scored steps, of each sequence by itself."""
    batches = [
        (case, case.task.sample(SEQUENCES, Stream(0, "check", dtype=torch.float64)))
        for case in bench.cases
    ]
    asked = [(case, batch, case.task.targets(batch.inputs)) for case, batch in batches]
    answered = [(case, batch, found) for case, batch, found in asked if found is not None]
    if not answered:
        yield Skip("the task does not say its targets as a function of the inputs")
    yield f"compared the targets of {SEQUENCES} sequences, and of one alone, with those of `sample`"
    change = "compute them from the inputs as `sample` does, or return None"
    for case, batch, found in answered:
        if found.shape != batch.targets.shape:
            shapes = f"{tuple(found.shape)}, not (B, T, O) = {tuple(batch.targets.shape)}"
            yield Mistake(f"the targets of {case} have shape {shapes}", change)
        scored = (batch.mask > 0).expand(batch.inputs.shape[:2])
        alone = case.task.targets(batch.inputs[1:2])
        if not torch.equal(found[scored], batch.targets[scored]):
            yield Mistake(f"the targets of {case} differ from those of its sequences", change)
        if alone is None or not torch.equal(alone[0, scored[1]], found[1, scored[1]]):
            yield Mistake(f"a sequence of {case} has other targets alone", change)


def variables_follow_from_the_past(bench: TaskBench) -> Steps:
    """`variables` after a step depend on the inputs up to it, of each sequence by itself."""
    batches = [
        (case, case.task.sample(SEQUENCES, Stream(0, "check", dtype=torch.float64)).inputs)
        for case in bench.cases
    ]
    named = [(case, inputs) for case, inputs in batches if case.task.variables(inputs)]
    if not named:
        yield Skip("the task names no further variables")
    yield "computed the variables with other inputs in the second half, and of one sequence alone"
    change = "compute each from the inputs up to its step, sequence by sequence"
    for case, inputs in named:
        half, later = inputs.shape[1] // 2, inputs.clone()
        later[:, half:] = inputs[:, half:].roll(1, 0) + 1.0
        found, other = case.task.variables(inputs), case.task.variables(later)
        alone = case.task.variables(inputs[1:2])
        for name, series in found.items():
            if series.shape != inputs.shape[:2]:
                shapes = f"{tuple(series.shape)}, not (B, T) = {tuple(inputs.shape[:2])}"
                yield Mistake(f"variable '{name}' of {case} has shape {shapes}", change)
            if not torch.equal(series[:, :half], other[name][:, :half]):
                yield Mistake(f"variable '{name}' of {case} depends on later inputs", change)
            if not torch.equal(series[1], alone[name][0]):
                yield Mistake(
                    f"variable '{name}' of {case} is another in one sequence alone", change
                )
