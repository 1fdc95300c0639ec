"""The first rules for architectures: the others depend on them."""

from collections.abc import Callable
from random import Random

import torch
from torch import Tensor

from emtkit.errors import NotApplicable
from emtkit.plugin.architecture import RecurrentModel, SequenceModel, Trace
from emtkit.plugin.task import Batch
from emtkit.testing import values
from emtkit.testing.bench import (
    ModelBench,
    resolved,
    spoken,
    why_not,
)
from emtkit.testing.common_rules import under_global_seed
from emtkit.testing.rule import RuleOutcome, failed, ok

SEQUENCES = 3
CLOSE = 1e-8
"""Relative difference, in float64, from which on two results count as different."""


def accepts_says_why(bench: ModelBench) -> RuleOutcome:
    """`accepts` answers None or a sentence for every task; it raises NotApplicable at most."""
    tried = f"called `accepts` on {len(bench.company.cases)} settings of the installed tasks"
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


def finds_a_task(bench: ModelBench) -> RuleOutcome:
    """At least one installed task is accepted with the default parameters."""
    tried = f"offered {len(bench.company.cases)} settings of the installed tasks"
    if bench.pairings:
        return ok(tried)
    values_ = resolved(bench.cls, values.required(bench.cls, Random(0)))
    reasons = {why_not(bench.cls, case, values_) for case in bench.company.cases}
    change = "if it needs a task of your own, check both files together"
    return failed(tried, "; ".join(sorted(str(reason) for reason in reasons)), change)


def builds_with_defaults(bench: ModelBench) -> RuleOutcome:
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


def trace_shapes(bench: ModelBench) -> RuleOutcome:
    """States are B T H and outputs B T O, also where the last step is driven; all are finite."""
    for pair in bench.pairings:
        batch, model = pair.sample(SEQUENCES), pair.network()
        for steps in {batch.input_steps, batch.steps}:
            tried = f"ran {pair} for {steps} steps, {batch.input_steps} of them driven"
            trace = run(model, batch, steps)
            if wrong := trace_mistake(trace, model, batch, steps):
                return failed(tried, wrong, "return Trace(states B T H, outputs B T O)")
    return ok("ran the network on tasks of every kind that it accepts")


def moves_to_another_dtype(bench: ModelBench) -> RuleOutcome:
    """After `.double()` it computes in float64, after `.float()` in float32."""
    tried = "moved the network to float32 and float64 and ran it"
    change = "keep constants as buffers, and make tensors with `state.new_zeros(...)`"
    for dtype in (torch.float32, torch.float64):
        model = bench.main.network(dtype=dtype)
        try:
            trace = run(model, bench.main.sample(SEQUENCES, dtype))
        except RuntimeError as error:
            return failed(tried, f"in {dtype}: {error}", change)
        if (trace.states.dtype, trace.outputs.dtype) != (dtype, dtype):
            found = f"in {dtype} it gave {trace.states.dtype} and {trace.outputs.dtype}"
            return failed(tried, found, change)
    return ok(tried)


def equal_seeds_equal_networks(bench: ModelBench) -> RuleOutcome:
    """The seeded generator of torch alone decides the initial weights."""
    tried = "built the network twice from one seed"
    first, second = (under_global_seed(5, bench.main.network)[0] for _ in range(2))
    if not same_weights(first, second):
        change = "draw weights from torch's own generator (nn.init, torch.rand), nothing else"
        return failed(tried, "the weights differ", change)
    return ok(tried)


def runs_alike_twice(bench: ModelBench) -> RuleOutcome:
    """A network keeps nothing from one run to the next."""
    tried = "ran one network twice on the same sequences"
    model, batch = bench.main.network(), bench.main.sample(SEQUENCES)
    first, second = (under_global_seed(0, lambda: run(model, batch))[0].outputs for _ in range(2))
    if not torch.equal(first, second):
        change = "keep the state in the tensor that `step` is given, not on `self`"
        return failed(tried, "the outputs differ", change)
    return ok(tried)


def no_global_randomness(bench: ModelBench) -> RuleOutcome:
    """Running draws nothing, and building draws from torch's generator alone."""
    batch = bench.main.sample(SEQUENCES)
    model, moved = under_global_seed(0, bench.main.network)
    tried = "built and ran the network and watched torch, numpy.random and random"
    if moved:
        change = "draw from torch's generator alone, which the core seeds"
        return failed(tried, f"building moved the generator of {', '.join(moved)}", change)
    trace, moved = under_global_seed(0, lambda: run(model, batch))
    again, _ = under_global_seed(1, lambda: run(model, batch))
    if moved or not torch.equal(trace.outputs, again.outputs):
        change = "let nothing be drawn in `step`, `read` and `trace` (no dropout, no noise)"
        return failed(tried, "running depends on, or moves, a global generator", change)
    return ok(tried)


MODEL_GATES: tuple[Callable[[ModelBench], RuleOutcome], ...] = (
    accepts_says_why,
    finds_a_task,
    builds_with_defaults,
    moves_to_another_dtype,
    trace_shapes,
    equal_seeds_equal_networks,
    runs_alike_twice,
    no_global_randomness,
)


def run(
    model: SequenceModel, batch: Batch, steps: int | None = None, *, grad: bool = False
) -> Trace:
    """The trace of `batch`, without a gradient unless asked."""
    with torch.set_grad_enabled(grad):
        return model.trace(batch.inputs[:, : batch.input_steps], steps or batch.steps)


def trace_mistake(trace: Trace, model: SequenceModel, batch: Batch, steps: int) -> str | None:
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


def same_weights(first: SequenceModel, second: SequenceModel) -> bool:
    """Whether two networks hold the same bits."""
    ours, theirs = first.state_dict(), second.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in ours.items())


def close(first: Tensor | None, second: Tensor | None) -> bool:
    """Equal up to rounding in float64; nothing is close to nothing."""
    if first is None or second is None:
        return first is second
    scale = max(float(second.detach().abs().max()), 1.0) if second.numel() else 1.0
    return bool((first - second).abs().le(CLOSE * scale).all())
