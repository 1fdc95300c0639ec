"""Rules for architectures; the others depend on the gates."""

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from emtkit.errors import NotApplicable
from emtkit.plugin.architecture import RecurrentModel, SequenceModel, Trace
from emtkit.plugin.mistakes import step_mistake
from emtkit.plugin.task import Batch, Task
from emtkit.testing import values
from emtkit.testing.bench import (
    DRAWS,
    ModelBench,
    Pairing,
    default_parameters,
    resolved,
    spoken,
    why_not,
)
from emtkit.testing.common_rules import under_global_seed
from emtkit.testing.rule import Mistake, Skip, Steps

SEQUENCES = 3
CLOSE = 1e-8
"""Relative difference, in float64, from which on two results count as different."""


def accepts_says_why(bench: ModelBench) -> Steps:
    """`accepts` answers None or a sentence for every task; it raises NotApplicable at most.

    So does `warns`, of what was accepted; it raises nothing.
    """
    yield f"called `accepts` on {len(bench.company.cases)} settings of the installed tasks"
    for case in bench.company.cases:
        for given in values.draws(bench.cls, Random(3), 4):
            parameters = resolved(bench.cls, given)
            setting = f"{spoken(bench.cls.name, parameters)} on {case}"
            try:
                reason = bench.cls.accepts(case.task, parameters)
            except NotApplicable as error:
                reason = str(error)
            except Exception as error:
                found = f"{setting} raised {type(error).__name__}: {error}"
                yield Mistake(found, "ask `task.offers` before `task.facts`")
            if reason is not None and not (isinstance(reason, str) and reason.strip()):
                change = "return None, or a sentence with the reason"
                yield Mistake(f"{setting} gave {reason!r}", change)
            if reason is None and (wrong := _warning_mistake(bench, case.task, parameters)):
                yield Mistake(f"{setting}: {wrong}", "return None, or a sentence, from `warns`")


def _warning_mistake(bench: ModelBench, task: Task, parameters: Mapping[str, Any]) -> str:
    """What is wrong with the answer of `warns`, if anything."""
    try:
        said = bench.cls.warns(task, parameters)
    except Exception as error:
        return f"`warns` raised {type(error).__name__}: {error}"
    fine = said is None or (isinstance(said, str) and said.strip())
    return "" if fine else f"`warns` gave {said!r}"


def finds_a_task(bench: ModelBench) -> Steps:
    """At least one installed task is accepted with the default parameters."""
    yield f"offered {len(bench.company.cases)} settings of the installed tasks"
    if not bench.pairings:
        default = default_parameters(bench.cls)
        reasons = {str(why_not(bench.cls, case, default)) for case in bench.company.cases}
        change = "if it needs a task of your own, check both files together"
        yield Mistake("; ".join(sorted(reasons)), change)


def builds_with_defaults(bench: ModelBench) -> Steps:
    """The default network is built, and has parameters if and only if it says that it trains."""
    yield f"built {bench.main}"
    trains, some = bench.trains, bool(list(bench.main.network().parameters()))
    if trains and not some:
        change = "answer False in `trains`, or make the weights nn.Parameter"
        yield Mistake("it says that it trains and has no parameter", change)
    if some and not trains:
        change = "register the weights of a constructed network as buffers"
        yield Mistake("it says that it does not train and has parameters", change)


def trace_shapes(bench: ModelBench) -> Steps:
    """States are B T H and outputs B T O, also where the last step is driven; all are finite."""
    for pair in bench.pairings:
        batch, model = pair.sample(SEQUENCES), pair.network()
        for steps in {batch.input_steps, batch.steps}:
            yield f"ran {pair} for {steps} steps, {batch.input_steps} of them driven"
            if wrong := _trace_mistake(run(model, batch, steps), model, batch, steps):
                yield Mistake(wrong, "return Trace(states B T H, outputs B T O)")
    yield "ran the network on tasks of every kind that it accepts"


