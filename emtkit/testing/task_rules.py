"""Rules for tasks; the others depend on the gates."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from random import Random

import torch
from torch import Tensor
from torch.func import vmap

from emtkit.plugin import params
from emtkit.plugin.scalars import info_of
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Batch, Task
from emtkit.testing import values
from emtkit.testing.answer_rules import (
    targets_follow_from_the_inputs,
    variables_follow_from_the_past,
)
from emtkit.testing.bench import DRAWS, Case, TaskBench, build_case, resolved, spoken, try_case
from emtkit.testing.common_rules import (
    built_at_random,
    facts_are_answered,
    globally_drawn,
    under_global_seed,
)
from emtkit.testing.rule import Mistake, Skip, Steps
from emtkit.testing.strata_rules import strata_keep_the_expectation

SEQUENCES = 3


def builds_with_defaults(bench: TaskBench) -> Steps:
    """Without parameters there is a task, and it gives a sequence."""
    given = values.required(bench.cls, Random(0))
    yield f"built {spoken(bench.cls.name, given)} and drew one sequence"
    bench.cls(**params.build_arguments(bench.cls, resolved(bench.cls, given)))
    if build_case(bench.cls, given) is None:
        change = "choose defaults that the task itself accepts"
        yield Mistake("the task refuses its own defaults", change)


def batch_shapes(bench: TaskBench) -> Steps:
    """Inputs are B T I, targets B T O, the mask T (or B T) and of zeros and ones."""
    yield f"drew {SEQUENCES} sequences of {bench.default}"
    yield from _shape_mistakes(bench.default.task, _draw(bench.default.task), SEQUENCES)


def loss_per_sequence_and_step(bench: TaskBench) -> Steps:
    """The loss is B T, finite, and depends smoothly on the outputs."""
    yield f"took the loss of random outputs of {bench.default}"
    batch, outputs = _answered(bench.default.task)
    loss = bench.default.task.loss(outputs.requires_grad_(), batch)
    if loss.shape != batch.inputs.shape[:2]:
        wanted = tuple(batch.inputs.shape[:2])
        change = "average over the outputs only; the core masks and averages the rest"
        yield Mistake(f"its shape is {tuple(loss.shape)}, not (B, T) = {wanted}", change)
    if not bool(loss.isfinite().all()):
        yield Mistake("it is not finite", "divide by nothing that can be zero")
    scored = (loss * batch.mask).sum()
    gradient = torch.autograd.grad(scored, outputs)[0] if scored.requires_grad else None
    if gradient is None or not bool(gradient.isfinite().all() and gradient.any()):
        change = "make the loss of tensor operations that torch can differentiate"
        yield Mistake("its gradient with respect to the outputs is lost", change)


def builds_with_random_parameters(bench: TaskBench) -> Steps:
    """Every valid setting gives sequences, or is refused with a sentence."""
    yield f"built {DRAWS} settings drawn from the annotations"
    for setting, task in built_at_random(bench.cls):
        if isinstance(task, Mistake):
            yield task
        elif wrong := list(_shape_mistakes(task, task.sample(2, _stream(0)), 2)):
            yield f"drew 2 sequences of {setting}"
            yield from wrong


def silent_after_driven(bench: TaskBench) -> Steps:
    """Inputs are zero from step `input_steps` on."""
    yield "looked at the inputs after the driven steps"
    for case in bench.cases:
        batch = _draw(case.task)
        if bool(batch.inputs[:, batch.input_steps :].any()):
            yield Mistake(
                f"inputs of {case} differ from zero at or after step {batch.input_steps}",
                "raise `input_steps`, or set these inputs to zero: the model receives none of them",
            )


def dtype_follows_the_stream(bench: TaskBench) -> Steps:
    """A float64 stream gives a float64 batch and loss, a float32 one float32."""
    yield "drew from a float32 and a float64 stream"
    for dtype in (torch.float32, torch.float64):
        batch = bench.default.task.sample(SEQUENCES, _stream(0, dtype))
        parts = {"inputs": batch.inputs, "targets": batch.targets, "mask": batch.mask}
        parts["loss"] = bench.default.task.loss(torch.zeros_like(batch.targets), batch)
        for name, value in parts.items():
            if value.dtype != dtype:
                change = "make tensors with `inputs.new_zeros(...)` and `.to(inputs.dtype)`"
                yield Mistake(f"{name} is {value.dtype} from a {dtype} stream", change)


def equal_streams_equal_batches(bench: TaskBench) -> Steps:
    """The stream alone decides what is drawn."""
    yield "drew twice from streams of equal key, with one task object"
    for case in bench.cases:
        first, second = (under_global_seed(0, partial(_draw, case.task))[0] for _ in range(2))
        if not _equal(first, second):
            change = "keep no state between calls; draw from the stream alone"
            yield Mistake(f"{case} gave two different batches", change)


def different_seeds_differ(bench: TaskBench) -> Steps:
    """Another seed gives other sequences."""
    yield "drew 64 sequences from the streams of two seeds"
    first, second = (bench.default.task.sample(64, _stream(seed)) for seed in (0, 1))
    if torch.equal(first.inputs, second.inputs):
        yield Mistake("the inputs are equal", "draw from the stream that `sample` is given")


def no_global_randomness(bench: TaskBench) -> Steps:
    """Neither the constructor nor `sample` reads or moves a global generator."""
    yield "built and drew under two states of torch, numpy.random and random"

    def work() -> Batch:
        return _draw(bench.cls(**params.build_arguments(bench.cls, bench.default.parameters)))

    change = "draw from the stream that `sample` is given"
    yield from globally_drawn(work, _equal, "batches", change)


def loss_of_each_sequence_alone(bench: TaskBench) -> Steps:
    """No sequence's loss depends on the others of its batch."""
    yield f"took the loss of {SEQUENCES} sequences together and one by one"
    task = bench.default.task
    batch, outputs = _answered(task)
    whole = task.loss(outputs, batch)
    for row in range(SEQUENCES):
        part = slice(row, row + 1)
        alone = _sequences(batch, part)
        if not torch.allclose(task.loss(outputs[part], alone)[0], whole[row], rtol=1e-9):
            change = "reduce over no other axis than the outputs"
            yield Mistake(f"sequence {row} has another loss alone", change)


