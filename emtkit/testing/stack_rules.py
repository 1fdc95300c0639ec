"""The rules that need more than a network: stacks of cells that train as alone, and Jacobians."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import torch
from torch import Tensor

from emtkit.dynamics.linearise import state_jacobians
from emtkit.plugin.architecture import RecurrentModel, SequenceModel
from emtkit.plugin.task import Batch
from emtkit.study.cells import Cell, PluginConfig, digest
from emtkit.study.settings import Training
from emtkit.testing import model_rules as rules
from emtkit.testing import values
from emtkit.testing.bench import Case, ModelBench, Pairing, try_case, why_not
from emtkit.testing.common_rules import facts_are_answered
from emtkit.testing.model_rules import SEQUENCES, close, run
from emtkit.testing.rule import Mistake, Skip, Steps
from emtkit.train.grouping import group, inspect_shape, tier_named
from emtkit.train.stack import flatten, stack
from emtkit.train.tiers.dense import DenseTier
from emtkit.train.tiers.loop import LoopTier
from emtkit.train.tiers.vmap import VmapTier
from emtkit.train.trainer import Trainer

TRAINING = Training(steps=3, batch=4, dtype="float64")
BATCHES = (*range(1, 10), 15, 16, 17, 31, 32, 33, 47, 63, 64, 65)
"""Sizes of a batch at which bits are compared: odd ones, and around whole vectors."""


def loop_equals_vmap(bench: ModelBench) -> Steps:
    """Stacked networks give the losses and gradients of single ones, in float64."""
    pair = bench.main
    yield f"ran three networks one by one and at once ({pair})"
    models = [pair.network(seed) for seed in range(3)]
    batch = _joined([pair.sample(4)] * 3)
    given = stack(models, [pair.case.task] * 3, [""] * 3), _flat(models), batch
    change = "write `step` so that it does the same under torch.func.vmap"
    gradients: list[Tensor] = []
    if bench.trains:
        loop = LoopTier().gradients(*given, batch.scored_steps)
        try:
            vmap = VmapTier().gradients(*given, batch.scored_steps)
        except RuntimeError as error:
            why = str(error).splitlines()[0]
            yield Skip(f"it has no vmap rule and trains one by one ({why})")
        gradients = [vmap.gradients, loop.gradients]
    if not close(VmapTier().outputs(*given), LoopTier().outputs(*given)):
        yield Mistake("the outputs differ", change)
    if gradients and not close(*gradients):
        yield Mistake("the gradients differ", change)


def stacked_equals_alone(bench: ModelBench) -> Steps:
    """Cells that differ in every task parameter come out of one stack as each does alone."""
    looked = 0
    for pair in bench.pairings:
        pairs = [Pairing(case, bench.cls, pair.parameters) for case in _variants(bench, pair)]
        looked += len(pairs) > 1
        results = _trained if bench.cls.trains(pair.parameters) else _constructed
        for variant, (together, alone) in zip(pairs, results(bench, pairs), strict=True):
            if not torch.allclose(together, alone, rtol=1e-8, atol=1e-10, equal_nan=True):
                yield f"stacked {len(pairs)} cells, among them {variant}"
                change = "register whatever the constructor takes from the task as a buffer"
                yield Mistake("in the stack it became another network", change)
    if not looked:
        yield Skip("no task that it accepts has two settings of equal shapes")
    yield "stacked cells that differ in every task parameter, and ran each alone"


def same_bits_at_every_place(bench: ModelBench) -> Steps:
    """A network gets the same bits alone, in two, and at every place of a stack of any size."""
    pair, name = bench.main, LoopTier.name  # constructed networks are not stacked to be trained
    if bench.trains:
        cell = _cell(pair)
        training = cell.training.model_copy(update={"dtype": "float32"})
        name = inspect_shape(replace(cell, training=training), bench.company.registry).tier
    tier = tier_named(name)
    models = [pair.network(seed, torch.float32) for seed in range(7)]
    whole, flat = stack(models, [pair.case.task] * 7, [""] * 7), _flat(models)
    for size in BATCHES:
        heard = [pair.sample(size, torch.float32, seed) for seed in range(7)]

        def bits(*rows: int, heard: list[Batch] = heard) -> list[bytes]:
            batch = _joined([heard[row] for row in rows])
            given = whole.take(rows), flat[list(rows)], batch
            if bench.trains:
                step = tier.gradients(*given, batch.scored_steps)
                found = [step.steps, step.gradients]
            else:
                found = [tier.outputs(*given)]
            return [b"".join(f[at].numpy().tobytes() for f in found) for at in range(len(rows))]

        order = [(size + place) % 7 for place in range(2 + size % 6)]
        there, back, two = bits(*order), bits(*order[::-1]), bits(order[0], order[0])
        if there != back[::-1] or two != [there[0]] * 2:
            yield f"computed {len(order)} networks in one stack, in reverse, and one twice"
            yield Mistake(
                f"{pair}, batch {size}: one network has other bits at another place",
                "use operations that torch can stack by itself, without a vmap rule of your own",
            )
    yield "computed stacks of 2 to 7 networks in both orders, 19 batch sizes from 1 to 65"


def jacobian_is_the_derivative(bench: ModelBench) -> Steps:
    """A recurrent model's own `jacobian` is the derivative of its step."""
    if not issubclass(bench.cls, RecurrentModel):
        yield Skip("no recurrent model")
    elif bench.cls.jacobian is RecurrentModel.jacobian:
        yield Skip("it leaves the Jacobian to differentiation")
    yield "compared `jacobian` with the derivative of `step` at random states"
    for pair in bench.pairings:
        model = pair.network()
        assert isinstance(model, RecurrentModel)
        heard = pair.sample(SEQUENCES).inputs[:, 0]
        # fixed numbers away from zero, where an activation may have a kink
        state = torch.linspace(-1.3, 1.1, heard.shape[0] * model.hidden, dtype=heard.dtype)
        state = state.reshape(heard.shape[0], -1)
        own = model.jacobian(state, heard)
        derived = state_jacobians(model.step, state, heard)
        if own is not None and not torch.allclose(own, derived, rtol=1e-9, atol=1e-12):
            yield Mistake(f"{pair} has another derivative", "correct it, or leave it out")


