"""Intervals, permutation tests and corrections against what is known on paper."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test, trim_mean, wilcoxon

from emtkit.errors import PluginError
from emtkit.plugin.statistic import STATISTICS, Estimate, Sample, statistic_named
from emtkit.report.inference import resampling as stats
from emtkit.report.inference.resampling import difference
from emtkit.report.inference.statistics.median import ranks
from tests.rounding import assert_rounded, rounding

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: 0.0 if abs(x) < 1e-6 else x)
samples = st.lists(numbers, min_size=1, max_size=20).map(np.array)
MEAN, MEDIAN, BEST, SHARE, TRIMMED = map(
    statistic_named, ("mean", "median", "best", "share", "trimmed")
)
NUMERIC = [one for one in map(statistic_named, STATISTICS.names) if one.reads == "numbers"]
TESTED = [one for one in NUMERIC if one.least_p(1) is not None]
kinds = st.sampled_from(NUMERIC)


def sample(*values: float, by: tuple[float, ...] | None = None) -> Sample:
    return Sample(np.array(values, float), None if by is None else np.array(by, float))


@settings(deadline=None, max_examples=60)
@given(samples, kinds, st.randoms(use_true_random=False))
def test_interval_contains_the_estimate_and_lies_in_the_range(values, kind, random):
    ranks = np.array(random.sample(range(len(values)), len(values)), float)
    found = stats.bootstrap(kind, Sample(values, ranks))
    assert found.low <= found.value <= found.high
    slack = rounding(len(values), np.abs(values).max())
    assert values.min() - slack <= found.low
    assert found.high <= values.max() + slack
    assert found.n == len(values)


def test_interval_is_the_same_whatever_was_asked_before():
    first = stats.bootstrap(MEAN, sample(1, 2, 3, 5, 8))
    stats.bootstrap(MEDIAN, sample(*range(300)))
    assert stats.bootstrap(MEAN, sample(1, 2, 3, 5, 8)) == first


def test_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says():
    draws = np.random.default_rng(3).normal(size=(400, 30))
    found = [stats.bootstrap(MEAN, Sample(row)) for row in draws]
    share = np.mean([one.low <= 0 <= one.high for one in found])
    expected = 0.935  # the percentile interval is a little short at n = 30
    assert abs(share - expected) < 3 * math.sqrt(expected * (1 - expected) / 400)


def test_interval_of_a_mean_agrees_with_the_normal_law():
    values = np.random.default_rng(5).normal(size=4000)
    found = stats.bootstrap(MEAN, Sample(values))
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert found.low == pytest.approx(found.value - half, abs=0.1 * half)
    assert found.high == pytest.approx(found.value + half, abs=0.1 * half)


def test_one_value_has_an_interval_of_no_width():
    assert all(stats.bootstrap(kind, sample(0.3)) == Estimate(0.3, 0.3, 0.3, 1) for kind in NUMERIC)


@pytest.mark.parametrize(("by", "value"), [((0.1, 0.2, 0.3), 7.0), ((-0.1, -0.2, -0.3), 9.0)])
def test_best_is_the_value_of_the_network_with_the_least_by(by, value):
    found = stats.bootstrap(BEST, sample(7, 8, 9, by=by))
    assert found.value == value
    assert (found.low, found.high) == (7, 9)  # the worst of 3 is drawn alone 3.7 % of the time


def test_best_resamples_seeds_exactly():
    # P(best of 3 is missed by a resample of 3) = (2/3)^3 = .296, (1/3)^3 = .037 for both best
    draws = stats.resampled(BEST, sample(7, 8, 9, by=(1, 2, 3)))
    assert np.mean(draws > 7) == pytest.approx((2 / 3) ** 3, abs=0.03)
    assert np.mean(draws > 8) == pytest.approx((1 / 3) ** 3, abs=0.015)


def test_empty_and_undefined_samples_are_refused():
    with pytest.raises(ValueError, match="no values"):
        stats.bootstrap(MEAN, sample())
    with pytest.raises(ValueError, match="NaN"):
        stats.bootstrap(MEAN, sample(1, math.nan))
    with pytest.raises(ValueError, match="equal lengths; found 2 and 1"):
        difference(sample(1, 2), sample(1), MEAN)


def brute_p(a, b):
    """All swaps of pairs by hand, one at a time."""
    observed, hits, ways = abs(np.mean(a) - np.mean(b)), 0, 0
    for swaps in itertools.product([False, True], repeat=len(a)):
        first = [y if s else x for x, y, s in zip(a, b, swaps, strict=True)]
        second = [x if s else y for x, y, s in zip(a, b, swaps, strict=True)]
        tied = observed - rounding(len(a), np.abs(a).max() + np.abs(b).max())
        hits += abs(np.mean(first) - np.mean(second)) >= tied
        ways += 1
    return hits / ways


def test_permutation_p_of_means_equals_brute_force():
    generator = np.random.default_rng(11)
    a, b = generator.normal(size=7), generator.normal(0.8, size=7)
    assert MEAN.p(a - b) == brute_p(a, b)


def test_permutation_p_of_medians_is_wilcoxons():
    generator = np.random.default_rng(12)
    a, b = generator.normal(size=11), generator.normal(0.7, size=11)
    p = MEDIAN.p(a - b)
    assert_rounded(p, wilcoxon(a, b, method="exact").pvalue, 1)


def test_equal_sizes_share_their_rank():
    assert ranks(np.array([0.5, 0.0, 2.0, 0.5])).tolist()[0::2] == [1.5, 3.0]


@given(st.lists(numbers, min_size=1, max_size=18).map(np.array))
@settings(deadline=None, max_examples=30)
def test_identical_data_have_p_one_and_no_effect(values):
    found = difference(Sample(values), Sample(values), MEAN)
    assert found.p == 1
    assert found.effect == 0
    assert (found.estimate.value, found.estimate.low, found.estimate.high) == (0, 0, 0)


@pytest.mark.parametrize("n", [1, 4, 6, 10, 14, 20])
def test_clearly_separated_pairs_reach_the_least_p(n):
    for kind in TESTED:
        found = kind.p(np.arange(n) + 100.0)
        assert found == pytest.approx(kind.least_p(n), abs=1.5e-4 if n > 14 else 0)


def test_random_swaps_agree_with_the_exact_p(monkeypatch):
    generator = np.random.default_rng(2)
    differences = generator.normal(0.4, 1, 13) - generator.normal(size=13)
    exact = MEAN.p(differences)
    monkeypatch.setattr(stats, "EXACT_UP_TO", 5)
    drawn = MEAN.p(differences)
    assert drawn == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / stats.FLIPS))


def test_best_and_share_carry_no_p():
    a, b = sample(1, 2, by=(1, 2)), sample(3, 4, by=(1, 2))
    assert difference(a, b, BEST).p is None
    assert difference(sample(1, 0), sample(0, 0), SHARE).p is None


def test_effect_is_the_mean_of_differences_over_their_spread():
    found = difference(sample(3, 5, 7), sample(1, 2, 3), MEAN)
    assert found.effect == pytest.approx(3 / 1)  # differences 2, 3, 4
    assert difference(sample(2, 3), sample(1, 2), MEAN).effect == math.inf


def test_holm_is_the_published_step_down():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.01, None, 0.04]) == [0.02, None, 0.04]
    assert stats.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_and_keeps_their_order(ps):
    corrected = stats.holm(ps)
    assert all(c is not None and p <= c <= 1 for p, c in zip(ps, corrected, strict=True))
    order = np.argsort(ps, kind="stable")
    assert np.all(np.diff(np.array(corrected, float)[order]) >= 0)


def test_share_near_the_best():
    by = np.array([1.00, 1.02, 1.04, 2.0])
    assert stats.share_near_best(by, 0.03) == 0.5
    assert stats.share_near_best(-by, 0.03) == 0.25
    assert stats.share_near_best(np.array([-1.0, -0.98, 0.0]), 0.03) == pytest.approx(2 / 3)


@given(st.lists(numbers, min_size=1, max_size=40).map(np.array))
def test_a_trimmed_mean_is_the_reference_implementations(values):
    size = 1 + np.abs(values).max()
    rounding = 4 * len(values) * np.finfo(float).eps * size  # two orders of one sum
    assert TRIMMED(values) == pytest.approx(trim_mean(values, 0.2), abs=rounding)


def test_a_trimmed_mean_leaves_two_outliers_of_ten_aside():
    assert TRIMMED(np.array([1e9, 3, 4, -1e9, 5, 5, 6, 7, 1e9, -1e9])) == 5.0
    assert TRIMMED(np.array([1.0, 2.0, 6.0])) == 3.0  # of fewer than 5 none can be spared


def test_permutation_p_of_a_trimmed_mean_is_the_reference_implementations():
    differences = np.random.default_rng(13).normal(0.5, 1, size=9)
    reference = permutation_test(
        (differences, np.zeros(9)),
        lambda a, b, axis: np.abs(trim_mean(a - b, 0.2, axis=axis)),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
        alternative="greater",
    )
    assert TRIMMED.p(differences) == reference.pvalue


def test_the_interval_of_a_trimmed_mean_agrees_with_its_standard_error():
    """Tukey and McLaughlin: winsorised deviation over (1 - 2 * 0.2) sqrt(n)."""
    values = np.random.default_rng(6).standard_t(2, size=4000)
    found = stats.bootstrap(TRIMMED, Sample(values))
    winsorised = np.clip(values, *np.quantile(values, [0.2, 0.8]))
    half = 1.96 * winsorised.std() / (0.6 * math.sqrt(len(values)))
    assert found.low == pytest.approx(found.value - half, abs=0.1 * half)
    assert found.high == pytest.approx(found.value + half, abs=0.1 * half)


@pytest.mark.parametrize("name", STATISTICS.names)
def test_every_statistic_of_the_folder_keeps_the_contract(name):
    kind = statistic_named(name)
    values = np.array([[1.0, 0.0, 1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]])
    by = np.arange(12.0).reshape(2, 6)
    both, one = kind(values, by), kind(values[1], by[1])
    assert both.shape == (2,)
    assert both[1] == one
    if kind.reads != "texts":
        found = stats.bootstrap(kind, Sample(values[1], by[1]))
        assert found.low <= found.value == one <= found.high
    assert (kind.p(values[1]) is None) == (kind.least_p(6) is None)


def test_the_mode_is_the_commonest_and_the_first_of_equals():
    assert statistic_named("mode")(np.array([2.0, 1.0, 0.0, 2.0, 1.0])) == 1.0


def test_an_unknown_statistic_is_named_with_what_was_meant():
    with pytest.raises(PluginError, match="no statistic 'trimmd'; did you mean 'trimmed'"):
        statistic_named("trimmd")