def metrics_are_numbers(bench: TaskBench) -> Steps:
    """Every metric is one finite number."""
    batch, outputs = _answered(bench.default.task)
    metrics = bench.default.task.metrics(outputs, batch)
    yield f"took the metrics of random outputs: {', '.join(metrics) or 'none'}"
    for name, value in metrics.items():
        if not isinstance(value, Tensor) or value.ndim:
            change = "return a 0-d tensor: average over the masked steps"
            yield Mistake(f"'{name}' is not a 0-d tensor", change)
        elif not bool(value.isfinite()):
            yield Mistake(f"'{name}' is {value.item()}", "divide by the mask's sum")


def metrics_read_scored_steps(bench: TaskBench) -> Steps:
    """What is answered at a step that is not scored changes no metric."""
    yield "took the metrics of random outputs, and of others where nothing is scored"
    for case in bench.cases:
        batch, outputs = _answered(case.task)
        kept = (batch.mask > 0)[..., None].expand_as(outputs)
        others = torch.where(kept, outputs, 3.0 - outputs)
        found, wanted = (case.task.metrics(answer, batch) for answer in (others, outputs))
        for name, value in wanted.items():
            if not torch.allclose(found[name], value, rtol=1e-9, equal_nan=True):
                change = "multiply by the mask what each step gives, or pick the scored steps"
                yield Mistake(f"'{name}' of {case} reads outputs that are not scored", change)


def metrics_are_declared(bench: TaskBench) -> Steps:
    """`scalars` says what every metric means, so that a plan knows the columns."""
    yield "looked for the metrics of several settings in `scalars`"
    change = 'write `scalars = {"accuracy": ScalarInfo("share of right answers")}`'
    answers = ((case.task, *_answered(case.task)) for case in bench.cases)
    names = {name: None for task, batch, out in answers for name in task.metrics(out, batch)}
    for name in names:
        if info_of(bench.cls.scalars, name) is None:
            yield Mistake(f"the metric '{name}' is not declared", change)


