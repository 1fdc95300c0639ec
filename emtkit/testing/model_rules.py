"""Rules for architectures."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import torch
from safetensors.torch import load, save
from torch import Tensor

from emtkit.errors import NotApplicable
from emtkit.plugin.architecture import RecurrentModel, SequenceModel, Trace
from emtkit.plugin.task import Batch
from emtkit.testing import values
from emtkit.testing.bench import (
    DRAWS,
    ModelBench,
    Pairing,
    resolved,
    spoken,
    why_not,
)
from emtkit.testing.common_rules import under_global_seed
from emtkit.testing.verdict import Outcome, failed, ok, skipped
from emtkit.train.loop import LoopTier
from emtkit.train.stacked import flatten, stack
from emtkit.train.vmap import VmapTier

SEQUENCES = 3
CLOSE = 1e-8
"""Relative difference, in float64, from which on two results count as different."""


def accepts_says_why(bench: ModelBench) -> Outcome:
    """`accepts` answers None or a sentence for every task; it raises NotApplicable at most."""
    tried = f"asked `accepts` about {len(bench.company.cases)} settings of the installed tasks"
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
                return failed(tried, found, "ask `task.offers` before `task.facts`")
            if reason is not None and not (isinstance(reason, str) and reason.strip()):
                found = f"{setting} gave {reason!r}"
                return failed(tried, found, "return None, or a sentence with the reason")
    return ok(tried)


def finds_a_task(bench: ModelBench) -> Outcome:
    """At least one installed task is accepted with the default parameters."""
    tried = f"offered {len(bench.company.cases)} settings of the installed tasks"
    if bench.pairings:
        return ok(tried)
    values_ = resolved(bench.cls, values.required(bench.cls, Random(0)))
    said = {why_not(bench.cls, case, values_) for case in bench.company.cases}
    change = "if it needs a task of your own, check both files together"
    return failed(tried, "; ".join(sorted(str(reason) for reason in said)), change)


def builds_with_defaults(bench: ModelBench) -> Outcome:
    """The default network is built, and has parameters if and only if it says that it trains."""
    tried = f"built {bench.main}"
    model = bench.main.network()
    trains, some = bench.cls.trains(bench.main.parameters), bool(list(model.parameters()))
    if trains and not some:
        change = "answer False in `trains`, or make the weights nn.Parameter"
        return failed(tried, "it says that it trains and has no parameter", change)
    if some and not trains:
        change = "register the weights of a constructed network as buffers"
        return failed(tried, "it says that it does not train and has parameters", change)
    return ok(tried)


def trace_shapes(bench: ModelBench) -> Outcome:
    """States are B T H and outputs B T O, also where the last step is driven; all are finite."""
    for pair in bench.pairings:
        batch, model = pair.heard(SEQUENCES), pair.network()
        for steps in {batch.driven, batch.steps}:
            tried = f"ran {pair} for {steps} steps, {batch.driven} of them driven"
            trace = _run(model, batch, steps)
            if wrong := _trace_mistake(trace, model, batch, steps):
                return failed(tried, wrong, "return Trace(states B T H, outputs B T O)")
    return ok("ran the network on tasks of every kind that it accepts")


def moves_to_another_dtype(bench: ModelBench) -> Outcome:
    """After `.double()` it computes in float64, after `.float()` in float32."""
    tried = "moved the network to float32 and float64 and ran it"
    change = "keep constants as buffers, and make tensors with `state.new_zeros(...)`"
    for dtype in (torch.float32, torch.float64):
        model = bench.main.network(dtype=dtype)
        try:
            trace = _run(model, bench.main.heard(SEQUENCES, dtype))
        except RuntimeError as error:
            return failed(tried, f"in {dtype}: {error}", change)
        if (trace.states.dtype, trace.outputs.dtype) != (dtype, dtype):
            found = f"in {dtype} it gave {trace.states.dtype} and {trace.outputs.dtype}"
            return failed(tried, found, change)
    return ok(tried)


def builds_with_random_parameters(bench: ModelBench) -> Outcome:
    """Every valid setting that `accepts` lets pass is built and runs."""
    tried = f"built {DRAWS} settings drawn from the annotations"
    change = "say the reason in `accepts`, or narrow the annotation (Field(ge=...))"
    for given in values.draws(bench.cls, Random(1), DRAWS):
        parameters = resolved(bench.cls, given)
        for pair in bench.pairings[:2]:
            case = pair.case
            if why_not(bench.cls, case, parameters) is not None:
                continue
            setting = Pairing(case, bench.cls, parameters)
            try:
                model = setting.network()
                batch = setting.heard(2)
                wrong = _trace_mistake(_run(model, batch), model, batch, batch.steps)
            except Exception as error:
                return failed(tried, f"{setting} raised {type(error).__name__}: {error}", change)
            if wrong:
                return failed(tried, f"{setting}: {wrong}", change)
    return ok(tried)


def equal_seeds_equal_networks(bench: ModelBench) -> Outcome:
    """The seeded generator of torch alone decides the initial weights."""
    tried = "built the network twice from one seed"
    first, second = (under_global_seed(5, bench.main.network)[0] for _ in range(2))
    if not _same_weights(first, second):
        change = "draw weights from torch's own generator (nn.init, torch.rand), nothing else"
        return failed(tried, "the weights differ", change)
    return ok(tried)


def different_seeds_differ(bench: ModelBench) -> Outcome:
    """Another seed gives another network, where there is something to train."""
    tried = "built the network from two seeds"
    if not bench.cls.trains(bench.main.parameters):
        return skipped("a constructed network")
    if _same_weights(bench.main.network(0), bench.main.network(1)):
        change = "draw the initial weights at random in the constructor"
        return failed(tried, "all weights are equal", change)
    return ok(tried)


def no_global_randomness(bench: ModelBench) -> Outcome:
    """Running draws nothing, and building draws from torch's generator alone."""
    batch = bench.main.heard(SEQUENCES)
    model, moved = under_global_seed(0, bench.main.network)
    tried = "built and ran the network and watched torch, numpy.random and random"
    if moved:
        change = "draw from torch's generator alone, which the core seeds"
        return failed(tried, f"building moved the generator of {', '.join(moved)}", change)
    trace, moved = under_global_seed(0, lambda: _run(model, batch))
    again, _ = under_global_seed(1, lambda: _run(model, batch))
    if moved or not torch.equal(trace.outputs, again.outputs):
        change = "let nothing be drawn in `step`, `read` and `trace` (no dropout, no noise)"
        return failed(tried, "running depends on, or moves, a global generator", change)
    return ok(tried)


