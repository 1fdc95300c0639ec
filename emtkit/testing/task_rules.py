"""Rules for tasks."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from random import Random

import torch
from torch import Tensor
from torch.func import vmap

from emtkit.errors import EmtkitError, NotApplicable
from emtkit.plugin import params
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Batch, Task
from emtkit.testing import values
from emtkit.testing.bench import DRAWS, Case, TaskBench, resolved, spoken, try_case
from emtkit.testing.common_rules import under_global_seed
from emtkit.testing.rule import RuleOutcome, failed, ok, skipped
from emtkit.testing.task_gates import SEQUENCES, answered, shape_mistake, stream


def builds_with_random_parameters(bench: TaskBench) -> RuleOutcome:
    """Every valid setting gives sequences, or is refused with a sentence."""
    tried = f"built {DRAWS} settings drawn from the annotations"
    for given in values.draws(bench.cls, Random(1), DRAWS):
        setting = spoken(bench.cls.name, given)
        arguments = params.build_arguments(bench.cls, resolved(bench.cls, given))
        try:
            task = bench.cls(**arguments)
        except (ValueError, EmtkitError) as refusal:
            if not str(refusal):
                return failed(tried, f"{setting} is refused in silence", "say why, and what to do")
        except Exception as error:
            change = "narrow the annotation (Field(ge=...)), or raise ValueError with the reason"
            return failed(tried, f"{setting} raised {type(error).__name__}: {error}", change)
        else:
            if wrong := shape_mistake(Case(task, given, task.sample(2, stream(0)))):
                return failed(f"drew 2 sequences of {setting}", *wrong)
    return ok(tried)


def silent_after_driven(bench: TaskBench) -> RuleOutcome:
    """Inputs are zero from step `input_steps` on."""
    for case in bench.cases:
        batch = case.task.sample(SEQUENCES, stream(0))
        if bool(batch.inputs[:, batch.input_steps :].any()):
            found = f"inputs of {case} differ from zero at or after step {batch.input_steps}"
            change = (
                "raise `input_steps`, or set these inputs to zero: the model receives none of them"
            )
            return failed("looked at the inputs after the driven steps", found, change)
    return ok("looked at the inputs after the driven steps")


def dtype_follows_the_stream(bench: TaskBench) -> RuleOutcome:
    """A float64 stream gives a float64 batch and loss, a float32 one float32."""
    tried = "drew from a float32 and a float64 stream"
    for dtype in (torch.float32, torch.float64):
        batch = bench.default.task.sample(SEQUENCES, stream(0, dtype))
        outputs = torch.zeros_like(batch.targets)
        parts = {"inputs": batch.inputs, "targets": batch.targets, "mask": batch.mask}
        parts["loss"] = bench.default.task.loss(outputs, batch)
        for name, value in parts.items():
            if value.dtype != dtype:
                change = "make tensors with `inputs.new_zeros(...)` and `.to(inputs.dtype)`"
                return failed(tried, f"{name} is {value.dtype} from a {dtype} stream", change)
    return ok(tried)


def equal_streams_equal_batches(bench: TaskBench) -> RuleOutcome:
    """The stream alone decides what is drawn."""
    tried = "drew twice from streams of equal key, with one task object"
    for case in bench.cases:
        first, second = (under_global_seed(0, partial(_draw, case))[0] for _ in range(2))
        if not _equal(first, second):
            change = "keep no state between calls; draw from the stream alone"
            return failed(tried, f"{case} gave two different batches", change)
    return ok(tried)


def different_seeds_differ(bench: TaskBench) -> RuleOutcome:
    """Another seed gives other sequences."""
    tried = "drew 64 sequences from the streams of two seeds"
    first, second = (bench.default.task.sample(64, stream(seed)) for seed in (0, 1))
    if torch.equal(first.inputs, second.inputs):
        change = "draw from the stream that `sample` is given"
        return failed(tried, "the inputs are equal", change)
    return ok(tried)


def no_global_randomness(bench: TaskBench) -> RuleOutcome:
    """Neither the constructor nor `sample` reads or moves a global generator."""
    tried = "built and drew under two states of torch, numpy.random and random"

    def work() -> Batch:
        arguments = params.build_arguments(bench.cls, bench.default.parameters)
        return bench.cls(**arguments).sample(SEQUENCES, stream(0))

    change = "draw from the stream that `sample` is given"
    (first, moved), (second, _) = (under_global_seed(seed, work) for seed in (0, 1))
    if moved:
        return failed(tried, f"it moved the global generator of {', '.join(moved)}", change)
    if not _equal(first, second):
        return failed(tried, "the batches differ with the global generators", change)
    return ok(tried)


def loss_of_each_sequence_alone(bench: TaskBench) -> RuleOutcome:
    """No sequence's loss depends on the others of its batch."""
    tried = f"took the loss of {SEQUENCES} sequences together and one by one"
    task = bench.default.task
    batch, outputs = answered(task)
    whole = task.loss(outputs, batch)
    for row in range(SEQUENCES):
        part = slice(row, row + 1)
        alone = replace(batch, inputs=batch.inputs[part], targets=batch.targets[part])
        if not torch.allclose(task.loss(outputs[part], alone)[0], whole[row], rtol=1e-9):
            change = "reduce over no other axis than the outputs"
            return failed(tried, f"sequence {row} has another loss alone", change)
    return ok(tried)