def loss_and_metrics_stack(bench: TaskBench) -> Steps:
    """Loss and metrics of a stack of networks equal those of each network."""
    yield "took loss and metrics of two networks at once (torch.func.vmap) and one by one"
    task = bench.default.task
    batch, outputs = _answered(task)
    pair = torch.stack([outputs, 0.5 * outputs])
    names = list(task.metrics(outputs, batch))

    def scored(answer: Tensor) -> tuple[Tensor, ...]:
        metrics = task.metrics(answer, batch)
        return (task.loss(answer, batch), *(metrics[name] for name in names))

    change = "use tensor operations only: no `.item()`, no `if` on a tensor's value"
    try:
        stacked = vmap(scored)(pair)
    except RuntimeError as error:
        yield Mistake(f"vmap raised: {str(error).splitlines()[0]}", change)
    for row in range(2):
        for name, whole, one in zip(["loss", *names], stacked, scored(pair[row]), strict=True):
            if not torch.allclose(whole[row], one, rtol=1e-9, equal_nan=True):
                yield Mistake(f"{name} of network {row} differs", change)


def horizons_are_prefixes(bench: TaskBench) -> Steps:
    """A shorter horizon gives the first steps of a longer one, and counts the scored steps."""
    task = bench.default.task
    if not task.horizons:
        yield Skip("the task has no horizons")
    yield "drew with horizons 2 and 5 from equal streams"
    if not isinstance(task.horizon, int) or not isinstance(task.evaluation_horizon, int):
        change = "set `self.horizon` and `self.evaluation_horizon` in the constructor"
        lacking = [n for n in ("horizon", "evaluation_horizon") if getattr(task, n) is None]
        what = " and ".join(f"`{name}`" for name in lacking)
        found = f"{what} is missing" if lacking else "`horizon` or `evaluation_horizon` is no int"
        yield Mistake(f"{found} (a task with horizons says how many scored steps it has)", change)
    short, long = (task.sample(SEQUENCES, _stream(0), horizon) for horizon in (2, 5))
    change = "draw everything before the horizon first; score exactly `horizon` steps"
    if (scored := [int(short.mask.sum()), int(long.mask.sum())]) != [2, 5]:
        yield Mistake(f"{scored[0]} and {scored[1]} steps are scored", change)
    if short.input_steps != long.input_steps:
        yield Mistake(f"driven is {short.input_steps} and {long.input_steps}", change)
    steps = short.steps
    start = long.inputs[:, :steps], long.targets[:, :steps], long.mask[:steps]
    if not _equal(short, Batch(*start, short.input_steps)):
        yield Mistake("the shorter batch is not the start of the longer one", change)


def rows_equal_single_draws(bench: TaskBench) -> Steps:
    """`sample_rows` gives every row the very bits of its own `sample`."""
    for group in _alike(bench):
        tasks = [case.task for case in group]
        seeds = [*range(len(tasks) - 1), 0]
        yield f"drew {len(tasks)} rows at once, among them {group[-1]}"
        rows, singles = (
            under_global_seed(0, partial(draw, tasks, SEQUENCES, list(map(_stream, seeds))))[0]
            for draw in (type(tasks[0]).sample_rows, Task.sample_rows)
        )
        for row, case in enumerate(group):
            if not _equal(*(_row(whole, row) for whole in (rows, singles))):
                change = "use each row's own task and stream, or leave `sample_rows` out"
                yield Mistake(f"row {row} ({case}) differs", change)
    yield "drew rows of settings of equal shape at once and one by one"


def recipe_gives_the_batch(bench: TaskBench) -> Steps:
    """What `recipe` describes is exactly the batch of `sample`, at the task's own horizon."""
    recipes = [(case, recipe) for case in bench.cases if (recipe := case.task.recipe())]
    if not recipes:
        yield Skip("the task has no recipe")
    yield "drew by the recipe and by `sample`"
    for case, recipe in recipes:
        if not _equal(_draw(case.task), recipe.batch(SEQUENCES, case.task.channels, _stream(0))):
            change = "say the draw, sources and mask that `sample` uses, or return None"
            yield Mistake(f"the batches of {case} differ", change)