def runs_alike_twice(bench: ModelBench) -> Outcome:
    """A network keeps nothing from one run to the next."""
    tried = "ran one network twice on the same sequences"
    model, batch = bench.main.network(), bench.main.heard(SEQUENCES)
    first, second = (under_global_seed(0, lambda: _run(model, batch))[0].outputs for _ in range(2))
    if not torch.equal(first, second):
        change = "keep the state in the tensor that `step` is given, not on `self`"
        return failed(tried, "the outputs differ", change)
    return ok(tried)


def causal_in_time(bench: ModelBench) -> Outcome:
    """No output depends on a later input."""
    pair = bench.main
    if issubclass(bench.cls, RecurrentModel) and bench.cls.encodes():
        return skipped("the driven phase is set at once, by `encode`")
    model, batch = pair.network(), pair.heard(SEQUENCES)
    if batch.driven < 2:
        return skipped(f"{pair.case} has one driven step")
    before = _run(model, batch)
    for step in range(1, batch.driven):
        inputs = batch.inputs.clone()
        inputs[:, step:] = inputs[:, step:] + 1.0
        after = model.trace(inputs[:, : batch.driven], batch.steps)
        moved = (after.outputs - before.outputs)[:, :step].abs().amax((0, 2))
        if bool((moved > CLOSE).any()):
            first = int(moved.gt(CLOSE).nonzero()[0])
            tried = f"changed the inputs from step {step} on ({pair})"
            change = "let step t see inputs up to t: mask what is later"
            return failed(tried, f"the output of step {first} changed", change)
    return ok("changed the inputs from each driven step on")