def metrics_are_numbers(bench: TaskBench) -> RuleOutcome:
    """Every metric is one finite number."""
    task = bench.default.task
    batch, outputs = answered(task)
    metrics = task.metrics(outputs, batch)
    tried = f"took the metrics of random outputs: {', '.join(metrics) or 'none'}"
    for name, value in metrics.items():
        if not isinstance(value, Tensor) or value.ndim:
            change = "return a 0-d tensor: average over the masked steps"
            return failed(tried, f"'{name}' is not a 0-d tensor", change)
        if not bool(value.isfinite()):
            return failed(tried, f"'{name}' is {value.item()}", "divide by the mask's sum")
    return ok(tried)


def loss_and_metrics_stack(bench: TaskBench) -> RuleOutcome:
    """Loss and metrics of a stack of networks equal those of each network."""
    tried = "took loss and metrics of two networks at once (torch.func.vmap) and one by one"
    task = bench.default.task
    batch, outputs = answered(task)
    pair = torch.stack([outputs, 0.5 * outputs])
    names = list(task.metrics(outputs, batch))

    def scored(answer: Tensor) -> tuple[Tensor, ...]:
        metrics = task.metrics(answer, batch)
        return (task.loss(answer, batch), *(metrics[name] for name in names))

    change = "use tensor operations only: no `.item()`, no `if` on a tensor's value"
    try:
        stacked = vmap(scored)(pair)
    except RuntimeError as error:
        return failed(tried, f"vmap raised: {str(error).splitlines()[0]}", change)
    for row in range(2):
        for name, whole, one in zip(["loss", *names], stacked, scored(pair[row]), strict=True):
            if not torch.allclose(whole[row], one, rtol=1e-9, equal_nan=True):
                return failed(tried, f"{name} of network {row} differs", change)
    return ok(tried)


def horizons_are_prefixes(bench: TaskBench) -> RuleOutcome:
    """A shorter horizon gives the first steps of a longer one, and counts the scored steps."""
    task = bench.default.task
    if not task.horizons:
        return skipped("the task has no horizons")
    tried = "drew with horizons 2 and 5 from equal streams"
    if not isinstance(task.horizon, int) or not isinstance(task.evaluation_horizon, int):
        change = "set `self.horizon` and `self.evaluation_horizon` in the constructor"
        return failed(tried, "`horizon` or `evaluation_horizon` is not an integer", change)
    short, long = (task.sample(SEQUENCES, stream(0), horizon) for horizon in (2, 5))
    change = "draw everything before the horizon first; score exactly `horizon` steps"
    if (scored := [int(short.mask.sum()), int(long.mask.sum())]) != [2, 5]:
        return failed(tried, f"{scored[0]} and {scored[1]} steps are scored", change)
    if short.input_steps != long.input_steps:
        return failed(tried, f"driven is {short.input_steps} and {long.input_steps}", change)
    steps = short.steps
    start = Batch(
        long.inputs[:, :steps], long.targets[:, :steps], long.mask[:steps], short.input_steps
    )
    if not _equal(short, start):
        return failed(tried, "the shorter batch is not the start of the longer one", change)
    return ok(tried)


def rows_equal_single_draws(bench: TaskBench) -> RuleOutcome:
    """`sample_rows` gives every row the very bits of its own `sample`."""
    for group in _alike(bench):
        tasks = [case.task for case in group]
        seeds = [*range(len(tasks) - 1), 0]
        tried = f"drew {len(tasks)} rows at once, among them {group[-1]}"
        rows, _ = under_global_seed(0, partial(_draw_rows, tasks, seeds))
        singles, _ = under_global_seed(0, partial(_draw_singles, tasks, seeds))
        for row, alone in enumerate(singles):
            one = Batch(rows.inputs[row], rows.targets[row], rows.mask[row], rows.input_steps)
            if not _equal(alone, one):
                change = "use each row's own task and stream, or leave `sample_rows` out"
                return failed(tried, f"row {row} ({group[row]}) differs", change)
    return ok("drew rows of settings of equal shape at once and one by one")