def step_keeps_the_state(bench: ModelBench) -> Steps:
    """`step` takes a state (B, H) and gives the next one, H being `hidden`."""
    if not issubclass(bench.cls, RecurrentModel):
        yield Skip("no recurrent model")
    yield f"gave one input to `step` of {bench.main}"
    model = bench.main.network()
    assert isinstance(model, RecurrentModel)
    if mistake := step_mistake(model, bench.main.case.task.channels.inputs):
        yield Mistake(mistake, "let the state be one tensor, and `self.hidden` its size")


def moves_to_another_dtype(bench: ModelBench) -> Steps:
    """After `.double()` it computes in float64, after `.float()` in float32."""
    yield "moved the network to float32 and float64 and ran it"
    change = "keep constants as buffers, and make tensors with `state.new_zeros(...)`"
    for dtype in (torch.float32, torch.float64):
        try:
            trace = run(bench.main.network(dtype=dtype), bench.main.sample(SEQUENCES, dtype))
        except RuntimeError as error:
            yield Mistake(f"in {dtype}: {error}", change)
        if (trace.states.dtype, trace.outputs.dtype) != (dtype, dtype):
            yield Mistake(
                f"in {dtype} it gave {trace.states.dtype} and {trace.outputs.dtype}", change
            )


def equal_seeds_equal_networks(bench: ModelBench) -> Steps:
    """The seeded generator of torch alone decides the initial weights."""
    yield "built the network twice from one seed"
    first, second = (under_global_seed(5, bench.main.network)[0] for _ in range(2))
    if not _same_weights(first, second):
        change = "draw weights from torch's own generator (nn.init, torch.rand), nothing else"
        yield Mistake("the weights differ", change)


def runs_alike_twice(bench: ModelBench) -> Steps:
    """A network keeps nothing from one run to the next."""
    yield "ran one network twice on the same sequences"
    model, batch = bench.main.network(), bench.main.sample(SEQUENCES)
    first, second = (under_global_seed(0, lambda: run(model, batch))[0].outputs for _ in range(2))
    if not torch.equal(first, second):
        change = "keep the state in the tensor that `step` is given, not on `self`"
        yield Mistake("the outputs differ", change)


def no_global_randomness(bench: ModelBench) -> Steps:
    """Running draws nothing, and building draws from torch's generator alone.

    At the defaults, and at settings drawn from the annotations: a parameter may let noise in.
    """
    tried = (bench.main, *bench.others)
    yield f"built and ran {len(tried)} settings and watched torch, numpy.random and random"
    batch = bench.main.sample(SEQUENCES)
    for pair in tried:
        model, moved = under_global_seed(0, pair.network)
        if moved:
            change = "draw from torch's generator alone, which the core seeds"
            yield Mistake(f"building {pair} moved the generator of {', '.join(moved)}", change)
        (trace, moved), (again, _) = (
            under_global_seed(seed, partial(run, model, batch)) for seed in (0, 1)
        )
        if moved or not torch.equal(trace.outputs, again.outputs):
            change = (
                "let nothing be drawn in `step`, `read` and `trace` (no dropout); for noise of the "
                "state set `self.noise` to its standard deviation, and the core adds it"
            )
            yield Mistake(f"running {pair} depends on, or moves, a global generator", change)


MODEL_GATES: tuple[Callable[[ModelBench], Steps], ...] = (
    accepts_says_why,
    finds_a_task,
    builds_with_defaults,
    step_keeps_the_state,
    moves_to_another_dtype,
    trace_shapes,
    equal_seeds_equal_networks,
    runs_alike_twice,
    no_global_randomness,
)


def builds_with_random_parameters(bench: ModelBench) -> Steps:
    """Every valid setting that `accepts` lets pass is built and runs."""
    yield f"built {DRAWS} settings drawn from the annotations"
    change = "say the reason in `accepts`, or narrow the annotation (Field(ge=...))"
    for given in values.draws(bench.cls, Random(1), DRAWS):
        parameters = resolved(bench.cls, given)
        for case in (pair.case for pair in bench.pairings[:2]):
            if why_not(bench.cls, case, parameters) is not None:
                continue
            setting = Pairing(case, bench.cls, parameters)
            try:
                model, batch = setting.network(), setting.sample(2)
                wrong = _trace_mistake(run(model, batch), model, batch, batch.steps)
            except Exception as error:
                yield Mistake(f"{setting} raised {type(error).__name__}: {error}", change)
            if wrong:
                yield Mistake(f"{setting}: {wrong}", change)