def goes_on_alike(bench: ModelBench) -> Outcome:
    """A longer run begins as a shorter one."""
    tried = "ran for T and for T + 3 steps"
    for pair in bench.pairings:
        model, batch = pair.network(), pair.heard(SEQUENCES)
        short, long = _run(model, batch), _run(model, batch, batch.steps + 3)
        if not _close(long.outputs[:, : batch.steps], short.outputs):
            change = "let no step depend on how many will follow"
            return failed(tried, f"the first {batch.steps} outputs of {pair} differ", change)
    return ok(tried)


def each_sequence_alone(bench: ModelBench) -> Outcome:
    """What a network says of a sequence does not depend on the others of its batch."""
    tried = f"ran {SEQUENCES} sequences together and one by one ({bench.main})"
    model, batch = bench.main.network(), bench.main.heard(SEQUENCES)
    whole = _run(model, batch).outputs
    for row in range(SEQUENCES):
        alone = model.trace(batch.inputs[row : row + 1, : batch.driven], batch.steps).outputs
        if not _close(alone[0], whole[row]):
            change = "compute nothing over the batch axis (no batch norm)"
            return failed(tried, f"sequence {row} has other outputs alone", change)
    return ok(tried)


def trace_equals_steps(bench: ModelBench) -> Outcome:
    """A recurrent model's own `trace` does what `encode`, `step` and `read` do."""
    if not issubclass(bench.cls, RecurrentModel):
        return skipped("no recurrent model")
    tried = "compared `trace` with encode, step and read, one after the other"
    for pair in bench.pairings:
        model, batch = pair.network(), pair.heard(SEQUENCES)
        assert isinstance(model, RecurrentModel)
        plain = RecurrentModel.trace(model, batch.inputs[:, : batch.driven], batch.steps)
        own = _run(model, batch)
        if not (_close(own.outputs, plain.outputs) and _close(own.states, plain.states)):
            change = "leave `trace` to the core, or make it equal"
            return failed(tried, f"{pair} gives other states or outputs", change)
    return ok(tried)


def gradient_reaches_every_parameter(bench: ModelBench) -> Outcome:
    """Each parameter moves the loss, on one of the tasks at least."""
    if not bench.cls.trains(bench.main.parameters):
        return skipped("a constructed network")
    unmoved: set[str] = set()
    for pair in bench.pairings:
        model, batch = pair.network(), pair.heard(16)
        loss = (
            pair.case.task.loss(_run(model, batch, grad=True).outputs, batch) * batch.mask
        ).sum()
        named = dict(model.named_parameters())
        found = torch.autograd.grad(
            loss, list(named.values()), allow_unused=True, materialize_grads=True
        )
        still = {n for n, g in zip(named, found, strict=True) if not bool((g != 0).any())}
        unmoved = still if pair is bench.main else unmoved & still
    tried = "took the gradient of the loss with respect to every parameter"
    if unmoved:
        change = "use the parameter in `step` or `read` (no .detach(), no .data), or remove it"
        return failed(tried, f"none reaches {', '.join(sorted(unmoved))}", change)
    return ok(tried)