def draws_where_the_stream_is(bench: TaskBench) -> Steps:
    """A task with `draws_anywhere` makes its batches on the device of its stream."""
    if not bench.cls.draws_anywhere:
        yield Skip("it draws on the processor")
    yield "drew from streams on torch's `meta` device, one row and three"
    change = "make every tensor from the drawn ones (`new_zeros`, `.to(drawn)`)"
    away = [Stream(seed, "check", device=torch.device("meta")) for seed in range(4)]
    for case in bench.cases:
        try:
            one = case.task.sample(SEQUENCES, away[3])
            rows = type(case.task).sample_rows([case.task] * 3, SEQUENCES, away[:3])
        except RuntimeError as error:
            yield Mistake(f"{case}: {str(error).splitlines()[0]}", change)
        for batch in (one, rows):
            where = {x.device.type for x in (batch.inputs, batch.targets, batch.mask)}
            if where != {"meta"}:
                yield Mistake(f"{case}: its batch is on {', '.join(sorted(where))}", change)


TASK_GATES: tuple[Callable[[TaskBench], Steps], ...] = (
    builds_with_defaults,
    batch_shapes,
    loss_per_sequence_and_step,
)
TASK_RULES: tuple[Callable[[TaskBench], Steps], ...] = (
    builds_with_random_parameters,
    silent_after_driven,
    dtype_follows_the_stream,
    equal_streams_equal_batches,
    different_seeds_differ,
    no_global_randomness,
    loss_of_each_sequence_alone,
    metrics_are_numbers,
    metrics_read_scored_steps,
    metrics_are_declared,
    loss_and_metrics_stack,
    horizons_are_prefixes,
    rows_equal_single_draws,
    strata_keep_the_expectation,
    recipe_gives_the_batch,
    targets_follow_from_the_inputs,
    variables_follow_from_the_past,
    draws_where_the_stream_is,
    facts_are_answered,
)


def _stream(seed: int, dtype: torch.dtype = torch.float64) -> Stream:
    return Stream(seed, "check", dtype=dtype)


def _draw(task: Task) -> Batch:
    return task.sample(SEQUENCES, _stream(0))


def _row(rows: Batch, row: int) -> Batch:
    return Batch(rows.inputs[row], rows.targets[row], rows.mask[row], rows.input_steps)


def _sequences(batch: Batch, part: slice) -> Batch:
    """Some sequences of a batch."""
    mask = batch.mask[part] if batch.per_sequence else batch.mask
    return replace(batch, inputs=batch.inputs[part], targets=batch.targets[part], mask=mask)


def _answered(task: Task) -> tuple[Batch, Tensor]:
    """A batch and outputs that are neither right nor zero."""
    batch = _draw(task)
    return batch, Stream(0, "answers", dtype=torch.float64).normal(tuple(batch.targets.shape))


def _shape_mistakes(task: Task, batch: Batch, sequences: int) -> Steps:
    """What is wrong with the shapes of a batch, and what to change."""
    channels = task.channels
    for name, value, size in (
        ("inputs", batch.inputs, channels.inputs),
        ("targets", batch.targets, channels.outputs),
    ):
        wanted = (sequences, batch.steps, size)
        if tuple(value.shape) != wanted:
            found = f"{name} have shape {tuple(value.shape)}; `channels` promises {wanted}"
            yield Mistake(found, f"let `channels` and `sample` agree on {name}: B T channels")
    if not bool(((batch.mask == 0) | (batch.mask == 1)).all()) or not bool(batch.mask.any()):
        found = "the mask is not made of zeros and ones, one at least"
        yield Mistake(found, "1 where a step is scored")
    if batch.per_sequence and not bool(batch.mask.any(1).all()):
        yield Mistake("a sequence has no scored step", "score a step of each at least")


def _equal(first: Batch, second: Batch) -> bool:
    tensors = ((batch.inputs, batch.targets, batch.mask) for batch in (first, second))
    same = all(torch.equal(a, b) for a, b in zip(*tensors, strict=True))
    return same and first.input_steps == second.input_steps


def _alike(bench: TaskBench) -> Iterator[list[Case]]:
    """The default with the settings, one parameter changed each, that have equal shapes."""
    default = bench.default
    changed = values.one_by_one(bench.cls, default.parameters, Random(2), 3)
    cases = (case for given in changed if (case := try_case(bench.cls, given)))
    alike = [case for case in cases if case.shapes == default.shapes]
    yield [default, default]
    if alike:
        yield [default, *alike]
