"""The rules that need more than a network: stacks of cells that train as alone, and Jacobians."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import torch
from torch import Tensor

from emtkit.dynamics.linearise import state_jacobians
from emtkit.plugin.architecture import RecurrentModel
from emtkit.plugin.task import Batch
from emtkit.study.cells import Cell, PluginConfig, digest
from emtkit.study.settings import Training
from emtkit.testing import model_rules as rules
from emtkit.testing import values
from emtkit.testing.bench import DRAWS, Case, ModelBench, Pairing, resolved, try_case, why_not
from emtkit.testing.model_gates import SEQUENCES
from emtkit.testing.rule import RuleOutcome, failed, ok, skipped
from emtkit.train.grouping import group, inspect_shape, tier_named
from emtkit.train.stack import flatten, stack
from emtkit.train.tiers.dense import DenseTier
from emtkit.train.tiers.loop import LoopTier
from emtkit.train.tiers.vmap import VmapTier
from emtkit.train.trainer import Trainer

TRAINING = Training(steps=3, batch=4, dtype="float64")
BATCHES = (*range(1, 10), 15, 16, 17, 31, 32, 33, 47, 63, 64, 65)
"""Sizes of a batch at which bits are compared: odd ones, and around whole vectors."""


def stacked_equals_alone(bench: ModelBench) -> RuleOutcome:
    """Cells that differ in every task parameter come out of one stack as each does alone."""
    looked = 0
    for pair in bench.pairings:
        pairs = [Pairing(case, bench.cls, pair.parameters) for case in _variants(bench, pair)]
        looked += len(pairs) > 1
        results = _trained if bench.cls.trains(pair.parameters) else _constructed
        for variant, (together, alone) in zip(pairs, results(bench, pairs), strict=True):
            if not torch.allclose(together, alone, rtol=1e-8, atol=1e-10, equal_nan=True):
                tried = f"stacked {len(pairs)} cells, among them {variant}"
                change = "register whatever the constructor takes from the task as a buffer"
                return failed(tried, "in the stack it became another network", change)
    if not looked:
        return skipped("no task that it accepts has two settings of equal shapes")
    return ok("stacked cells that differ in every task parameter, and ran each alone")


def same_bits_at_every_place(bench: ModelBench) -> RuleOutcome:
    """A network gets the same bits alone, in two, and at every place of a stack of any size."""
    pair = bench.main
    cell = _cell(pair)
    training = cell.training.model_copy(update={"dtype": "float32"})
    name = LoopTier.name  # of constructed networks, which are not stacked to be trained
    if pair.cls.trains(pair.parameters):
        name = inspect_shape(replace(cell, training=training), bench.company.registry).tier
    tier = tier_named(name)
    models = [pair.network(seed, torch.float32) for seed in range(7)]
    whole, flat = (
        stack(models, [pair.case.task] * 7, [""] * 7),
        torch.stack(list(map(flatten, models))),
    )
    for size in BATCHES:
        heard = [pair.sample(size, torch.float32, seed) for seed in range(7)]

        def bits(*rows: int, heard: list[Batch] = heard) -> list[bytes]:
            inputs = torch.stack([heard[row].inputs for row in rows])
            targets = torch.stack([heard[row].targets for row in rows])
            masks = torch.stack([heard[row].mask for row in rows])
            batch = Batch(inputs, targets, masks, heard[0].input_steps)
            given = whole.take(rows), flat[list(rows)], batch
            if bench.cls.trains(pair.parameters):
                step = tier.gradients(*given, masks)
                found = [step.steps, step.gradients]
            else:
                found = [tier.outputs(*given)]
            return [b"".join(f[at].numpy().tobytes() for f in found) for at in range(len(rows))]

        order = [(size + place) % 7 for place in range(2 + size % 6)]
        there, back, two = bits(*order), bits(*order[::-1]), bits(order[0], order[0])
        if there != back[::-1] or two != [there[0]] * 2:
            return failed(
                f"computed {len(order)} networks in one stack, in reverse, and one twice",
                f"{pair}, batch {size}: one network has other bits at another place",
                "use operations that torch can stack by itself, without a vmap rule of your own",
            )
    return ok("computed stacks of 2 to 7 networks in both orders, 19 batch sizes from 1 to 65")


def jacobian_is_the_derivative(bench: ModelBench) -> RuleOutcome:
    """A recurrent model's own `jacobian` is the derivative of its step."""
    if not issubclass(bench.cls, RecurrentModel):
        return skipped("no recurrent model")
    if bench.cls.jacobian is RecurrentModel.jacobian:
        return skipped("it leaves the Jacobian to differentiation")
    tried = "compared `jacobian` with the derivative of `step` at random states"
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
            return failed(tried, f"{pair} has another derivative", "correct it, or leave it out")
    return ok(tried)


