"""Golden fact 8: the conjugacy of GSEMM and Elman networks."""

import numpy as np
import pytest
import torch
from scipy.linalg import eig

from emtkit.errors import EmtkitError
from emtkit.plugin.stream import Stream
from emtkit_std.analyses import conjugacy as gsemm
from emtkit_std.architectures.gsemm import SequentialEpisodicMemory
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from tests.rounding import assert_rounded, rounding
from tests.std.references import TimeConstants, integrate, integrate_slaved, to_elman


def random_model(norm, hidden=30, size=6, seed=0):
    generator = np.random.default_rng(seed)
    memories = generator.standard_normal((hidden, size))
    model = gsemm.Gsemm(memories, generator.standard_normal((size, size)), "tanh")
    scale = norm / np.linalg.norm(to_elman(model), 2)
    return gsemm.Gsemm(memories, scale * model.phi, "tanh"), generator


def growth(weights, start, steps, apart=1e-7):
    """How an error of every step adds up: the distances of two runs that begin apart, summed."""
    one, other, total = np.tanh(start), np.tanh(start + apart), 0.0
    for _ in range(steps):
        one, other = np.tanh(one @ weights.T), np.tanh(other @ weights.T)
        total += np.abs(one - other).max() / apart
    return total


def eigenvalue_condition(matrix, count):
    """The worst 1 / |y^H x| of the `count` largest eigenvalues, y and x of length 1, times |A|."""
    values, left, right = eig(matrix, left=True)
    largest = np.argsort(-abs(values))[:count]
    overlap = abs((left.conj() * right).sum(axis=0))[largest]
    return np.linalg.norm(matrix, 2) / overlap.min()


@pytest.mark.parametrize("norm", [0.5, 1.0, 3.0])
def test_golden_8_conjugacy_is_an_identity_whatever_the_norm(norm):
    model, generator = random_model(norm)
    weights = to_elman(model)
    state = generator.standard_normal((5, 30))
    hidden = np.tanh(state)
    for _ in range(200):
        state, hidden = np.tanh(state) @ weights.T, np.tanh(hidden @ weights.T)
        assert np.array_equal(np.tanh(state), hidden)


def test_golden_8_factored_and_full_arithmetic_agree():
    model, generator = random_model(2.63, seed=3)
    weights, start = to_elman(model), generator.standard_normal(30)
    defect = gsemm.conjugacy_defect(model, weights, start, 100)
    most = np.abs(weights).sum(axis=1).max()  # what enters a unit; a step is 6 + 6 + 30 products
    assert defect <= rounding(6 + 6 + 30, most * growth(weights, start, 100))


def test_golden_8_non_zero_eigenvalues_are_those_of_phi():
    model, _ = random_model(2.0)
    limit = rounding(30, eigenvalue_condition(to_elman(model), 6))
    whole = np.linalg.eigvals(to_elman(model))
    largest = whole[np.argsort(-abs(whole))[:6]]
    distance = abs(largest[:, None] - np.linalg.eigvals(model.phi)[None, :]).min(axis=1)
    assert distance.max() <= limit


def test_golden_8_fixed_points_map_and_share_their_spectrum():
    model, generator = random_model(4.1, seed=2)
    weights = to_elman(model)
    state = generator.standard_normal(30)
    for _ in range(100):  # Newton on A tanh(V) - V
        slope = weights * (1 - np.tanh(state) ** 2) - np.eye(30)
        state = state - np.linalg.solve(slope, weights @ np.tanh(state) - state)
    limit = rounding(30, np.abs(weights).sum(axis=1).max())
    assert np.abs(weights @ np.tanh(state) - state).max() <= limit
    hidden = np.tanh(state)
    assert np.abs(np.tanh(weights @ hidden) - hidden).max() <= limit
    gain = np.diag(1 - hidden**2)
    inner, outer = np.linalg.eigvals(weights @ gain), np.linalg.eigvals(gain @ weights)
    order = np.argsort(-abs(inner))[:6]
    distance = abs(inner[order][:, None] - outer[None, :]).min(axis=1)
    assert distance.max() <= rounding(30, eigenvalue_condition(weights @ gain, 6))


def test_golden_8_binary_memories_are_recalled_in_order():
    generator = np.random.default_rng(0)
    memories = generator.choice([-1.0, 1.0], (40, 6))
    model = gsemm.Gsemm(memories, np.roll(np.eye(6), 1, axis=0), "sign")
    state = memories[:, 0].copy()
    for expected in (1, 2, 3, 4, 5, 0, 1, 2):
        state = model.step(state)
        assert np.array_equal(np.sign(state), memories[:, expected])
        assert_rounded(state, memories[:, expected], 40, np.linalg.cond(memories))


def test_golden_8_slaving_is_the_limit_of_short_time_constants():
    model, generator = random_model(2.0)
    start = generator.standard_normal(30)
    limit = integrate_slaved(model, start, 1.0, 2000)
    gaps = []
    for constant, steps in ((0.1, 2000), (0.01, 2000), (0.001, 8000)):
        times = TimeConstants(constant, constant)
        gaps.append(np.abs(integrate(model, start, 1.0, steps, times) - limit).max())
    assert 4 < gaps[0] / gaps[1] < 14
    assert 8 < gaps[1] / gaps[2] < 12


def test_from_elman_undoes_to_elman():
    model, _ = random_model(1.0)
    back = gsemm.Gsemm.from_elman(to_elman(model), model.memories, "tanh")
    assert_rounded(back.phi, model.phi, 30, np.linalg.cond(model.memories) ** 2)


@pytest.mark.parametrize(("rule", "activation"), [("T1", "tanh"), ("T3", "tanh"), ("T4", "linear")])
def test_the_architecture_runs_the_task(rule, activation):
    task = Hds(rule=rule)
    with torch.no_grad():
        model = SequentialEpisodicMemory(task, activation=activation)
        batch = task.sample(32, Stream(None, "test", dtype=torch.float64), 200)
        outputs = model.trace(batch.inputs[:, :8], batch.steps).outputs
    assert float(task.metrics(outputs, batch)["accuracy"]) >= 0.999


def test_memories_of_another_shape_are_refused():
    with pytest.raises(EmtkitError, match="must have 40 rows"):
        SequentialEpisodicMemory(Hds(rule="T2"), hidden=40, memories=((1.0, -1.0),))