def recipe_gives_the_batch(bench: TaskBench) -> RuleOutcome:
    """What `recipe` describes is exactly the batch of `sample`, at the task's own horizon."""
    tried, found = "drew by the recipe and by `sample`", False
    for case in bench.cases:
        recipe = case.task.recipe()
        if recipe is None:
            continue
        found = True
        if not _equal(_draw(case), recipe.batch(SEQUENCES, case.task.channels, stream(0))):
            change = "say the draw, sources and mask that `sample` uses, or return None"
            return failed(tried, f"the batches of {case} differ", change)
    return ok(tried) if found else skipped("the task has no recipe")


def draws_where_the_stream_is(bench: TaskBench) -> RuleOutcome:
    """A task with `draws_anywhere` makes its batches on the device of its stream."""
    if not bench.cls.draws_anywhere:
        return skipped("it draws on the processor")
    tried = "drew from streams on torch's `meta` device, one row and three"
    change = "make every tensor from the drawn ones (`new_zeros`, `.to(drawn)`)"
    away = [Stream(seed, "check", device=torch.device("meta")) for seed in range(4)]
    for case in bench.cases:
        try:
            one = case.task.sample(SEQUENCES, away[3])
            rows = type(case.task).sample_rows([case.task] * 3, SEQUENCES, away[:3])
        except RuntimeError as error:
            return failed(tried, f"{case}: {str(error).splitlines()[0]}", change)
        for batch in (one, rows):
            where = {x.device.type for x in (batch.inputs, batch.targets, batch.mask)}
            if where != {"meta"}:
                return failed(tried, f"{case}: its batch is on {', '.join(sorted(where))}", change)
    return ok(tried)


def facts_are_answered(bench: TaskBench) -> RuleOutcome:
    """Every offered fact is answered by a record of that type, or does not apply, with a reason."""
    tried = "asked for every fact of `offers`: " + (
        ", ".join(kind.__name__ for kind in bench.cls.offers) or "none"
    )
    for case in bench.cases:
        for kind in bench.cls.offers:
            try:
                fact: object = case.task.facts(kind)
            except NotApplicable:
                continue
            if not isinstance(fact, kind):
                found = f"{case} answers {kind.__name__} with a {type(fact).__name__}"
                return failed(tried, found, "answer every type of `offers` in `facts`")
    return ok(tried)


TASK_RULES: tuple[Callable[[TaskBench], RuleOutcome], ...] = (
    builds_with_random_parameters,
    silent_after_driven,
    dtype_follows_the_stream,
    equal_streams_equal_batches,
    different_seeds_differ,
    no_global_randomness,
    loss_of_each_sequence_alone,
    metrics_are_numbers,
    loss_and_metrics_stack,
    horizons_are_prefixes,
    rows_equal_single_draws,
    recipe_gives_the_batch,
    draws_where_the_stream_is,
    facts_are_answered,
)


def _draw(case: Case) -> Batch:
    return case.task.sample(SEQUENCES, stream(0))


def _draw_rows(tasks: list[Task], seeds: list[int]) -> Batch:
    return type(tasks[0]).sample_rows(tasks, SEQUENCES, [stream(seed) for seed in seeds])


def _draw_singles(tasks: list[Task], seeds: list[int]) -> list[Batch]:
    pairs = zip(tasks, seeds, strict=True)
    return [task.sample(SEQUENCES, stream(seed)) for task, seed in pairs]


def _equal(first: Batch, second: Batch) -> bool:
    pairs = [
        (first.inputs, second.inputs),
        (first.targets, second.targets),
        (first.mask, second.mask),
    ]
    return first.input_steps == second.input_steps and all(torch.equal(a, b) for a, b in pairs)


def _alike(bench: TaskBench) -> Iterator[list[Case]]:
    """The default with the settings, one parameter changed each, that have equal shapes."""
    default = bench.default
    group = [default]
    for given in values.one_by_one(bench.cls, default.parameters, Random(2), 3):
        case = try_case(bench.cls, given)
        if (
            case is not None
            and case.batch.inputs.shape == default.batch.inputs.shape
            and case.batch.targets.shape == default.batch.targets.shape
            and case.batch.input_steps == default.batch.input_steps
        ):
            group.append(case)
    yield [default, default]
    if len(group) > 1:
        yield group