def kernel_equals_plain(bench: ModelBench) -> RuleOutcome:
    """A kernel, or the form of a simple recurrence, gives what the plain network gives."""
    looked = False
    tried = "took gradients by hand and by autograd, in float64 and float32"
    change = "correct the kernel (or `simple_form`), or leave it out"
    for pair in _settings(bench):
        models = [pair.network(seed) for seed in range(3)]
        if DenseTier.refusal(
            models[0], pair.case.task, TRAINING
        ) is not None or not bench.cls.trains(pair.parameters):
            continue
        looked = True
        stacked = stack(models, [pair.case.task] * 3, [""] * 3)
        flat = torch.stack([flatten(model) for model in models])
        one = pair.sample(5)
        inputs, targets = (torch.stack([value] * 3) for value in (one.inputs, one.targets))
        masks = torch.stack([one.mask] * 3)
        for dtype, limit in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
            batch = Batch(inputs.to(dtype), targets.to(dtype), masks.to(dtype), one.input_steps)
            given = (stacked.cast(dtype), flat.to(dtype), batch, batch.mask)
            hand, plain = (tier.gradients(*given) for tier in (DenseTier(), VmapTier()))
            far = (hand.gradients - plain.gradients).norm() / (plain.gradients.norm() + 1e-30)
            if not float(far) < limit:
                found = f"{pair}: the gradients differ by {float(far):.1e} in {dtype}"
                return failed(tried, found, change)
    return ok(tried) if looked else skipped("it trains by its plain `step`")


MODEL_RULES: tuple[Callable[[ModelBench], RuleOutcome], ...] = (
    rules.builds_with_random_parameters,
    rules.different_seeds_differ,
    rules.causal_in_time,
    rules.goes_on_alike,
    rules.each_sequence_alone,
    rules.trace_equals_steps,
    jacobian_is_the_derivative,
    rules.gradient_reaches_every_parameter,
    rules.loop_equals_vmap,
    kernel_equals_plain,
    stacked_equals_alone,
    same_bits_at_every_place,
    rules.moves_to_another_device,
    rules.saved_equals_loaded,
    rules.facts_are_answered,
)


def _settings(bench: ModelBench) -> list[Pairing]:
    """The default network on every task that it accepts, and other settings of it on the first."""
    found = list(bench.pairings)
    case = bench.main.case
    for given in values.draws(bench.cls, Random(5), DRAWS):
        pair = Pairing(case, bench.cls, resolved(bench.cls, given))
        if why_not(bench.cls, case, pair.parameters) is None and _builds(pair):
            found.append(pair)
    return found


def _builds(pair: Pairing) -> bool:
    """Whether the setting can be built; that it must is another rule."""
    try:
        pair.network()
    except Exception:  # whatever a plugin raises
        return False
    return True


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
    batch = pair.case.batch
    weights = [(name, value.shape) for name, value in pair.network().state_dict().items()]
    return [batch.inputs.shape, batch.targets.shape, batch.input_steps, weights]


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
    keys = [
        digest([task.name, dict(pair.case.parameters)])
        for task, pair in zip(tasks, pairs, strict=True)
    ]
    heard = [pair.sample(4) for pair in pairs]
    inputs, targets, masks = (
        torch.stack([part for part in parts])
        for parts in zip(*((b.inputs, b.targets, b.mask) for b in heard), strict=True)
    )
    batch = Batch(inputs, targets, masks, heard[0].input_steps)
    flat = torch.stack([flatten(model) for model in models])
    together = LoopTier().outputs(stack(models, tasks, keys), flat, batch)
    alone = [
        model.trace(b.inputs[:, : b.input_steps], b.steps).outputs
        for model, b in zip(models, heard, strict=True)
    ]
    return list(zip(together, alone, strict=True))


def _cell(pair: Pairing) -> Cell:
    task = PluginConfig(pair.case.task.name, 1, pair.case.parameters)
    architecture = PluginConfig(pair.cls.name, 1, pair.parameters)
    key = digest([task.identity(), architecture.identity()])
    return Cell(key, task, architecture, TRAINING, 0, True)