def loop_equals_vmap(bench: ModelBench) -> Outcome:
    """Stacked networks give the losses and gradients of single ones, in float64."""
    pair = bench.main
    models = [pair.network(seed) for seed in range(3)]
    tasks = [pair.case.task] * 3
    stacked = stack(models, tasks, [""] * 3)
    flat = torch.stack([flatten(model) for model in models])
    one = pair.heard(4)
    inputs, targets = (torch.stack([value] * 3) for value in (one.inputs, one.targets))
    batch = Batch(inputs, targets, torch.stack([one.mask] * 3), one.driven)
    tried = f"ran three networks one by one and at once ({pair})"
    change = "write `step` so that it does the same under torch.func.vmap"
    if not bench.cls.trains(pair.parameters):
        alone = LoopTier().outputs(stacked, flat, batch)
        same = _close(VmapTier().outputs(stacked, flat, batch), alone)
        return ok(tried) if same else failed(tried, "the outputs differ", change)
    loop = LoopTier().gradients(stacked, flat, batch, batch.mask)
    try:
        vmap = VmapTier().gradients(stacked, flat, batch, batch.mask)
    except RuntimeError as error:
        why = str(error).splitlines()[0]
        return skipped(f"it has no vmap rule and trains one by one ({why})")
    if not _close(vmap.outputs, loop.outputs):
        return failed(tried, "the outputs differ", change)
    if not _close(vmap.gradients, loop.gradients):
        return failed(tried, "the gradients differ", change)
    return ok(tried)


def moves_to_another_device(bench: ModelBench) -> Outcome:
    """Moved to another device, everything it makes is there too."""
    tried = "moved the network and its inputs to torch's `meta` device and ran it"
    model = bench.main.network().to("meta")
    batch = bench.main.heard(SEQUENCES)
    change = "keep constants as buffers, and make tensors with `inputs.new_zeros(...)`"
    try:
        trace = model.trace(batch.inputs[:, : batch.driven].to("meta"), batch.steps)
    except RuntimeError as error:
        if "meta tensors" in str(error) or "data-dependent" in str(error):
            return skipped("its steps look at values, which `meta` has not")
        return failed(tried, str(error).splitlines()[0], change)
    if trace.outputs.device.type != "meta" or trace.states.device.type != "meta":
        return failed(tried, f"its outputs are on {trace.outputs.device}", change)
    return ok(tried)


def saved_equals_loaded(bench: ModelBench) -> Outcome:
    """Parameters and buffers hold all that a network is."""
    tried = "saved a network as safetensors and loaded it into one of another seed"
    model, other = bench.main.network(0), bench.main.network(1)
    weights = {k: v.contiguous() for k, v in model.state_dict().items()}
    other.load_state_dict(load(save(weights)))
    batch = bench.main.heard(SEQUENCES)
    if not torch.equal(_run(model, batch).outputs, _run(other, batch).outputs):
        change = "register what the constructor draws as parameter or buffer"
        return failed(tried, "the outputs differ", change)
    return ok(tried)


def facts_are_answered(bench: ModelBench) -> Outcome:
    """Every offered fact is answered by a record of that type, or does not apply, with a reason."""
    tried = "asked for every fact of `offers`: " + (
        ", ".join(kind.__name__ for kind in bench.cls.offers) or "none"
    )
    for pair in bench.pairings:
        for kind in bench.cls.offers:
            try:
                fact = pair.network().facts(kind)
            except NotApplicable:
                continue
            if not isinstance(fact, kind):
                found = f"{pair} answers {kind.__name__} with a {type(fact).__name__}"
                return failed(tried, found, "answer every type of `offers` in `facts`")
    return ok(tried)


MODEL_GATES: tuple[Callable[[ModelBench], Outcome], ...] = (
    accepts_says_why,
    finds_a_task,
    builds_with_defaults,
    moves_to_another_dtype,
    trace_shapes,
)


def _run(
    model: SequenceModel, batch: Batch, steps: int | None = None, *, grad: bool = False
) -> Trace:
    with torch.set_grad_enabled(grad):
        return model.trace(batch.inputs[:, : batch.driven], steps or batch.steps)


def _trace_mistake(trace: Trace, model: SequenceModel, batch: Batch, steps: int) -> str | None:
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


def _close(first: Tensor, second: Tensor) -> bool:
    scale = max(float(second.detach().abs().max()), 1.0) if second.numel() else 1.0
    return bool((first - second).abs().le(CLOSE * scale).all())
