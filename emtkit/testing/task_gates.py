"""The first rules for tasks: the others depend on them."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import torch
from torch import Tensor

from emtkit.plugin import params
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Batch, Task
from emtkit.testing import values
from emtkit.testing.bench import Case, TaskBench, build_case, resolved, spoken
from emtkit.testing.rule import RuleOutcome, failed, ok

SEQUENCES = 3


def builds_with_defaults(bench: TaskBench) -> RuleOutcome:
    """Without parameters there is a task, and it gives a sequence."""
    given = values.required(bench.cls, Random(0))
    tried = f"built {spoken(bench.cls.name, given)} and drew one sequence"
    bench.cls(**params.build_arguments(bench.cls, resolved(bench.cls, given)))
    if build_case(bench.cls, given) is None:
        change = "choose defaults that the task itself accepts"
        return failed(tried, "the task refuses its own defaults", change)
    return ok(tried)


def batch_shapes(bench: TaskBench) -> RuleOutcome:
    """Inputs are B T I, targets B T O, the mask T and of zeros and ones."""
    task = bench.default.task
    tried = f"drew {SEQUENCES} sequences of {bench.default}"
    drawn = replace(bench.default, batch=task.sample(SEQUENCES, stream(0)))
    if wrong := shape_mistake(drawn, SEQUENCES):
        return failed(tried, *wrong)
    return ok(tried)


def loss_per_sequence_and_step(bench: TaskBench) -> RuleOutcome:
    """The loss is B T, finite, and depends smoothly on the outputs."""
    tried = f"took the loss of random outputs of {bench.default}"
    batch, outputs = answered(bench.default.task)
    loss = bench.default.task.loss(outputs.requires_grad_(), batch)
    if loss.shape != batch.inputs.shape[:2]:
        wanted = tuple(batch.inputs.shape[:2])
        change = "average over the outputs only; the core masks and averages the rest"
        return failed(tried, f"its shape is {tuple(loss.shape)}, not (B, T) = {wanted}", change)
    if not bool(loss.isfinite().all()):
        return failed(tried, "it is not finite", "divide by nothing that can be zero")
    scored = (loss * batch.mask).sum()
    gradient = torch.autograd.grad(scored, outputs)[0] if scored.requires_grad else None
    if gradient is None or not bool(gradient.isfinite().all() and gradient.any()):
        change = "make the loss of tensor operations that torch can differentiate"
        return failed(tried, "its gradient with respect to the outputs is lost", change)
    return ok(tried)


TASK_GATES: tuple[Callable[[TaskBench], RuleOutcome], ...] = (
    builds_with_defaults,
    batch_shapes,
    loss_per_sequence_and_step,
)


def stream(seed: int, dtype: torch.dtype = torch.float64) -> Stream:
    """The stream of a seed that tasks are drawn from here."""
    return Stream(seed, "check", dtype=dtype)


def answered(task: Task) -> tuple[Batch, Tensor]:
    """A batch and outputs that are neither right nor zero."""
    batch = task.sample(SEQUENCES, stream(0))
    return batch, Stream(0, "answers", dtype=torch.float64).normal(tuple(batch.targets.shape))


def shape_mistake(case: Case, sequences: int = 2) -> tuple[str, str] | None:
    """What is wrong with the shapes of a case, and what to change."""
    batch, channels = case.batch, case.task.channels
    for name, value, size in (
        ("inputs", batch.inputs, channels.inputs),
        ("targets", batch.targets, channels.outputs),
    ):
        wanted = (sequences, batch.steps, size)
        if tuple(value.shape) != wanted:
            found = f"{name} have shape {tuple(value.shape)}; `channels` promises {wanted}"
            return found, f"let `channels` and `sample` agree on {name}: B T channels"
    if tuple(batch.mask.shape) != (batch.steps,):
        found = f"the mask has shape {tuple(batch.mask.shape)}, not (T) = ({batch.steps},)"
        return found, "one number per step: all sequences of a batch are scored alike"
    if not bool(((batch.mask == 0) | (batch.mask == 1)).all()) or not bool(batch.mask.any()):
        return "the mask is not made of zeros and ones, one at least", "1 where a step is scored"
    return None
