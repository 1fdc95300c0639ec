"""Rules for architectures."""

from random import Random

import torch
from safetensors.torch import load, save

from emtkit.errors import NotApplicable
from emtkit.plugin.architecture import RecurrentModel
from emtkit.plugin.task import Batch
from emtkit.testing import values
from emtkit.testing.bench import (
    DRAWS,
    ModelBench,
    Pairing,
    resolved,
    why_not,
)
from emtkit.testing.model_gates import CLOSE, SEQUENCES, close, run, same_weights, trace_mistake
from emtkit.testing.rule import RuleOutcome, failed, ok, skipped
from emtkit.train.stack import flatten, stack
from emtkit.train.tiers.loop import LoopTier
from emtkit.train.tiers.vmap import VmapTier


def builds_with_random_parameters(bench: ModelBench) -> RuleOutcome:
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
                batch = setting.sample(2)
                wrong = trace_mistake(run(model, batch), model, batch, batch.steps)
            except Exception as error:
                return failed(tried, f"{setting} raised {type(error).__name__}: {error}", change)
            if wrong:
                return failed(tried, f"{setting}: {wrong}", change)
    return ok(tried)


def different_seeds_differ(bench: ModelBench) -> RuleOutcome:
    """Another seed gives another network, where there is something to train."""
    tried = "built the network from two seeds"
    if not bench.cls.trains(bench.main.parameters):
        return skipped("a constructed network")
    if same_weights(bench.main.network(0), bench.main.network(1)):
        change = "draw the initial weights at random in the constructor"
        return failed(tried, "all weights are equal", change)
    return ok(tried)


def causal_in_time(bench: ModelBench) -> RuleOutcome:
    """No output depends on a later input."""
    pair = bench.main
    if issubclass(bench.cls, RecurrentModel) and bench.cls.encodes():
        return skipped("the driven phase is set at once, by `encode`")
    model, batch = pair.network(), pair.sample(SEQUENCES)
    if batch.input_steps < 2:
        return skipped(f"{pair.case} has one driven step")
    before = run(model, batch)
    for step in range(1, batch.input_steps):
        inputs = batch.inputs.clone()
        inputs[:, step:] = inputs[:, step:] + 1.0
        after = model.trace(inputs[:, : batch.input_steps], batch.steps)
        moved = (after.outputs - before.outputs)[:, :step].abs().amax((0, 2))
        if bool((moved > CLOSE).any()):
            first = int(moved.gt(CLOSE).nonzero()[0])
            tried = f"changed the inputs from step {step} on ({pair})"
            change = "let step t see inputs up to t: mask what is later"
            return failed(tried, f"the output of step {first} changed", change)
    return ok("changed the inputs from each driven step on")


def goes_on_alike(bench: ModelBench) -> RuleOutcome:
    """A longer run begins as a shorter one."""
    tried = "ran for T and for T + 3 steps"
    for pair in bench.pairings:
        model, batch = pair.network(), pair.sample(SEQUENCES)
        short, long = run(model, batch), run(model, batch, batch.steps + 3)
        if not close(long.outputs[:, : batch.steps], short.outputs):
            change = "let no step depend on how many will follow"
            return failed(tried, f"the first {batch.steps} outputs of {pair} differ", change)
    return ok(tried)


def each_sequence_alone(bench: ModelBench) -> RuleOutcome:
    """What a network says of a sequence does not depend on the others of its batch."""
    tried = f"ran {SEQUENCES} sequences together and one by one ({bench.main})"
    model, batch = bench.main.network(), bench.main.sample(SEQUENCES)
    whole = run(model, batch).outputs
    for row in range(SEQUENCES):
        alone = model.trace(batch.inputs[row : row + 1, : batch.input_steps], batch.steps).outputs
        if not close(alone[0], whole[row]):
            change = "compute nothing over the batch axis (no batch norm)"
            return failed(tried, f"sequence {row} has other outputs alone", change)
    return ok(tried)


def trace_equals_steps(bench: ModelBench) -> RuleOutcome:
    """A recurrent model's own `trace` does what `encode`, `step` and `read` do."""
    if not issubclass(bench.cls, RecurrentModel):
        return skipped("no recurrent model")
    tried = "compared `trace` with encode, step and read, one after the other"
    for pair in bench.pairings:
        model, batch = pair.network(), pair.sample(SEQUENCES)
        assert isinstance(model, RecurrentModel)
        plain = RecurrentModel.trace(model, batch.inputs[:, : batch.input_steps], batch.steps)
        own = run(model, batch)
        if not (close(own.outputs, plain.outputs) and close(own.states, plain.states)):
            change = "leave `trace` to the core, or make it equal"
            return failed(tried, f"{pair} gives other states or outputs", change)
    return ok(tried)


