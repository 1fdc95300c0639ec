"""Golden fact 8: the conjugacy of GSEMM and Elman networks."""

import numpy as np
import pytest
import torch

from emtkit.errors import EmtkitError
from emtkit.plugin.stream import Stream
from emtkit_std._theory.emt import gsemm as gsemm
from emtkit_std.architectures.gsemm import SequentialEpisodicMemory
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from tests.std.references import TimeConstants, integrate, integrate_slaved, to_elman


def random_model(norm, hidden=30, size=6, seed=0):
    generator = np.random.default_rng(seed)
    memories = generator.standard_normal((hidden, size))
    model = gsemm.Gsemm(memories, generator.standard_normal((size, size)), "tanh")
    scale = norm / np.linalg.norm(to_elman(model), 2)
    return gsemm.Gsemm(memories, scale * model.phi, "tanh"), generator


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
    defect = gsemm.conjugacy_defect(model, to_elman(model), generator.standard_normal(30), 100)
    assert defect < 1e-12


def test_golden_8_non_zero_eigenvalues_are_those_of_phi():
    model, _ = random_model(2.0)
    whole = np.linalg.eigvals(to_elman(model))
    largest = whole[np.argsort(-abs(whole))[:6]]
    distance = abs(largest[:, None] - np.linalg.eigvals(model.phi)[None, :]).min(axis=1)
    assert distance.max() < 1e-13


def test_golden_8_fixed_points_map_and_share_their_spectrum():
    model, generator = random_model(4.1, seed=2)
    weights = to_elman(model)
    state = generator.standard_normal(30)
    for _ in range(100):  # Newton on A tanh(V) - V
        slope = weights * (1 - np.tanh(state) ** 2) - np.eye(30)
        state = state - np.linalg.solve(slope, weights @ np.tanh(state) - state)
    assert np.abs(weights @ np.tanh(state) - state).max() < 1e-12
    hidden = np.tanh(state)
    assert np.abs(np.tanh(weights @ hidden) - hidden).max() < 1e-12
    gain = np.diag(1 - hidden**2)
    inner, outer = np.linalg.eigvals(weights @ gain), np.linalg.eigvals(gain @ weights)
    order = np.argsort(-abs(inner))[:6]
    assert abs(inner[order][:, None] - outer[None, :]).min(axis=1).max() < 1e-12


def test_golden_8_binary_memories_are_recalled_in_order():
    generator = np.random.default_rng(0)
    memories = generator.choice([-1.0, 1.0], (40, 6))
    model = gsemm.Gsemm(memories, np.roll(np.eye(6), 1, axis=0), "sign")
    state = memories[:, 0].copy()
    for expected in (1, 2, 3, 4, 5, 0, 1, 2):
        state = model.step(state)
        assert np.array_equal(np.sign(state), memories[:, expected])
        assert np.abs(state - memories[:, expected]).max() < 1e-13


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
    assert np.abs(back.phi - model.phi).max() < 1e-13


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
