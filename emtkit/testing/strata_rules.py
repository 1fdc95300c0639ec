"""The rule for tasks that draw an evaluation by kinds of sequences."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Batch, Task
from emtkit.testing.bench import Case, TaskBench
from emtkit.testing.rule import Mistake, Skip, Steps

SEQUENCES = 1000
ERRORS = 5


def strata_keep_the_expectation(bench: TaskBench) -> Steps:
    """Sequences drawn by kinds (`sample_strata`) have the means of those of `sample`."""
    if bench.cls.sample_strata is Task.sample_strata:
        yield Skip("the task draws its sequences as they come")
    yield f"drew {SEQUENCES} sequences as they come and by kinds"
    for case in bench.cases:
        yield from _mistakes(case)


def _mistakes(case: Case) -> Steps:
    simple = case.task.sample(SEQUENCES, Stream(0, "check", dtype=torch.float64))
    found = case.task.sample_strata(SEQUENCES, Stream(1, "check", dtype=torch.float64))
    batch, strata = found.batch, found.strata
    scored = torch.equal(simple.mask, batch.mask), simple.input_steps == batch.input_steps
    if not all(scored):
        change = "score and drive the steps that `sample` does"
        yield Mistake(f"the mask or the driven steps of {case} differ", change)
    one, other = (_of_each_sequence(case.task, drawn) for drawn in (simple, batch))
    for name, values in one.items():
        error = math.hypot(float(values.std()) / SEQUENCES**0.5, strata.error(other[name]))
        away = abs(strata.mean(other[name]) - float(values.mean()))
        if away > ERRORS * error + 1e-9 * float(values.abs().mean()):
            change = "give the exact chances of the kinds, and draw within each as `sample` does"
            yield Mistake(f"the mean of {name} of {case} is not that of `sample`", change)
    for name, whole in case.task.metrics(_leaky(simple), simple).items():
        if not math.isclose(float(whole), float(one[f"'{name}'"].mean()), rel_tol=1e-6):
            change = "let it be the mean over sequences, or leave `sample_strata` out"
            yield Mistake(f"the metric '{name}' is not the mean of its sequences", change)


def _leaky(batch: Batch) -> Tensor:
    """Outputs of a network that forgets half at each step: y_t = y_{t-1} / 2 + mean_i x_ti."""
    outputs, kept = [], batch.inputs.new_zeros(len(batch.inputs))
    for inputs in batch.inputs.mean(2).unbind(1):
        kept = kept / 2 + inputs
        outputs.append(kept)
    return torch.stack(outputs, 1)[..., None].expand_as(batch.targets)


def _of_each_sequence(task: Task, batch: Batch) -> dict[str, Tensor]:
    """Activity, size, energy, loss and metrics of every sequence alone (B)."""
    outputs, inputs = _leaky(batch), batch.inputs
    alone = [
        task.metrics(outputs[row : row + 1], replace(batch, inputs=x[None], targets=y[None]))
        for row, (x, y) in enumerate(zip(inputs, batch.targets, strict=True))
    ]
    return {
        "the active inputs": (inputs != 0).double().mean((1, 2)),
        "the inputs": inputs.mean((1, 2)),
        "the squared inputs": inputs.square().mean((1, 2)),
        "the loss": (task.loss(outputs, batch) * batch.mask).sum(1) / batch.mask.sum(),
        **{f"'{name}'": torch.stack([each[name] for each in alone]) for name in alone[0]},
    }
