"""Networks of a known mechanism answer as their equations say, whatever they are embedded in."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from emtkit import Batch, NotApplicable, SequenceModel, Stream, Task, Trace
from emtkit.dynamics.linearise import state_jacobians
from emtkit_std._theory.facts import LinearRecurrence
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std.architectures.attention import Attention
from emtkit_std.architectures.emt_circuit import EmtCircuit
from emtkit_std.architectures.mechanisms.dead import Dead
from emtkit_std.architectures.mechanisms.exact_attention import ExactAttention
from emtkit_std.architectures.mechanisms.induction import Induction
from emtkit_std.architectures.mechanisms.latch import Latch
from emtkit_std.architectures.mechanisms.leaky_integrator import LeakyIntegrator
from emtkit_std.architectures.mechanisms.magnitude_code import MagnitudeCode
from emtkit_std.architectures.mechanisms.phase_clock import PhaseClock
from emtkit_std.architectures.mechanisms.random_reservoir import RandomReservoir
from emtkit_std.architectures.mechanisms.register import Register
from emtkit_std.architectures.mechanisms.ring_attractor import RingAttractor
from emtkit_std.architectures.mechanisms.stable_cycle import StableCycle
from emtkit_std.architectures.memoryless import Memoryless
from emtkit_std.architectures.optimal_linear import OptimalLinear
from emtkit_std.architectures.shift_register import ShiftRegister
from emtkit_std.architectures.twm_linear import TwmLinear
from emtkit_std.tasks.associative_recall import AssociativeRecall
from emtkit_std.tasks.cued_delay import CuedDelay
from emtkit_std.tasks.flip_flop import FlipFlop
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import assert_rounded, rounding
from tests.std.subjects import build

REPEAT = Hds(rule="repeat", history=4, dimension=2, horizon=40)
DELAYS = KDelay(delay=(3, 1), features=2, density=0.5, amplitude=("uniform", "constant"))
DIGITS = KDelay(delay=(3, 1), features=2, density=0.5, amplitude="constant")
CUED = CuedDelay(features=2, density=0.5, amplitude="signed")
PULSES = FlipFlop(density=0.3, steps=20)
RECALL = AssociativeRecall(pairs=4, queries=3, keys=6, apart=True)
SEQUENCES = 32

TURNING = {"turn": 50.0}
EXACT = [
    ("register", {}, REPEAT),
    ("register", {}, DELAYS),
    ("phase_clock", {}, REPEAT),
    ("phase_clock", {}, DELAYS),
    ("phase_clock", TURNING, REPEAT),
    ("phase_clock", TURNING, DELAYS),
    ("magnitude_code", {}, REPEAT),
    ("magnitude_code", {}, DIGITS),
    ("ring_attractor", {}, CUED),
    ("latch", {}, PULSES),
    ("stable_cycle", {}, REPEAT),
    ("stable_cycle", {}, DIGITS),
    ("exact_attention", {}, REPEAT),
    ("exact_attention", {}, DELAYS),
    ("induction", {}, RECALL),
]
OTHERS = [
    ("leaky_integrator", {}, DELAYS),
    ("dead", {}, REPEAT),
    ("random_reservoir", {"hidden": 16}, CUED),
    ("exact_attention", {"position": "none"}, DELAYS),
]
CONTEXTS = ("exact_attention", "induction")
EMBEDDED = [setting for setting in (*EXACT, *OTHERS) if setting[0] not in CONTEXTS]
NUISANCES = {
    "rotation": {"condition": 1.0},
    "oblique basis": {"condition": 1e3},
    "curvature": {"curvature": 2.0},
    "distractors": {"distractors": 5},
    "scale": {"scale": 30.0},
    "all": {"condition": 1e3, "curvature": 1.0, "distractors": 5, "scale": 0.1},
}
DIRTY = {"condition": 30.0, "curvature": 0.5, "distractors": 3, "scale": 2.0}


KNOWN = {
    cls.name: cls
    for cls in (
        *(Dead, ExactAttention, Induction, Latch, LeakyIntegrator, MagnitudeCode, PhaseClock),
        *(RandomReservoir, Register, RingAttractor, StableCycle),
        *(EmtCircuit, Memoryless, OptimalLinear, ShiftRegister, TwmLinear),
    )
}


def network(name: str, task: Task, **parameters: object) -> SequenceModel:
    return build(KNOWN[name], task, **parameters).double()


def sample(task: Task, sequences: int = SEQUENCES) -> Batch:
    return task.sample(sequences, Stream(None, "test", dtype=torch.float64))


def run(model: SequenceModel, batch: Batch, noise: torch.Tensor | None = None) -> Trace:
    heard = batch.inputs[:, : batch.input_steps]
    return model.forward(heard, batch.steps, **({} if noise is None else {"noise": noise}))


def scored(batch: Batch, outputs: torch.Tensor) -> torch.Tensor:
    return outputs[:, batch.mask > 0]


@pytest.mark.parametrize(("name", "parameters", "task"), EXACT)
def test_a_mechanism_answers_its_task(name, parameters, task):
    batch = sample(task)
    outputs = run(network(name, task, **parameters), batch).outputs
    assert_rounded(scored(batch, outputs), scored(batch, batch.targets), 20 * batch.steps)


@pytest.mark.parametrize("nuisance", NUISANCES)
@pytest.mark.parametrize(("name", "parameters", "task"), EMBEDDED)
def test_no_embedding_changes_an_answer(name, parameters, task, nuisance):
    batch, given = sample(task), NUISANCES[nuisance]
    plain, changed = (network(name, task, **parameters, **more) for more in ({}, given))
    bare, other = run(plain, batch), run(changed, batch)
    # an error of the state is magnified by the basis, and by sinh at its steepest
    widest = float(changed.contents(other.states).norm(dim=-1).max())
    steep = np.hypot(1.0, given.get("curvature", 0.0) * widest)
    condition = given.get("condition", 1.0) * steep * widest
    size = batch.steps * 4 * changed.hidden
    assert (bare.outputs - other.outputs).abs().max() <= rounding(size, condition)
    if nuisance == "distractors":
        assert torch.equal(bare.outputs, other.outputs)
    else:
        assert (bare.states - other.states[..., : plain.hidden]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("name", "parameters", "task"),
    [
        *(("exact_attention", {}, task) for task in (REPEAT, DELAYS)),
        *(("exact_attention", {"position": "none"}, task) for task in (REPEAT, DELAYS)),
        ("induction", {}, RECALL),
    ],
)
def test_no_basis_of_the_stream_changes_what_attention_answers(name, parameters, task):
    batch = sample(task)
    bare = run(network(name, task, **parameters), batch)
    model = network(name, task, condition=1e3, scale=7.0, **parameters)
    other = run(model, batch)
    size = batch.steps * 4 * model.hidden
    assert (bare.outputs - other.outputs).abs().max() <= rounding(size, 1e3)
    assert (bare.states - other.states).abs().max() > 1e-3


def test_an_embedding_is_undone_exactly_and_has_the_condition_that_was_asked():
    model = network("register", REPEAT, condition=1e3, curvature=2.0, distractors=4, scale=3.0)
    assert np.linalg.cond(model.into) == pytest.approx(1e3, rel=1e-9)
    assert_rounded(model.into @ model.back, np.eye(12), 12, 1e3)
    drawn = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 12)))
    assert_rounded(model.contents(model.state_of(drawn)), drawn, 40, 1e3 * 10)
    assert_rounded(np.linalg.svd(network("dead", REPEAT, condition=1.0).into)[1], np.ones(16), 32)


def test_distractors_hear_the_inputs_and_are_not_read():
    model = network("dead", REPEAT, distractors=6)
    batch = sample(REPEAT)
    trace = run(model, batch)
    assert not trace.outputs.any()
    assert trace.states[:, -1, 16:].std(0).min() > 0.01
    state = trace.states[:1, -1].clone().requires_grad_()
    reading = network("random_reservoir", REPEAT, hidden=16, distractors=6).read(state).sum()
    (slope,) = torch.autograd.grad(reading, state)
    assert slope[:, :16].all()
    assert not slope[:, 16:].any()


@pytest.mark.parametrize("task", [REPEAT, DELAYS])
def test_register_and_clock_say_the_same_and_only_the_register_moves(task):
    batch = sample(task)
    register, clock = (run(network(name, task), batch) for name in ("register", "phase_clock"))
    assert torch.equal(register.outputs, clock.outputs)
    places = register.states.unflatten(-1, (4, 2))
    assert torch.equal(places[:, 1:, 1:], places[:, :-1, :-1])
    slots = clock.states[..., :8].unflatten(-1, (4, 2))
    moved = (slots[:, 1:] != slots[:, :-1]).any(-1).sum(-1)
    assert moved.max() == 1  # one slot is written
    if task is REPEAT:
        assert not moved[:, 4:].any()
        assert (places[:, 5:] != places[:, 4:-1]).any()


def test_a_turning_frame_turns_the_code_of_every_item_by_one_operator():
    model, batch = network("phase_clock", REPEAT, **TURNING), sample(REPEAT, 64)
    held = run(model, batch).states[:, 4:, :8]
    first, second = held[:, :-1].flatten(0, 1), held[:, 1:].flatten(0, 1)
    operator = torch.linalg.lstsq(first, second).solution
    assert_rounded(first @ operator, second, 64 * batch.steps)
    angles = np.degrees(np.abs(np.angle(np.linalg.eigvals(operator))))
    assert_rounded(angles, np.full(8, 50.0), 64 * batch.steps)


def test_a_rotated_frame_keeps_an_odd_direction():
    task = KDelay(delay=2, amplitude="signed")  # 3 slots of one value
    batch = sample(task)
    outputs = run(network("phase_clock", task, turn=33.0), batch).outputs
    assert_rounded(scored(batch, outputs), scored(batch, batch.targets), 20 * batch.steps)


@pytest.mark.parametrize("name", ["register", "phase_clock"])
def test_noise_adds_up_step_by_step_in_what_nothing_corrects(name):
    """An entry that came a steps ago has a + 1 of them; what comes back has them all."""
    for task in (REPEAT, DELAYS):
        batch = sample(task, 400)
        model = network(name, task, noise=0.01)
        shape = (batch.steps, 400, model.hidden)
        xi = torch.from_numpy(np.random.default_rng(0).normal(size=shape))
        error = run(model, batch, xi).outputs - batch.targets
        square = (error[:, -1] / 0.01).square().numpy()
        wanted = batch.steps if task is REPEAT else np.array([4.0, 2.0])
        assert (abs(square.mean(0) - wanted) < 4 * square.std(0) / 20).all()


def test_digits_are_corrected():
    batch = sample(REPEAT)
    model = network("magnitude_code", REPEAT, noise=1e-4)  # the oldest digit is .3^3 = .027
    xi = torch.from_numpy(np.random.default_rng(0).normal(size=(batch.steps, SEQUENCES, 2)))
    assert torch.equal(run(model, batch, xi).outputs[:, 4:], batch.targets[:, 4:])


def test_noise_moves_along_a_ring_and_is_corrected_across_it():
    """Along: a sum of t steps. Across: a stationary autoregression with factor 1 - 2 eps."""
    model = network("ring_attractor", CuedDelay(features=1, amplitude="signed"), correction=0.2)
    xi = 1e-3 * np.random.default_rng(0).normal(size=(60, 2000, 3))
    state, silence = model.initial(2000), torch.zeros(2000, 2).double()
    for step in torch.from_numpy(xi):
        state = model.step(state, silence) + step
    along = torch.atan2(state[:, 1], state[:, 0])
    across = state[:, :2].norm(dim=-1) - 1
    for found, wanted in ((along, 60), (across, 1 / (1 - 0.6**2))):
        square = (found.numpy() / 1e-3) ** 2
        assert abs(square.mean() - wanted) < 4 * square.std() / np.sqrt(2000)


def test_a_magnitude_code_tells_all_digits_apart():
    model = network("magnitude_code", KDelay(delay=4, amplitude="constant", density=0.5), ratio=0.3)
    words = torch.tensor(list(itertools.product([-1.0, 0.0, 1.0], repeat=5))).double()
    memory = (words * 0.3 ** torch.arange(5)).sum(-1, keepdim=True)
    assert torch.equal(model._items(memory).squeeze(-1), words)
    assert model.facts(Mechanism).exact == (0, 1, 2, 3, 4)


def test_a_magnitude_code_is_a_cycle_that_attracts():
    """In silence the Jacobian is r, at every state: rounding to digits has no slope."""
    model = network("magnitude_code", REPEAT)
    state = run(model, sample(REPEAT)).states[:, 20]
    found = state_jacobians(model.step, state, torch.zeros(SEQUENCES, 2).double())
    assert_rounded(found, 0.3 * torch.eye(2).double().expand(SEQUENCES, 2, 2), 4)
    after = state
    for _ in range(4):
        after = model.step(after, torch.zeros(SEQUENCES, 2).double())
    assert_rounded(after, state, 40)


def test_the_leaky_readout_is_the_best_over_all_scored_steps():
    """Slow path: the joint moments of memory, answer and 1, step by step."""
    task = KDelay(delay=2, density=0.4, amplitude="exponential", steps=9)
    model, law, r = network("leaky_integrator", task, retention=0.7), task.law, 0.7
    mean = law.density[0] * law.mean[0]
    second = law.density[0] * law.second_moment[0]
    gram, cross = np.zeros((2, 2)), np.zeros(2)
    for step in range(2, 9):
        weights = r ** np.arange(step, -1, -1.0)
        items = np.full((step + 1, step + 1), mean**2) + np.eye(step + 1) * (second - mean**2)
        level = weights.sum() * mean
        gram += np.array([[weights @ items @ weights, level], [level, 1.0]])
        cross += np.array([weights @ items[step - 2], mean])
    found = np.array([model.W_r.item(), model.b_r.item()])
    assert_rounded(found, np.linalg.solve(gram, cross), 100, np.linalg.cond(gram))


def test_every_state_on_the_ring_stays_and_lengths_return():
    task = CuedDelay(features=1, amplitude="signed")
    model = network("ring_attractor", task, correction=0.2)
    angles = torch.linspace(-3, 3, 20).double()
    circle = torch.stack([angles.cos(), angles.sin(), 0 * angles], -1)
    silence = torch.zeros(20, 2).double()
    assert_rounded(model.step(circle, silence), circle, 10)
    multipliers = np.linalg.eigvals(state_jacobians(model.step, circle, silence))
    wanted = np.tile([0.0, 1 - 2 * 0.2, 1.0], (20, 1))
    assert_rounded(np.sort(multipliers.real), wanted, 40, 10)
    away = model.step(1.001 * circle, silence)[:, :2].norm(dim=-1) - 1
    assert away.numpy() == pytest.approx(0.001 * (1 - 2 * 0.2), rel=0.01)


def test_heads_look_where_they_should_and_a_blind_one_says_the_mean():
    batch = sample(DELAYS)
    maps = run(network("exact_attention", DELAYS), batch).extras["attention"][:, 3:]
    wanted = torch.eye(5).double()[[1, 3]].expand_as(maps)
    assert (maps - wanted).abs().max() <= batch.steps * np.exp(-40.0) + rounding(batch.steps)
    blind = run(network("exact_attention", DELAYS, position="none"), batch).outputs
    count = torch.arange(1, batch.steps + 1).double()[:, None]
    assert_rounded(blind, batch.inputs.cumsum(1) / count, 4 * batch.steps)


def test_an_induction_head_needs_the_layer_before_it():
    """Without it a query looks alike at all tokens up to it that are not of its own key."""
    model, batch = network("induction", RECALL), sample(RECALL)
    model.W_O1.zero_()
    outputs = run(model, batch).outputs
    heard = torch.arange(batch.steps).double() + 1 - 2  # its own key stands there twice
    mean = batch.inputs[..., -2:].sum(1, keepdim=True) / heard[:, None]
    assert_rounded(scored(batch, outputs), scored(batch, mean), 20 * batch.steps)


def test_what_comes_after_a_key_in_the_context_is_what_it_is_answered_with():
    """Another value in the tokens of the context, at one place, and the answers are its own."""
    model, batch = network("induction", RECALL, condition=30.0), sample(RECALL)
    other = batch.inputs.clone()
    other[:, 3, -2:] *= -1.0
    wanted, last = RECALL.targets(other), batch.steps - 1
    outputs = run(model, batch).outputs
    for step in (4, 8, last):
        context = model.context(other, outputs, step)
        found = model.answers(context, batch.inputs, step, batch.steps)
        assert_rounded(found[:, max(8 - step, 0) :], wanted[:, max(8, step) :], 400, 30.0)
    assert (wanted != batch.targets).any()


@pytest.mark.parametrize("task", [REPEAT, DELAYS])
@pytest.mark.parametrize("cls", [Attention, ExactAttention])
def test_a_context_goes_on_as_the_network_does(cls, task):
    model, batch = build(cls, task).double(), sample(task)
    heard, outputs = batch.inputs[:, : batch.input_steps], run(model, batch).outputs
    for step in (0, 2, batch.input_steps - 1, batch.steps - 2):
        context = model.context(heard, outputs, step)
        found = model.answers(context, heard, step, batch.steps)
        assert_rounded(found, outputs[:, step:], 20 * batch.steps, 10)


def decoded(model: SequenceModel, task: Task, ages: int) -> np.ndarray:
    """R^2 of the items (ages I) from the states at one late step, by affine maps, unseen."""
    batch = sample(task, 4000)
    trace = run(model, batch)
    driven = batch.inputs[:, : batch.input_steps]
    told = driven if batch.input_steps == batch.steps else torch.cat([driven, batch.targets], 1)
    step = (batch.input_steps if batch.input_steps < batch.steps else batch.steps) - 1
    states = np.hstack([trace.states[:, step], np.ones((4000, 1))])
    items = told[:, [step - age for age in range(ages)]].flatten(1).numpy()
    fit = np.linalg.lstsq(states[:2000], items[:2000], rcond=1e-9)[0]
    left = np.square(states[2000:] @ fit - items[2000:]).mean(0)
    return (1 - left / items[2000:].var(0)).reshape(ages, -1)


@pytest.mark.parametrize(
    ("name", "parameters", "task"),
    [
        ("register", {"condition": 100.0}, REPEAT),
        ("phase_clock", {"condition": 100.0, "distractors": 4}, REPEAT),
        ("phase_clock", {**TURNING, "condition": 100.0}, DELAYS),
        ("leaky_integrator", {"condition": 100.0}, KDelay(delay=3, amplitude="signed", steps=30)),
        ("magnitude_code", {"condition": 100.0}, REPEAT),
        ("emt_circuit", {"hidden": 12}, REPEAT),
        ("emt_circuit", {"hidden": 8}, Hds(rule="diagonal", history=3, dimension=3)),
        ("twm_linear", {"exact": True}, REPEAT),
        ("shift_register", {}, KDelay(delay=3)),
        ("optimal_linear", {"hidden": 3}, KDelay(delay=2, scored="last")),
    ],
)
def test_the_fact_says_what_an_affine_map_reads(name, parameters, task):
    model = network(name, task, **parameters)
    fact = model.facts(Mechanism)
    linear = np.array(fact.linear[:8])
    found = decoded(model, task, len(linear)).mean(1)
    if fact.kind != "magnitude":
        assert np.flatnonzero(linear == 1).tolist() == [*fact.exact]
    # of 2,000 sequences: R^2 of r is off by 2 sqrt(r) (1 - r) / sqrt(n), and by a little of n
    off = 2 * np.sqrt(linear) * (1 - linear) / np.sqrt(2000) + 1 / 2000
    assert (abs(found - linear) <= np.where(linear == 1, 1e-6, 4 * off)).all(), found


def test_linear_memories_say_their_weights_in_any_basis():
    task = KDelay(delay=3, amplitude="signed", scored="last", steps=12)
    for name in ("register", "leaky_integrator"):
        model, batch = network(name, task, condition=50.0, scale=3.0), sample(task)
        trace, weights = run(model, batch), model.facts(LinearRecurrence)
        state = np.zeros((SEQUENCES, model.hidden))
        for heard in batch.inputs.unbind(1):
            state = state @ weights.W_hh.T + heard.numpy() @ weights.W_uh.T
        assert_rounded(state, trace.states[:, -1], 12 * 8, 50.0)
        read = trace.outputs[:, -1] - model.answer(torch.zeros(1, model.memory).double())
        assert_rounded(state @ weights.W_r.T, read, 12 * 8, 50.0**2)
        with pytest.raises(NotApplicable, match="without curvature and distractors"):
            network(name, task, curvature=1.0).facts(LinearRecurrence)


@pytest.mark.parametrize(
    ("name", "task", "reason"),
    [
        ("register", Hds(rule="T3"), "reads items that come before the last input has"),
        ("phase_clock", Hds(rule="parity", history=4, dimension=2), "is not linear"),
        ("register", CUED, "offers no DelayLaw"),
        ("magnitude_code", DELAYS, "other values here than the digits -1, 0 and 1"),
        ("leaky_integrator", REPEAT, "does not come back"),
        ("leaky_integrator", KDelay(features=2, feature_correlation=0.5), "not known"),
        ("ring_attractor", REPEAT, "offers no CuedLaw"),
        ("ring_attractor", CuedDelay(items=2), "items: 1 would do"),
        ("ring_attractor", CuedDelay(amplitude="normal"), "has no bound"),
        ("exact_attention", CUED, "offers no DelayLaw"),
        ("latch", CUED, "offers no LatchLaw (flip_flop does)"),
        ("stable_cycle", DELAYS, "other values here than the digits -1, 0 and 1"),
        ("induction", REPEAT, "offers no PairsLaw"),
        ("induction", AssociativeRecall(), "apart: true would do"),
    ],
)
def test_what_a_mechanism_cannot_do_is_refused_with_the_reason(name, task, reason):
    assert reason in str(KNOWN[name].accepts(task, {}))


def test_what_is_not_certain_is_not_said():
    for name, parameters in (
        ("twm_linear", {}),
        ("emt_circuit", {"hidden": 8, "activation": "tanh"}),
    ):
        with pytest.raises(NotApplicable):
            network(name, REPEAT, **parameters).facts(Mechanism)
    cycle = {"hidden": 8, "activation": "tanh", "gain": 2.0, "basis": "units"}
    assert network("emt_circuit", REPEAT, **cycle).facts(Mechanism).kind == "cycle"
    assert network("memoryless", REPEAT).facts(Mechanism) == Mechanism("none", used=False)
    relu = {"hidden": 3, "activation": "relu"}
    assert network("shift_register", KDelay(delay=3), **relu).facts(Mechanism).kind == "superposed"
