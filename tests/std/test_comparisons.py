"""Comparisons on pairs of networks of which the answer is known."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.stats import spearmanr

from emtkit import NotApplicable
from emtkit_std._theory import similarity
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.gru import GatedRecurrentUnit
from emtkit_std.architectures.linear_rnn import LinearRnn
from emtkit_std.architectures.mechanisms.dead import Dead
from emtkit_std.architectures.mechanisms.magnitude_code import MagnitudeCode
from emtkit_std.architectures.mechanisms.phase_clock import PhaseClock
from emtkit_std.architectures.mechanisms.register import Register
from emtkit_std.architectures.mechanisms.stable_cycle import StableCycle
from emtkit_std.comparisons.behaviour import Behaviour
from emtkit_std.comparisons.cca import CanonicalCorrelation
from emtkit_std.comparisons.cka import CentredKernelAlignment
from emtkit_std.comparisons.dsa import DynamicalSimilarity
from emtkit_std.comparisons.ends import Ends
from emtkit_std.comparisons.linear_conjugacy import LinearConjugacy
from emtkit_std.comparisons.memory import Memory
from emtkit_std.comparisons.procrustes import Procrustes
from emtkit_std.comparisons.pwcca import ProjectionWeightedCca
from emtkit_std.comparisons.rsa import RepresentationalSimilarity
from emtkit_std.tasks.hds import HistoryDependentSystem
from emtkit_std.tasks.k_delay import KDelay
from tests.std.known_pairs import COPY, bent, clock, linear, sheared
from tests.std.null_nets import Changed, OpenClock, changes, oblique
from tests.std.subjects import build, subject_of

ALL = (
    Behaviour,
    CanonicalCorrelation,
    CentredKernelAlignment,
    DynamicalSimilarity,
    LinearConjugacy,
    Memory,
    Procrustes,
    ProjectionWeightedCca,
    RepresentationalSimilarity,
)
TASK = KDelay(delay=3)
ZERO = 2e-6
"""An angle whose cosine is 1 up to rounding."""


@cache
def network(seed: int = 0, cls: type = LinearRnn, hidden: int = 6):
    model = build(cls, TASK, hidden=hidden).double()
    return linear(seed, hidden) if cls is LinearRnn else model


def distance(cls, first, second) -> float:
    found = cls().measure(subject_of(first, TASK), subject_of(second, TASK))
    return found.scalars["distance"]


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.name)
def test_rotated_permuted_and_flipped_copies_are_the_same(cls) -> None:
    model, size = network(), 6
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(size, size)))[0]
    known = changes(size)
    for matrix in (rotation, known["order of units"], known["signs"], 3.0 * rotation):
        assert distance(cls, model, Changed(model, matrix)) <= ZERO


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.name)
def test_oblique_coordinates_matter_where_geometry_does(cls) -> None:
    model = network()
    apart = distance(cls, model, Changed(model, oblique(6, 30.0)))
    if cls in (Behaviour, CanonicalCorrelation, LinearConjugacy, Memory, ProjectionWeightedCca):
        assert apart <= ZERO
    elif cls is DynamicalSimilarity:  # which 8 directions of 24 are kept depends on them
        assert 1e-3 < apart < 0.05
    else:
        assert apart > 0.05


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.name)
def test_untrained_networks_are_apart(cls) -> None:
    if cls in (CanonicalCorrelation, DynamicalSimilarity, ProjectionWeightedCca):
        # Linear networks of one input without a bottleneck hold the same few lags.
        first, second = network(cls=Elman, hidden=16), network(cls=GatedRecurrentUnit, hidden=16)
    elif cls is Memory:  # six units hold all four items
        first, second = network(0, hidden=2), network(1, hidden=2)
    else:
        first, second = network(0), network(1)
    apart = distance(cls, first, second)
    assert apart > 0.05
    assert apart == pytest.approx(distance(cls, second, first), abs=1e-9)


def test_equal_behaviour_by_other_dynamics() -> None:
    """A phase clock and a shift register both answer with the input of three steps ago."""
    from emtkit_std.architectures.shift_register import ShiftRegister

    clock = OpenClock(TASK, history=4).double()
    register = build(ShiftRegister, TASK, hidden=4).double()
    last = KDelay(delay=3, scored="last")
    pair = subject_of(clock, last), subject_of(register, last)
    alike = Behaviour().measure(*pair).scalars["distance"]
    apart = LinearConjugacy().measure(*pair).scalars["distance"]
    assert alike <= ZERO
    assert apart >= 1.0 - ZERO  # the register forgets in 4 steps, the clock turns for ever


def test_similarities_equal_their_definitions() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 7))
    y[:, :3] += x[:, :3]
    assert similarity.debiased_cka(x, y) == pytest.approx(slow_cka(x, y), abs=1e-12)
    one, other = (part - part.mean(0) for part in (np.pad(x, ((0, 0), (0, 2))), y))
    one, other = one / np.linalg.norm(one), other / np.linalg.norm(other)
    _, scale = orthogonal_procrustes(one, other)
    assert similarity.procrustes_angle(x, y) == pytest.approx(np.arccos(scale), abs=1e-9)
    both = np.linalg.matrix_rank(np.hstack([x - x.mean(0), y - y.mean(0)]))
    assert both == 12
    distances = [
        [np.linalg.norm(part[i] - part[j]) for i in range(40) for j in range(i + 1, 40)]
        for part in (x, y)
    ]
    wanted = spearmanr(*distances).statistic
    assert similarity.rank_correlation_of_distances(x, y) == pytest.approx(wanted, abs=1e-9)


def slow_cka(x, y) -> float:
    """By the kernels themselves."""
    n, kernels = len(x), [one @ one.T for one in (x, y)]
    for kernel in kernels:
        np.fill_diagonal(kernel, 0.0)

    def hsic(k, m):
        sums = k.sum() * m.sum() / ((n - 1) * (n - 2))
        return (np.trace(k @ m) + sums - 2 / (n - 2) * (k @ m).sum()) / (n * (n - 3))

    k, m = kernels
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def test_debiased_cka_of_unrelated_states_is_zero_in_the_mean() -> None:
    rng = np.random.default_rng(1)
    found = [
        similarity.debiased_cka(rng.normal(size=(30, 20)), rng.normal(size=(30, 20)))
        for _ in range(300)
    ]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(300)


def test_canonical_correlations_of_known_states() -> None:
    rng = np.random.default_rng(2)
    base = np.linalg.qr(rng.normal(size=(200, 4)) - 0.0)[0]
    base -= base.mean(0)
    base = np.linalg.qr(base)[0]
    x = base[:, :2]
    mixed = 0.6 * base[:, :1] + 0.8 * base[:, 2:3]
    found = similarity.canonical_correlations(x, np.hstack([mixed, base[:, 3:]]))
    assert found == pytest.approx([0.6, 0.0], abs=1e-9)
    assert similarity.canonical_correlations(x, mixed) == pytest.approx([0.6, 0.0], abs=1e-9)


def test_weighted_correlation_counts_what_a_direction_is_of_the_units() -> None:
    """Units 3 e_1, -3 e_1 and e_2 against .6 e_1 + .8 e_3 and e_4: (6 * .6 + 1 * 0) / 7."""
    rng = np.random.default_rng(2)
    drawn = rng.normal(size=(200, 4))
    base = np.linalg.qr(drawn - drawn.mean(0))[0]
    x = base[:, [0, 0, 1]] * [3.0, -3.0, 1.0]
    y = np.stack([0.6 * base[:, 0] + 0.8 * base[:, 2], base[:, 3]], axis=1)
    assert similarity.weighted_correlation(x, y) == pytest.approx(3.6 / 7, abs=1e-9)
    # the other way: y_1 is its own canonical direction, and so is y_2, of equal size
    assert similarity.weighted_correlation(y, x) == pytest.approx(0.3, abs=1e-9)
    assert similarity.weighted_correlation(x, x) == pytest.approx(1.0, abs=1e-9)


def test_the_error_is_that_of_fresh_sequences() -> None:
    """The spread of the distance over disjoint sequences, against the error that one set tells."""
    first, second = (network(s, Elman, 8) if s else network(0) for s in (0, 1))
    comparison = Behaviour(sequences=4096)
    one, other = (comparison.observe(subject_of(m, TASK)) for m in (first, second))
    parts = [
        comparison.compare(a, b).scalars
        for a, b in zip(np.split(one, 32), np.split(other, 32), strict=True)
    ]
    spread = np.std([part["distance"] for part in parts], ddof=1)
    told = np.mean([part["distance_error"] for part in parts])
    assert told == pytest.approx(spread, rel=0.4)


DSA = {"delays": 3, "rank": 6}
"""A step of the copies for each item, and as many directions as the memory has."""


@pytest.mark.parametrize("score", ["rotation", "eigenvalues"])
def test_dsa_sees_one_flow_behind_other_coordinates(score) -> None:
    """A linear change with all directions kept; a nonlinear one with as many delays as items."""
    whole = DynamicalSimilarity(delays=1, score=score)
    assert sheared().distance(whole) <= ZERO
    assert bent().distance(DynamicalSimilarity(**DSA, score=score)) <= ZERO
    assert bent().distance(CentredKernelAlignment()) > 0.2
    assert clock().distance(DynamicalSimilarity(**DSA, score=score)) > 0.3
    assert clock().distance(Behaviour()) <= ZERO


def test_dsa_counts_directions_that_one_network_lacks() -> None:
    """Of 8 directions kept the register has 6, whose operator turns: sqrt(2 / (6 + 8))."""
    found = bent().distance(DynamicalSimilarity(delays=3, rank=8))
    assert found == pytest.approx(np.sqrt(2 / 14), abs=1e-6)


def test_dsa_says_when_it_cannot_look() -> None:
    seen = subject_of(linear(), TASK)
    with pytest.raises(NotApplicable, match="steps show"):
        DynamicalSimilarity(delays=64).observe(seen)


def test_one_memory_by_two_mechanisms() -> None:
    """A register and slots by a clock hold the same items whole, and move them otherwise."""
    pair = (subject_of(build(cls, COPY), COPY) for cls in (Register, PhaseClock))
    found = Memory().measure(*pair).scalars
    assert found["distance"] <= 1e-6
    assert found["moving"] > 0.3


def test_noise_is_the_same_for_both_and_as_large_as_asked() -> None:
    """The register answers with its inputs, so with their noise."""
    subject = subject_of(build(Register, TASK), TASK)
    clean, noisy = (Behaviour(noise=s, sequences=2048).observe(subject) for s in (0.0, 0.5))
    assert np.std(noisy - clean) == pytest.approx(0.5, rel=0.02)
    twice = Behaviour(noise=0.5).measure(subject, subject).scalars["distance"]
    assert twice == 0.0


def test_two_stable_cycles_end_alike_and_attract_at_their_own_rates() -> None:
    """Per step the errors of a corrected register shrink to 1 - a, those of magnitudes to r."""
    task = HistoryDependentSystem(rule="repeat", history=3, dimension=1, horizon=12)
    cycle = build(StableCycle, task, correction=0.8).double()
    code, dead = build(MagnitudeCode, task, ratio=0.3).double(), build(Dead, task).double()
    ends = Ends(sequences=16, steps=200, longest=20)
    alike = ends.measure(subject_of(cycle, task), subject_of(code, task)).scalars
    assert alike["distance"] == 0
    assert alike["rate"] == pytest.approx(np.log(0.3 / 0.2), abs=1e-6)
    assert ends.measure(subject_of(cycle, task), subject_of(dead, task)).scalars["distance"] == 1
