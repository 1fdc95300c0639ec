"""`noise_horizon` against the closed form of linear maps and the exact kernel of saturated ones."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from emtkit import Findings, NotApplicable, Stream
from emtkit_std._theory.noise import diffusion
from emtkit_std._theory.noise.disturbed import KICKS, TINY, horizon_of, kick, walk
from emtkit_std.analyses.noise_horizon import FACTORS, LAST, NoiseHorizon
from emtkit_std.architectures.elman import Elman
from emtkit_std.architectures.emt_circuit import EmtCircuit
from emtkit_std.architectures.gru import GatedRecurrentUnit
from emtkit_std.tasks.hds import HistoryDependentSystem as Hds
from emtkit_std.tasks.k_delay import KDelay
from tests.rounding import rounding
from tests.std.pictures import drawings_of
from tests.std.subjects import build, subject_of

COPY = Hds(rule="repeat", history=4, dimension=2, horizon=12)
GAIN = 2.0


def circuit(kind: str, **parameters: object) -> EmtCircuit:
    saturated = {"basis": "units", "activation": "tanh", "gain": GAIN}
    given = saturated if kind == "saturated" else {}
    return build(EmtCircuit, COPY, hidden=16, **{**given, **parameters}).double()


@cache
def found(kind: str) -> Findings:
    model = build(Elman, COPY, hidden=16).double() if kind == "untrained" else circuit(kind)
    return NoiseHorizon(steps=1000).measure(subject_of(model, COPY))


def is_near(right: np.ndarray, chance: float) -> bool:
    """Whether the share of right signs (B) of two independent outputs has that chance."""
    signs = 2 * len(right)
    error = math.sqrt(chance * (1 - chance) / signs)
    return abs(right.mean() - chance) < 4 * error + 1 / signs


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 1000), st.integers(1, 6), st.floats(0.3, 1.1))
def test_the_variance_is_that_of_many_noisy_runs(seed: int, hidden: int, radius: float) -> None:
    """Any F, not only normal ones; 4 standard errors of a variance, var sqrt(2 / N)."""
    rng, steps, runs = np.random.default_rng(seed), 12, 20_000
    F = rng.normal(size=(hidden, hidden))
    F *= radius / max(abs(np.linalg.eigvals(F)))
    W_r = rng.normal(size=(2, hidden))
    v = diffusion.growth(F, W_r, steps)
    h = np.zeros((runs, hidden))
    for k in range(steps):
        h = h @ F.T + 0.3 * rng.normal(size=h.shape)
        seen = ((h @ W_r.T) ** 2).mean(0)  # the mean error is 0, and known to be
        assert seen == pytest.approx(0.09 * v[k], rel=4 * math.sqrt(2 / runs))


def test_a_neutral_circuit_diffuses_in_proportion_to_time() -> None:
    """v_k = k, and the horizon of the curve is the closed form, rounded down."""
    model = circuit("linear")
    weights = (model.W_hh.numpy(), model.W_r.numpy())
    v = diffusion.growth(*weights, 3000)
    # built in single precision: each of 3,000 steps may stretch a row by its rounding
    steps = np.arange(1, 3001)[:, None] * np.ones(2)
    assert v == pytest.approx(steps, rel=rounding(3000, dtype=np.float32))
    for noise in (0.02, 0.1, 0.3):
        means = np.ones((1, 3000, 2))
        accuracy = diffusion.expected_right(means, means, noise**2 * v).mean((0, 2))
        exact = diffusion.neutral_horizon(1.0, noise, 1.0, 0.9)
        assert horizon_of(accuracy, 0.9) == min(3000, math.floor(exact))
    four = diffusion.neutral_horizon(1.0, 0.2, 1.0, 0.9)
    assert diffusion.neutral_horizon(1.0, 0.1, 1.0, 0.9) == pytest.approx(4 * four)
    assert diffusion.neutral_horizon(2.0, 0.2, 1.0, 0.9) == pytest.approx(4 * four)


def test_without_variance_a_sign_is_right_or_wrong() -> None:
    means, signs = np.array([[[2.0, -1.0]]]), np.array([[[1.0, 1.0]]])
    assert diffusion.expected_right(means, signs, np.zeros((1, 2))).tolist() == [[[1.0, 0.0]]]
    half = diffusion.expected_right(0 * means, signs, np.ones((1, 2)))
    assert half.tolist() == [[[0.5, 0.5]]]


@pytest.mark.parametrize("gain", [1.0, 0.98])
def test_accuracies_are_those_of_the_closed_form(gain: float) -> None:
    """A neutral and a leaky circuit; means of 512 histories within 4 standard errors."""
    model = circuit("linear", gain=gain)
    analysis = NoiseHorizon(sequences=512, steps=400)
    silence = analysis._silence(subject_of(model, COPY))
    walked = walk(silence, analysis.sizes, 400, Stream(None, "noise", dtype=torch.float64))
    expected = analysis._expected(subject_of(model, COPY), silence)
    assert expected is not None
    for at, k in [(0, 399), (1, 300), (2, 5), (2, 60), (2, 150), (3, 30), (4, 2), (4, 10)]:
        assert is_near(walked.right[at, :, k], expected[at, k]), (at, k)
    assert (walked.silent == 1).all()


def kernel_accuracy(noise: float, steps: int) -> list[float]:
    """P(sign right) of one unit x <- tanh(g x) + noise xi from x = 1, by its transition kernel.

    A value moves from unit to unit and back, and its own noise comes along: one dimension.
    """
    edges = np.linspace(-4, 4, 1601)
    centres = (edges[:-1] + edges[1:]) / 2
    kernel = np.diff(ndtr((edges - np.tanh(GAIN * centres)[:, None]) / noise), axis=1)
    density, right = np.diff(ndtr((edges - math.tanh(GAIN)) / noise)), []
    for _ in range(steps):
        right.append(float(density[centres > 0].sum()))
        density = density @ kernel
    return right


@pytest.mark.parametrize(("at", "noise"), [(3, 0.2), (4, 0.4)])
def test_a_saturated_circuit_errs_as_its_transition_kernel_says(at: int, noise: float) -> None:
    analysis = NoiseHorizon(sequences=512, steps=400)
    silence = analysis._silence(subject_of(circuit("saturated"), COPY))
    walked = walk(silence, analysis.sizes, 400, Stream(None, "noise", dtype=torch.float64))
    exact = kernel_accuracy(noise, 400)
    for k in (1, 4, 20, 100, 399):
        assert is_near(walked.right[at, :, k], exact[k]), k


def test_the_basin_of_a_saturated_circuit_ends_where_a_sign_turns() -> None:
    """tanh(g x) keeps the sign of x: a history recovers while 1 + s xi_i x_i > 0 in every unit."""
    silence = NoiseHorizon()._silence(subject_of(circuit("saturated"), COPY))
    stream = Stream(None, "kicks", dtype=torch.float64)
    directions = stream.fork("same").normal((64, 16)).numpy()
    kicked = kick(silence, 200, stream.fork("same"))
    memories = silence.first.numpy() != 0
    toward = np.where(memories, -directions * np.sign(silence.first.numpy()), -np.inf).max(1)
    edge = abs(silence.first.numpy()).max() / np.maximum(toward, 1e-9) / silence.size
    sizes = np.array([0.0, *KICKS])
    exact = sizes[np.searchsorted(sizes, edge) - 1]
    # units that hold no memory send nothing into those that do
    assert kicked.basins.tolist() == exact.tolist()


def test_a_linear_circuit_keeps_what_disturbs_it() -> None:
    said = found("linear").scalars
    # differences of TINY of the state after LAST steps of 16 sums each
    assert said["uncorrected"] == pytest.approx(1, abs=rounding(16 * LAST, 1 / TINY))
    assert said["amplification"] == pytest.approx(math.sqrt(1000 * 8 / 16), rel=0.1)
    assert said["exponent"] == pytest.approx(-2, abs=0.3)
    assert said["expected_horizon"] == 60
    assert abs(said["horizon"] - 60) < 4 * said["horizon_error"]
    assert said["tolerated"] <= 0.025
    assert said["silent_accuracy"] == 1.0


def test_a_saturated_circuit_corrects() -> None:
    said = found("saturated").scalars
    assert said["uncorrected"] < 1e-6
    assert said["horizon"] == said["lifetime"] == 1000
    assert said["censored"] == said["accuracy"] == 1.0
    assert said["tolerated"] >= 0.1
    # the spread of eight units that forget with slope g (1 - a^2), and eight that only hear noise
    a = 1.0
    for _ in range(200):
        a = math.tanh(GAIN * a)
    slope = GAIN * (1 - a * a)
    assert said["amplification"] == pytest.approx(
        math.sqrt((1 / (1 - slope**2) + 1) / 2), rel=4 * said["amplification_error"]
    )
    assert math.isnan(said["expected_horizon"])


def test_an_untrained_network_is_at_chance() -> None:
    said = found("untrained").scalars
    assert said["basin"] == said["tolerated"] == said["tolerable"] == 0
    assert said["horizon"] == 0
    assert said["accuracy"] == pytest.approx(0.5, abs=4 * said["accuracy_error"])


def test_noise_of_training_is_left_out() -> None:
    noisy = NoiseHorizon(steps=400).measure(subject_of(circuit("linear", noise=0.5), COPY))
    silent = NoiseHorizon(steps=400).measure(subject_of(circuit("linear"), COPY))
    assert noisy.scalars == pytest.approx(silent.scalars, nan_ok=True)


def test_tables_and_drawing() -> None:
    sizes, curves = found("linear").tables["sizes"], found("linear").tables["curves"]
    assert sizes["noise"].tolist() == pytest.approx([0.1 * factor for factor in FACTORS])
    assert curves["expected"].notna().all()
    for kind in ("linear", "saturated", "untrained"):
        assert drawings_of(NoiseHorizon, found(kind))


def test_a_gated_network_is_measured_and_a_delay_is_not() -> None:
    gated = build(GatedRecurrentUnit, COPY, hidden=8).double()
    said = NoiseHorizon(steps=400, sequences=8).measure(subject_of(gated, COPY)).scalars
    assert math.isnan(said["expected_horizon"])
    task = KDelay(delay=2)
    with pytest.raises(NotApplicable, match="no signs that go on in silence"):
        NoiseHorizon().measure(subject_of(build(Elman, task, hidden=4).double(), task))
