"""Optimisers and schedules against torch's own and against their papers, in float64."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from emtkit.methods import folder
from emtkit.methods.method import Method
from emtkit.methods.optimisers.base import Optimiser, Slot
from emtkit.methods.optimisers.muon import Muon, orthogonal
from emtkit.methods.schedules.base import Schedule
from emtkit.study.settings import Training
from emtkit.train.native.adam import CompiledAdam
from emtkit.train.native.machine import unavailable
from emtkit.train.optimise import TensorOptimiser
from tests.rounding import assert_rounded, assert_rounded_rows, rounding

SHAPES = {"cell.W_hh": (5, 5), "W_uh": (5, 3), "W_r": (2, 5), "mix": (7, 3), "b": (5,)}
SLOTS, SIZE = [], 0
for _name, _shape in SHAPES.items():
    SLOTS.append(Slot(_name, _shape, SIZE, SIZE := SIZE + math.prod(_shape)))
STEPS = 9
RATE = 3e-2

TORCH = {
    "adam": (torch.optim.Adam, {}),
    "adam options": (torch.optim.Adam, {"betas": (0.7, 0.95), "eps": 1e-3}),
    "adamw": (torch.optim.AdamW, {}),
    "adamw options": (torch.optim.AdamW, {"betas": (0.0, 0.5), "eps": 1e-2}),
    "sgd": (torch.optim.SGD, {}),
    "sgd momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "sgd nesterov": (torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
    "rmsprop": (torch.optim.RMSprop, {}),
    "rmsprop options": (torch.optim.RMSprop, {"alpha": 0.9, "eps": 1e-2}),
}


def draws(rows=3):
    """Weights (M P) and the gradients (n M P) of some steps, the last ones larger."""
    chance = torch.Generator().manual_seed(4)
    weights = torch.randn(rows, SIZE, generator=chance, dtype=torch.float64)
    slopes = torch.randn(STEPS, rows, SIZE, generator=chance, dtype=torch.float64)
    return weights, slopes * torch.linspace(0.05, 2.0, STEPS, dtype=torch.float64).view(-1, 1, 1)


def updated(weights, slopes, trainings):
    """The weights after a step by each of `slopes`."""
    flat = weights.clone()
    optimiser = TensorOptimiser(trainings, flat, SLOTS)
    buffers = {name: torch.zeros_like(flat) for name in trainings[0].optimizer.buffers}
    alive = torch.ones(len(flat), 1, dtype=torch.bool)
    for n, gradients in enumerate(slopes):
        optimiser.step(flat, gradients.clone(), buffers, optimiser.schedule([n] * len(flat)), alive)
    return flat


def by_torch(weights, slopes, make, clip):
    """The same of one row, by optimisers that `make` gives for its parameters."""
    named = {
        slot.name: weights[slot.start : slot.stop].view(slot.shape).clone().requires_grad_()
        for slot in SLOTS
    }
    optimisers = make(named)
    for gradient in slopes:
        for slot in SLOTS:
            named[slot.name].grad = gradient[slot.start : slot.stop].view(slot.shape).clone()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(named.values(), clip)
        for optimiser in optimisers:
            optimiser.step()
    return torch.cat([value.detach().flatten() for value in named.values()])


@pytest.mark.parametrize("name", TORCH)
def test_each_rule_is_torch_s_own(name):
    cls, options = TORCH[name]
    kind = name.split()[0]
    weights, slopes = draws()
    limits, decays = [None, 0.3, 1e3], [0.0, 0.05, 0.2]
    trainings = [
        Training.model_validate({"optimizer": {"kind": kind, **options}, "lr": RATE,
                                 "clip": clip, "weight_decay": decay})
        for clip, decay in zip(limits, decays, strict=True)
    ]  # fmt: skip
    found = updated(weights, slopes, trainings)
    for row, (clip, decay) in enumerate(zip(limits, decays, strict=True)):
        single, double = (
            by_torch(
                weights[row].to(dtype),
                slopes[:, row].to(dtype),
                lambda named, decay=decay: [
                    cls(named.values(), lr=RATE, weight_decay=decay, **options)
                ],
                clip,
            )
            for dtype in (torch.float32, torch.float64)
        )
        assert_rounded_rows(found[row][None], single[None], double[None], 2 * STEPS)


def test_every_optimiser_is_held_to_something():
    assert {name.split()[0] for name in TORCH} | {"muon"} == set(Optimiser.known())


def muon(weights, slopes, *, nesterov, scale, decay):
    """Jordan's post and Liu's equation 4 for one matrix, in numpy, by singular values."""
    a, b, c = 3.4445, -4.7750, 2.0315
    momentum = np.zeros_like(weights)
    for gradient in slopes:
        momentum = 0.95 * momentum + gradient
        update = gradient + 0.95 * momentum if nesterov else momentum
        left, values, right = np.linalg.svd(update, full_matrices=False)
        values = values / np.linalg.norm(values)
        for _ in range(5):
            values = a * values + b * values**3 + c * values**5
        rows, columns = update.shape
        factor = np.sqrt(max(1, rows / columns))
        if scale == "rms":
            factor = 0.2 * np.sqrt(max(rows, columns))
        weights = weights * (1 - RATE * decay) - RATE * factor * (left * values) @ right
    return weights


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("scale", ["shape", "rms"])
def test_muon_is_its_papers_equations_and_adamw_elsewhere(nesterov, scale):
    weights, slopes = draws()
    options = {"kind": "muon", "nesterov": nesterov, "scale": scale}
    setting = {"optimizer": options, "lr": RATE, "weight_decay": 0.1, "clip": None}
    found = updated(weights, slopes, [Training.model_validate(setting)] * 3)
    plain = Training.model_validate({**setting, "optimizer": "adamw"})
    others = updated(weights, slopes, [plain] * 3)
    for slot in SLOTS:
        place = slice(slot.start, slot.stop)
        if slot.name not in ("cell.W_hh", "mix"):
            assert found[:, place].equal(others[:, place])
            continue
        for row in range(3):
            start = weights[row, place].view(slot.shape).numpy()
            steps = slopes[:, row, place].view(STEPS, *slot.shape).numpy()
            single, double = (
                muon(*values, nesterov=nesterov, scale=scale, decay=0.1)
                for values in ((np.float32(start), np.float32(steps)), (start, steps))
            )
            assert_rounded_rows(found[row, place][None], single[None], double[None], 2 * STEPS)


def test_muon_is_torch_s_within_its_half_precision():
    weights, slopes = draws()
    setting = {"optimizer": "muon", "lr": RATE, "weight_decay": 0.1, "clip": 0.3}
    found = updated(weights, slopes, [Training.model_validate(setting)] * 3)

    def make(named):
        hidden = [named["cell.W_hh"], named["mix"]]
        others = [named[name] for name in ("W_uh", "W_r", "b")]
        return [
            torch.optim.Muon(hidden, lr=RATE, weight_decay=0.1),
            torch.optim.AdamW(others, lr=RATE, weight_decay=0.1),
        ]

    expected = torch.stack([by_torch(weights[r], slopes[:, r], make, 0.3) for r in range(3)])
    # torch iterates in bfloat16, whose steps of 1/256 the polynomial's slope makes larger
    assert float((found - expected).abs().max()) < STEPS * RATE * 0.1
    assert float((found - weights).norm()) > 20 * float((found - expected).norm())


@settings(max_examples=30, deadline=None, derandomize=True)
@given(rows=some.integers(1, 8), columns=some.integers(1, 8), seed=some.integers(0, 2**31))
def test_an_orthogonalised_matrix_keeps_its_singular_vectors(rows, columns, seed):
    chance = torch.Generator().manual_seed(seed)
    matrix = torch.randn(1, rows, columns, generator=chance, dtype=torch.float64)
    found = orthogonal(matrix, 5)[0]
    product = found @ matrix[0].T
    # five products of at most 8 terms; the polynomial's slope at 0 is a^5 = 485
    limit = rounding(5 * 8, 485 * float(matrix.norm()))
    assert float((product - product.T).abs().max()) <= limit
    sizes = torch.linalg.svdvals(matrix[0]) / matrix.norm()
    large = int((sizes > 0.02).sum())  # a^5 times that is far past 1
    assert torch.linalg.svdvals(found)[:large].sub(1).abs().max() < 0.35


def test_a_zero_matrix_stays_zero():
    assert not orthogonal(torch.zeros(2, 3, 4), 5).any()


@pytest.mark.parametrize("kind", sorted(Optimiser.known()))
def test_a_row_s_update_uses_nothing_of_its_neighbours(kind):
    weights, slopes = draws(4)
    trainings = [
        Training.model_validate({"optimizer": kind, "lr": RATE * (r + 1), "weight_decay": 0.1 * r})
        for r in range(4)
    ]
    together = updated(weights.float(), slopes.float(), trainings)
    for rows in ([2, 0], [3, 3]):
        apart = updated(
            weights[rows].float(), slopes[:, rows].float(), [trainings[row] for row in rows]
        )
        assert apart.equal(together[rows])


@pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))
@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_the_compiled_rules_are_those_of_tensors(kind):
    weights, slopes = (tensor.float() for tensor in draws())
    options = {"kind": kind, "betas": (0.8, 0.95), "eps": 1e-3}
    setting = {"optimizer": options, "lr": RATE, "weight_decay": 0.1, "clip": 0.3}
    trainings = [Training.model_validate(setting)] * 3
    compiled, flat = CompiledAdam(trainings), weights.clone()
    buffers = {name: torch.zeros_like(flat) for name in ("first", "second")}
    alive = torch.ones(3, 1, dtype=torch.bool)
    for n, gradients in enumerate(slopes):
        compiled.step(flat, gradients.clone(), buffers, compiled.schedule([n] * 3), alive)
    expected = updated(weights, slopes, trainings)
    assert_rounded(flat, expected, STEPS)


def test_only_what_is_compiled_is_taken():
    for kind in Optimiser.known():
        training = Training.model_validate({"optimizer": kind})
        assert CompiledAdam.takes(training) == (kind in ("adam", "adamw"))
    with pytest.raises(TypeError, match="the optimiser 'sgd' is not compiled"):
        CompiledAdam([Training.model_validate({"optimizer": "sgd"})])


def test_a_new_option_of_a_compiled_rule_is_not_taken(monkeypatch):
    from emtkit.methods.optimisers.adam import Adam
    from emtkit.train.native import adam

    fewer = {**adam.IMPLEMENTED, Adam: frozenset({"kind", "betas"})}
    monkeypatch.setattr(adam, "IMPLEMENTED", fewer)
    assert not CompiledAdam.takes(Training())


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [1, 1, 1, 1, 1, 1, 1, 1]),
        ({"kind": "constant", "warmup": 0.5}, [1 / 4, 2 / 4, 3 / 4, 1, 1, 1, 1, 1]),
        ({"kind": "step", "at": 0.5, "factor": 0.1}, [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1]),
        (
            {"kind": "step", "at": 0.25, "factor": 0.1, "warmup": 0.4},  # 3.2 iterations
            [1 / 3.2, 2 / 3.2, 0.3 / 3.2, 0.1, 0.1, 0.1, 0.1, 0.1],
        ),
        (
            {"kind": "cosine", "from": 0.5, "end": 0.2},
            [1] * 5 + [0.2 + 0.8 * (1 + math.cos(math.pi * k / 4)) / 2 for k in (1, 2, 3)],
        ),
    ],
)
def test_rates_are_those_on_paper(schedule, rates):
    made = Training.model_validate({"schedule": schedule, "lr": 2.0, "steps": 8}).schedule
    found = [made.rate(2.0, 8, n) for n in range(8)]
    assert_rounded(found, [2 * rate for rate in rates], 1)


@pytest.mark.parametrize("kind", sorted(Schedule.known()))
def test_the_rate_after_a_warm_up_is_that_without_it(kind):
    needed = {"at": 0.7, "factor": 0.5} if kind == "step" else {}
    plain, warm = (
        Training.model_validate({"schedule": {"kind": kind, "warmup": share, **needed}}).schedule
        for share in (0.0, 0.3)
    )
    for n in range(30, 100):
        assert warm.rate(0.1, 100, n) == plain.rate(0.1, 100, n)
    assert all(warm.rate(0.1, 100, n) < plain.rate(0.1, 100, n) for n in range(29))


def test_a_folder_holds_nothing_but_methods(tmp_path, monkeypatch):
    package = tmp_path / "some_methods"
    package.mkdir()
    (package / "__init__.py").write_text("")
    base = "from emtkit.methods.method import Method\nfrom abc import abstractmethod\n"
    base += "class Way(Method):\n    @abstractmethod\n    def go(self): ...\n"
    one = "from typing import Literal\nfrom some_methods.base import Way\n"
    one += "class {name}(Way):\n    kind: Literal['{kind}'] = '{kind}'\n    def go(self): ...\n"
    (package / "base.py").write_text(base)
    (package / "left.py").write_text(one.format(name="Left", kind="left"))
    monkeypatch.syspath_prepend(tmp_path)
    from some_methods.base import Way  # type: ignore[import-not-found]

    assert issubclass(Way, Method)
    assert list(Way.known()) == ["left"]
    assert folder.module_names("some_methods") == ["left"]
    (package / "again.py").write_text(one.format(name="Again", kind="left"))
    from emtkit.methods import method

    method._known.cache_clear()
    with pytest.raises(TypeError, match=r"again and some_methods\.left both name the kind 'left'"):
        Way.known()
    (package / "again.py").write_text("")
    monkeypatch.delitem(sys.modules, "some_methods.again")
    with pytest.raises(TypeError, match=r"again\.py holds no final Way"):
        Way.known()


def test_muon_names_what_is_hidden_by_the_last_part_of_a_name():
    hidden = [slot.name for slot in SLOTS if Muon()._is_hidden(slot)]
    assert hidden == ["cell.W_hh", "mix"]


def test_a_row_without_clip_and_decay_does_not_notice_those_of_its_neighbours():
    plain, other = (
        Training(clip=None, lr=0.1, optimizer={"kind": "sgd", "momentum": 0.9}),
        Training(clip=1.0, weight_decay=0.5, lr=0.1, optimizer={"kind": "sgd", "momentum": 0.9}),
    )
    huge = torch.tensor([[3e38, -0.0, -3e38, 1.0]])  # the norm overflows
    found = []
    for trainings in ([plain, plain], [plain, other]):
        weights, gradients = torch.tensor([[1.0, -2.0, 3.0, -0.0]] * 2), huge.repeat(2, 1)
        buffers = {"momentum": torch.full((2, 4), -0.0)}
        optimiser = TensorOptimiser(trainings, weights)
        alive = torch.ones(2, 1, dtype=torch.bool)
        optimiser.step(weights, gradients, buffers, optimiser.schedule([0, 0]), alive)
        found.append((weights[0].numpy().tobytes(), buffers["momentum"][0].numpy().tobytes()))
    assert found[0] == found[1]
    assert not np.isnan(np.frombuffer(found[0][0], np.float32)).any()