def different_seeds_differ(bench: ModelBench) -> Steps:
    """Another seed gives another network, where there is something to train."""
    if not bench.trains:
        yield Skip("a constructed network")
    yield "built the network from two seeds"
    if _same_weights(bench.main.network(0), bench.main.network(1)):
        yield Mistake(
            "all weights are equal", "draw the initial weights at random in the constructor"
        )


def causal_in_time(bench: ModelBench) -> Steps:
    """No output depends on a later input."""
    if issubclass(bench.cls, RecurrentModel) and bench.cls.encodes():
        yield Skip("the driven phase is set at once, by `encode`")
    model, batch = bench.main.network(), bench.main.sample(SEQUENCES)
    if batch.input_steps < 2:
        yield Skip(f"{bench.main.case} has one driven step")
    before = run(model, batch)
    for step in range(1, batch.input_steps):
        inputs = batch.inputs.clone()
        inputs[:, step:] = inputs[:, step:] + 1.0
        after = model.trace(inputs[:, : batch.input_steps], batch.steps)
        moved = (after.outputs - before.outputs)[:, :step].abs().amax((0, 2)) > CLOSE
        if bool(moved.any()):
            yield f"changed the inputs from step {step} on ({bench.main})"
            change = "let step t see inputs up to t: mask what is later"
            yield Mistake(f"the output of step {int(moved.nonzero()[0])} changed", change)
    yield "changed the inputs from each driven step on"


def goes_on_alike(bench: ModelBench) -> Steps:
    """A longer run begins as a shorter one.

    After inputs that never end, a network that goes on with its own outputs needs as many of them
    as there are inputs.
    """
    yield "ran for T and for T + 3 steps"
    for pair in bench.pairings:
        model, batch = pair.network(), pair.sample(SEQUENCES)
        channels, ends = pair.case.task.channels, batch.input_steps < batch.steps
        recurrent = isinstance(model, RecurrentModel)
        if not (recurrent or ends or channels.inputs == channels.outputs):
            continue
        short, long = run(model, batch), run(model, batch, batch.steps + 3)
        if not close(long.outputs[:, : batch.steps], short.outputs):
            change = "let no step depend on how many will follow"
            yield Mistake(f"the first {batch.steps} outputs of {pair} differ", change)


def each_sequence_alone(bench: ModelBench) -> Steps:
    """What a network says of a sequence does not depend on the others of its batch."""
    yield f"ran {SEQUENCES} sequences together and one by one ({bench.main})"
    model, batch = bench.main.network(), bench.main.sample(SEQUENCES)
    whole = run(model, batch).outputs
    for row in range(SEQUENCES):
        alone = model.trace(batch.inputs[row : row + 1, : batch.input_steps], batch.steps).outputs
        if not close(alone[0], whole[row]):
            change = "compute nothing over the batch axis (no batch norm)"
            yield Mistake(f"sequence {row} has other outputs alone", change)


def trace_equals_steps(bench: ModelBench) -> Steps:
    """A recurrent model's own `trace` does what `encode`, `step` and `read` do."""
    if not issubclass(bench.cls, RecurrentModel):
        yield Skip("no recurrent model")
    yield "compared `trace` with encode, step and read, one after the other"
    for pair in bench.pairings:
        model, batch = pair.network(), pair.sample(SEQUENCES)
        assert isinstance(model, RecurrentModel)
        plain = RecurrentModel.trace(model, batch.inputs[:, : batch.input_steps], batch.steps)
        own = run(model, batch)
        if not (close(own.outputs, plain.outputs) and close(own.states, plain.states)):
            change = "leave `trace` to the core, or make it equal"
            yield Mistake(f"{pair} gives other states or outputs", change)