def kernel_equals_plain(bench: ModelBench) -> Steps:
    """A kernel, or the form of a simple recurrence, gives what the plain network gives."""
    looked = False
    yield "took gradients by hand and by autograd, in float64 and float32"
    for pair in (*bench.pairings, *bench.others):
        models = [pair.network(seed) for seed in range(3)]
        refusal = DenseTier.refusal(models[0], pair.case.task, TRAINING)
        if refusal is not None or not bench.cls.trains(pair.parameters):
            continue
        looked = True
        stacked, flat = stack(models, [pair.case.task] * 3, [""] * 3), _flat(models)
        batch = _joined([pair.sample(5)] * 3)
        for dtype, limit in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
            masks = batch.mask.to(dtype)
            cast = Batch(batch.inputs.to(dtype), batch.targets.to(dtype), masks, batch.input_steps)
            given = (stacked.cast(dtype), flat.to(dtype), cast, cast.scored_steps)
            hand, plain = (tier.gradients(*given) for tier in (DenseTier(), VmapTier()))
            far = (hand.gradients - plain.gradients).norm() / (plain.gradients.norm() + 1e-30)
            if not float(far) < limit:
                change = "correct the kernel (or `simple_form`), or leave it out"
                yield Mistake(
                    f"{pair}: the gradients differ by {float(far):.1e} in {dtype}", change
                )
    if not looked:
        yield Skip("it trains by its plain `step`")


MODEL_RULES: tuple[Callable[[ModelBench], Steps], ...] = (
    rules.builds_with_random_parameters,
    rules.different_seeds_differ,
    rules.causal_in_time,
    rules.goes_on_alike,
    rules.each_sequence_alone,
    rules.trace_equals_steps,
    jacobian_is_the_derivative,
    rules.gradient_reaches_every_parameter,
    loop_equals_vmap,
    kernel_equals_plain,
    stacked_equals_alone,
    same_bits_at_every_place,
    rules.moves_to_another_device,
    rules.saved_equals_loaded,
    facts_are_answered,
)


def _joined(batches: Sequence[Batch]) -> Batch:
    """The batches of M networks as one, with a leading M."""
    parts = zip(*((b.inputs, b.targets, b.mask) for b in batches), strict=True)
    inputs, targets, masks = map(torch.stack, parts)
    return Batch(inputs, targets, masks, batches[0].input_steps)


def _flat(models: Sequence[SequenceModel]) -> Tensor:
    return torch.stack([flatten(model) for model in models])


def _variants(bench: ModelBench, pair: Pairing) -> list[Case]:
    """The pair's task, and settings of it with one parameter changed that stack with it."""
    found = [pair.case]
    shapes = _shapes(pair)
    for given in values.one_by_one(type(pair.case.task), pair.case.parameters, Random(4), 2):
        case = try_case(type(pair.case.task), given)
        if case is None or why_not(bench.cls, case, pair.parameters) is not None:
            continue
        if _shapes(Pairing(case, bench.cls, pair.parameters)) == shapes:
            found.append(case)
    return found


def _shapes(pair: Pairing) -> list[object]:
    weights = [(name, value.shape) for name, value in pair.network().state_dict().items()]
    return [pair.case.shapes, weights]


def _trained(bench: ModelBench, pairs: list[Pairing]) -> list[tuple[Tensor, Tensor]]:
    """Weights (P) of each cell after a few iterations, in one stack and alone."""
    cells = [_cell(pair) for pair in pairs]
    tier = tier_named(group(cells[:1], bench.company.registry)[0].tier)

    def weights(chosen: list[Cell]) -> list[Tensor]:
        trainer = Trainer(bench.company.registry, chosen, tier)
        trainer.run()
        return [row.parameters for row in trainer.rows]

    alone = [weights([cell])[0] for cell in cells]
    return list(zip(weights(cells), alone, strict=True))


def _constructed(bench: ModelBench, pairs: list[Pairing]) -> list[tuple[Tensor, Tensor]]:
    """Outputs (B T O) of each network, in one stack and alone."""
    models, tasks = [pair.network() for pair in pairs], [pair.case.task for pair in pairs]
    keys = [digest([pair.case.task.name, dict(pair.case.parameters)]) for pair in pairs]
    heard = [pair.sample(4) for pair in pairs]
    together = LoopTier().outputs(stack(models, tasks, keys), _flat(models), _joined(heard))
    alone = [
        run(model, batch, grad=True).outputs for model, batch in zip(models, heard, strict=True)
    ]
    return list(zip(together, alone, strict=True))


def _cell(pair: Pairing) -> Cell:
    task = PluginConfig(pair.case.task.name, 1, pair.case.parameters)
    architecture = PluginConfig(pair.cls.name, 1, pair.parameters)
    key = digest([task.identity(), architecture.identity()])
    return Cell(key, task, architecture, TRAINING, 0, True)