def gradient_reaches_every_parameter(bench: ModelBench) -> RuleOutcome:
    """Each parameter moves the loss, on one of the tasks at least."""
    if not bench.cls.trains(bench.main.parameters):
        return skipped("a constructed network")
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
    tried = "took the gradient of the loss with respect to every parameter"
    if unmoved:
        change = "use the parameter in `step` or `read` (no .detach(), no .data), or remove it"
        return failed(tried, f"none reaches {', '.join(sorted(unmoved))}", change)
    return ok(tried)


def loop_equals_vmap(bench: ModelBench) -> RuleOutcome:
    """Stacked networks give the losses and gradients of single ones, in float64."""
    pair = bench.main
    models = [pair.network(seed) for seed in range(3)]
    tasks = [pair.case.task] * 3
    stacked = stack(models, tasks, [""] * 3)
    flat = torch.stack([flatten(model) for model in models])
    one = pair.sample(4)
    inputs, targets = (torch.stack([value] * 3) for value in (one.inputs, one.targets))
    batch = Batch(inputs, targets, torch.stack([one.mask] * 3), one.input_steps)
    tried = f"ran three networks one by one and at once ({pair})"
    change = "write `step` so that it does the same under torch.func.vmap"
    if not bench.cls.trains(pair.parameters):
        alone = LoopTier().outputs(stacked, flat, batch)
        same = close(VmapTier().outputs(stacked, flat, batch), alone)
        return ok(tried) if same else failed(tried, "the outputs differ", change)
    loop = LoopTier().gradients(stacked, flat, batch, batch.mask)
    try:
        vmap = VmapTier().gradients(stacked, flat, batch, batch.mask)
    except RuntimeError as error:
        why = str(error).splitlines()[0]
        return skipped(f"it has no vmap rule and trains one by one ({why})")
    if not close(
        VmapTier().outputs(stacked, flat, batch), LoopTier().outputs(stacked, flat, batch)
    ):
        return failed(tried, "the outputs differ", change)
    if not close(vmap.gradients, loop.gradients):
        return failed(tried, "the gradients differ", change)
    return ok(tried)


def moves_to_another_device(bench: ModelBench) -> RuleOutcome:
    """Moved to another device, everything it makes is there too."""
    tried = "moved the network and its inputs to torch's `meta` device and ran it"
    model = bench.main.network().to("meta")
    batch = bench.main.sample(SEQUENCES)
    change = "keep constants as buffers, and make tensors with `inputs.new_zeros(...)`"
    try:
        trace = model.trace(batch.inputs[:, : batch.input_steps].to("meta"), batch.steps)
    except RuntimeError as error:
        if "meta tensors" in str(error) or "data-dependent" in str(error):
            return skipped("its steps look at values, which `meta` has not")
        return failed(tried, str(error).splitlines()[0], change)
    if trace.outputs.device.type != "meta" or trace.states.device.type != "meta":
        return failed(tried, f"its outputs are on {trace.outputs.device}", change)
    return ok(tried)


def saved_equals_loaded(bench: ModelBench) -> RuleOutcome:
    """Parameters and buffers hold all that a network is."""
    tried = "saved a network as safetensors and loaded it into one of another seed"
    model, other = bench.main.network(0), bench.main.network(1)
    weights = {k: v.contiguous() for k, v in model.state_dict().items()}
    other.load_state_dict(load(save(weights)))
    batch = bench.main.sample(SEQUENCES)
    if not torch.equal(run(model, batch).outputs, run(other, batch).outputs):
        change = "register what the constructor draws as parameter or buffer"
        return failed(tried, "the outputs differ", change)
    return ok(tried)


def facts_are_answered(bench: ModelBench) -> RuleOutcome:
    """Every offered fact is answered by a record of that type, or does not apply, with a reason."""
    tried = "asked for every fact of `offers`: " + (
        ", ".join(kind.__name__ for kind in bench.cls.offers) or "none"
    )
    for pair in bench.pairings:
        for kind in bench.cls.offers:
            try:
                fact: object = pair.network().facts(kind)
            except NotApplicable:
                continue
            if not isinstance(fact, kind):
                found = f"{pair} answers {kind.__name__} with a {type(fact).__name__}"
                return failed(tried, found, "answer every type of `offers` in `facts`")
    return ok(tried)