def gradient_reaches_every_parameter(bench: ModelBench) -> Steps:
    """Each parameter moves the loss, on one of the tasks at least."""
    if not bench.trains:
        yield Skip("a constructed network")
    unmoved: set[str] = set()
    for pair in bench.pairings:
        model, batch = pair.network(), pair.sample(16)
        loss = (pair.case.task.loss(run(model, batch, grad=True).outputs, batch) * batch.mask).sum()
        named = dict(model.named_parameters())
        found = torch.autograd.grad(
            loss, list(named.values()), allow_unused=True, materialize_grads=True
        )
        still = {n for n, g in zip(named, found, strict=True) if not bool((g != 0).any())}
        unmoved = still if pair is bench.main else unmoved & still
    yield "took the gradient of the loss with respect to every parameter"
    if unmoved:
        change = "use the parameter in `step` or `read` (no .detach(), no .data), or remove it"
        yield Mistake(f"none reaches {', '.join(sorted(unmoved))}", change)


def moves_to_another_device(bench: ModelBench) -> Steps:
    """Moved to another device, everything it makes is there too."""
    yield "moved the network and its inputs to torch's `meta` device and ran it"
    model, batch = bench.main.network().to("meta"), bench.main.sample(SEQUENCES)
    change = "keep constants as buffers, and make tensors with `inputs.new_zeros(...)`"
    try:
        trace = model.trace(batch.inputs[:, : batch.input_steps].to("meta"), batch.steps)
    except RuntimeError as error:
        if "meta tensors" in str(error) or "data-dependent" in str(error):
            yield Skip("its steps look at values, which `meta` has not")
        yield Mistake(str(error).splitlines()[0], change)
    if trace.outputs.device.type != "meta" or trace.states.device.type != "meta":
        yield Mistake(f"its outputs are on {trace.outputs.device}", change)


def saved_equals_loaded(bench: ModelBench) -> Steps:
    """Parameters and buffers hold all that a network is."""
    yield "saved a network as safetensors and loaded it into one of another seed"
    model, batch = bench.main.network(0), bench.main.sample(SEQUENCES)
    saved = save({k: v.contiguous() for k, v in model.state_dict().items()})
    for other in (bench.main.network(1), bench.main.empty()):
        other.load_state_dict(load(saved))
        if not torch.equal(run(model, batch).outputs, run(other, batch).outputs):
            change = "register what the constructor draws as parameter or buffer"
            yield Mistake("the outputs differ", change)


def run(
    model: SequenceModel, batch: Batch, steps: int | None = None, *, grad: bool = False
) -> Trace:
    """The trace of `batch`, without a gradient unless asked."""
    with torch.set_grad_enabled(grad):
        return model.trace(batch.inputs[:, : batch.input_steps], steps or batch.steps)


def close(first: Tensor | None, second: Tensor | None) -> bool:
    """Equal up to rounding in float64; nothing is close to nothing."""
    if first is None or second is None:
        return first is second
    scale = max(float(second.detach().abs().max()), 1.0) if second.numel() else 1.0
    return bool((first - second).abs().le(CLOSE * scale).all())


def _trace_mistake(trace: Trace, model: SequenceModel, batch: Batch, steps: int) -> str | None:
    """What is wrong with a trace, or None."""
    sequences, outputs = batch.inputs.shape[0], batch.targets.shape[2]
    if tuple(trace.outputs.shape) != (sequences, steps, outputs):
        wanted = (sequences, steps, outputs)
        return f"outputs have shape {tuple(trace.outputs.shape)}, not (B, T, O) = {wanted}"
    if trace.states.ndim != 3 or tuple(trace.states.shape[:2]) != (sequences, steps):
        found = tuple(trace.states.shape)
        return f"states have shape {found}, not (B, T, H) = ({sequences}, {steps}, H)"
    if isinstance(model, RecurrentModel) and trace.states.shape[2] != model.hidden:
        return f"states have {trace.states.shape[2]} units; `hidden` says {model.hidden}"
    if not bool(trace.outputs.isfinite().all()):
        return "the outputs of an untrained network are not finite"
    return None


def _same_weights(first: SequenceModel, second: SequenceModel) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in ours.items())
