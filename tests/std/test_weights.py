"""Weights of two networks, their units matched: copies, and networks with nothing in common."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch

from emtkit import NotApplicable
from emtkit_std._theory.units import units_of
from emtkit_std.architectures.attention import Attention
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.gru import GatedRecurrentUnit
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.lstm import LongShortTermMemory
from emtkit_std.architectures.wave_rnn import WaveRnn
from emtkit_std.comparisons.weights import Weights
from emtkit_std.tasks.k_delay import KDelay
from tests.std.subjects import build, subject_of

TASK = KDelay(delay=3)
H = 7
FLIPS = {Elman: [0], LinearRnn: [0], GatedRecurrentUnit: [2], LongShortTermMemory: [2]}
"""The blocks of rows that change sign with their unit; of gates only what they propose."""


def network(cls: type, seed: int = 0, **parameters: object) -> torch.nn.Module:
    model = build(cls, TASK, hidden=H, **parameters).double()
    rng = np.random.default_rng(seed)
    for weight in model.parameters():
        weight.copy_(torch.from_numpy(rng.normal(size=weight.shape) * 0.5))
    return model


def copied(cls: type, order: np.ndarray, signs: np.ndarray, **parameters: object):
    """The network with its units reordered and flipped, written by hand."""
    model = network(cls, **parameters)
    for name, weight in model.named_parameters():
        if name == "W_r":
            weight.copy_(weight[:, order] * torch.from_numpy(signs))
            continue
        if name == "b_r":
            continue
        blocks = weight.reshape(-1, H, *weight.shape[1:]).clone()
        for at, block in enumerate(blocks):
            mine = block[order]
            if name == "W_hh":
                mine = mine[:, order] * torch.from_numpy(signs)
            if at in FLIPS[cls] or name == "b_n":
                mine = mine * torch.from_numpy(signs).reshape(H, *[1] * (mine.dim() - 1))
            blocks[at] = mine
        weight.copy_(blocks.reshape(weight.shape))
    return model


def distance(first, second, of: str = "all") -> float:
    subjects = (subject_of(model, TASK) for model in (first, second))
    return Weights(of=of).measure(*subjects).scalars["distance"]


@pytest.mark.parametrize("of", ["all", "recurrent"])
@pytest.mark.parametrize("cls", list(FLIPS), ids=lambda cls: cls.name)
def test_reordered_and_flipped_copies_are_the_same(cls, of) -> None:
    rng = np.random.default_rng(4)
    order, signs = rng.permutation(H), rng.choice([-1.0, 1.0], H)
    copy = copied(cls, order, signs)
    inputs = torch.randn(3, 9, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    answers = [model.trace(inputs, 9).outputs for model in (network(cls), copy)]
    assert torch.allclose(*answers, atol=1e-12)
    assert distance(network(cls), copy, of) <= 1e-6
    other = network(cls, seed=1)
    assert distance(other, copy, of) == pytest.approx(distance(other, network(cls), of), abs=1e-9)
    assert distance(network(cls), other, of) == distance(other, network(cls), of) > 0.3


def test_signs_of_relu_units_matter() -> None:
    relu = network(Elman, activation="relu")
    assert units_of(subject_of(relu, TASK)).flips is None
    assert distance(relu, network(Elman, activation="relu")) == 0.0
    flipped = network(Elman, activation="relu")
    flipped.W_r[:, 0] *= -1
    flipped.W_uh[0] *= -1
    flipped.W_hh[0] *= -1
    flipped.W_hh[:, 0] *= -1
    assert distance(relu, flipped) > 0.1


def test_a_scaled_copy_is_as_far_as_it_is_scaled() -> None:
    """|W - 2 W| / sqrt(|W|^2 + 4 |W|^2) = 1 / sqrt(5), where no other match is nearer."""
    model, twice = network(LinearRnn), network(LinearRnn)
    for weight in twice.parameters():
        weight.mul_(2.0)
    assert distance(model, twice) == pytest.approx(1 / np.sqrt(5), abs=1e-9)


def test_the_match_is_that_of_every_order() -> None:
    """Four units: all 24 orders and 16 signs are tried by hand."""
    first, second = (build(Elman, TASK, hidden=4).double() for _ in range(2))
    rng = np.random.default_rng(5)
    for model in (first, second):
        for weight in model.parameters():
            weight.copy_(torch.from_numpy(rng.normal(size=weight.shape)))
    one, other = (units_of(subject_of(model, TASK)) for model in (first, second))
    size = one.size + other.size
    least = min(
        sum(np.square(a - b).sum() for a, b in zip(parts(one), parts(tried), strict=True))
        for order in permutations(range(4))
        for signs in product([-1.0, 1.0], repeat=4)
        for tried in [other.moved(np.array(order), np.array(signs))]
    )
    assert distance(first, second) == pytest.approx(np.sqrt(least / size), abs=1e-9)


def parts(units):
    return units.recurrent, units.inputs, units.readout, units.biases


def test_what_has_no_units_to_exchange_is_refused() -> None:
    with pytest.raises(NotApplicable, match="W_hh"):
        units_of(subject_of(build(Attention, TASK, hidden=4), TASK))
    wave = subject_of(build(WaveRnn, TASK), TASK)
    with pytest.raises(NotApplicable, match=r"W_hh|order of the units"):
        units_of(wave)
    with pytest.raises(NotApplicable, match="common form"):
        distance(network(Elman), network(GatedRecurrentUnit))
