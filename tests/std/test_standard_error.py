"""Standard errors against the spread of the same finding over fresh sequences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from emtkit import Analysis, SequenceModel, Stream, Task
from emtkit_std._theory import standard_error
from emtkit_std.analyses.attention_boundary import AttentionBoundary
from emtkit_std.analyses.basis_sensitivity import BasisSensitivity
from emtkit_std.analyses.emt_basis import EmtBasis
from emtkit_std.analyses.gradient_lag import GradientLag
from emtkit_std.analyses.history_decoding import HistoryDecoding
from emtkit_std.analyses.information_capacity import InformationCapacity
from emtkit_std.analyses.intervene import Intervene
from emtkit_std.analyses.memory_map import MemoryMap
from emtkit_std.analyses.twm_waves import TwmWaves
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.emt_circuit import EmtCircuit
from emtkit_std.architectures.twm_attention import TwmAttention
from emtkit_std.architectures.twm_linear import TwmLinear
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import rounding
from tests.std.subjects import build, subject_of

REPEAT = HistoryDependentSystem(rule="repeat", history=3, dimension=2)
DIAGONAL = HistoryDependentSystem(rule="diagonal", history=4, dimension=4)
DELAY = KDelay()
WITHIN = 0.35
"""A standard deviation of 48 draws is right to 10 %; the rest is what linearising leaves out."""


def curved() -> SequenceModel:
    """A network of tanh in its curved range, whose findings differ from sequence to sequence."""
    model = build(Elman, REPEAT, hidden=16, activation="tanh").double()
    model.W_hh.mul_(2.0)
    return model


def disturbed() -> SequenceModel:
    """The exact circuit with noise on its weights, so that some signs are wrong."""
    model = build(EmtCircuit, DIAGONAL, hidden=16, activation="tanh", amplitude=0.1).double()
    weights = model.state_dict()["W_hh"]
    noise = torch.randn(weights.shape, generator=torch.Generator().manual_seed(1)).double()
    weights += 0.2 * noise / torch.linalg.matrix_norm(noise, 2)
    return model


def driven() -> SequenceModel:
    """A network on a delay, which holds some of its inputs in part."""
    return build(Elman, DELAY, hidden=6, activation="tanh").double()


def content_steered() -> SequenceModel:
    """Attention with a favourite column, as a tie between two bends `leak`."""
    model = build(TwmAttention, REPEAT, position="onehot", exact_strength=2.0).double()
    model.W_Q.add_(0.3 * torch.randn(model.W_Q.shape, generator=torch.Generator().manual_seed(0)))
    return model


@pytest.mark.parametrize(
    ("analysis", "network", "names"),
    [
        (GradientLag(sequences=16), curved, ("decay_rate", "first_over_last")),
        (GradientLag(of="loss", sequences=16), curved, ("decay_rate", "first_over_last")),
        (
            AttentionBoundary(sequences=32),
            content_steered,
            ("entropy", "leak", "boundary_error"),
        ),
        (EmtBasis(sequences=16, threshold=0.7), disturbed, ("sign_agreement",)),
        (TwmWaves(sequences=64, draws=4), disturbed, ("history_r2", "wave_share")),
        (
            TwmWaves(sequences=64, draws=4, basis="emt"),
            disturbed,
            ("amplitude_ratio", "shift_residual", "coherence", "boundary_residual"),
        ),
        (InformationCapacity(sequences=32, lags=12, degree=2), driven, ("linear", "total")),
        pytest.param(
            MemoryMap(sequences=128),
            disturbed,
            ("held", "used", "interference"),
            marks=pytest.mark.slow,  # of all statistics 48 times: fifteen seconds
        ),
        (HistoryDecoding(sequences=64), curved, ("mean_r2", "oldest_r2")),
        (
            Intervene(sequences=16, threshold=0.7),
            disturbed,
            ("accuracy_before", "change", "null_change"),
        ),
        (BasisSensitivity(draws=6, noises=(1e-4,), threshold=0.7), disturbed, ("phi_gain_dual",)),
    ],
)
def test_it_is_the_spread_over_fresh_samples(
    analysis: Analysis, network: Callable[[], SequenceModel], names: tuple[str, ...]
) -> None:
    model = network()
    task = {disturbed: DIAGONAL, driven: DELAY}.get(network, REPEAT)
    found = [measured(analysis, model, task, seed) for seed in range(48)]
    for name in names:
        values = np.array([scalars[name] for scalars in found])
        errors = np.array([scalars[f"{name}_error"] for scalars in found])
        assert values.std() > 0, name
        assert np.sqrt(np.square(errors).mean()) == pytest.approx(values.std(), rel=WITHIN), name


def measured(analysis: Analysis, model: SequenceModel, task: Task, seed: int) -> dict[str, float]:
    subject = replace(subject_of(model, task), stream=Stream(seed, "analysis"))
    return dict(analysis.measure(subject).scalars)


def test_an_exact_network_has_no_spread() -> None:
    exact = build(TwmLinear, REPEAT, exact=True).double()
    found = measured(EmtBasis(), exact, REPEAT, 0) | measured(TwmWaves(), exact, REPEAT, 0)
    assert found["sign_agreement_error"] == 0.0
    assert found["history_r2_error"] == pytest.approx(0.0, abs=rounding(64))


def test_a_function_of_a_mean() -> None:
    """The mean itself gives std / sqrt(N); exp(mean) that times exp(mean), to first order."""
    values = np.random.default_rng(0).normal(2.0, 0.1, size=400)
    plain = standard_error.of_mean(values)
    assert standard_error.of_function(values, lambda mean: mean) == pytest.approx(plain)
    curved = standard_error.of_function(values, np.exp)
    assert curved == pytest.approx(plain * np.exp(values.mean()), rel=1e-2)


def test_a_single_sequence_has_no_spread() -> None:
    assert np.isnan(standard_error.of_mean(np.ones(1)))
    assert np.isnan(standard_error.of_function(np.ones((1, 2)), lambda mean: mean)).all()
