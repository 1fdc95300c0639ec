"""Intervals, swap tests and corrections against what is known on paper."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import (
    binom,
    binomtest,
    mannwhitneyu,
    permutation_test,
    quantile_test,
    spearmanr,
    trim_mean,
    ttest_1samp,
)

from emtkit.errors import PluginError
from emtkit.plugin import swaps
from emtkit.plugin.statistic import STATISTICS, Estimate, Sample, statistic_named
from emtkit.report.inference import resampling as stats
from emtkit.report.inference.statistics.mode import is_commonest
from tests.rounding import rounding

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: 0.0 if abs(x) < 1e-6 else x)
samples = st.lists(numbers, min_size=1, max_size=20).map(np.array)
MEAN, MEDIAN, BEST, SHARE, TRIMMED = map(
    statistic_named, ("mean", "median", "best", "share", "trimmed")
)
NUMERIC = [
    statistic_named(name, 2 if name == "expected_best" else None)
    for name in STATISTICS.names
    if statistic_named(name).reads == "numbers" and not statistic_named(name).pairs
]
kinds = st.sampled_from(NUMERIC)
CORRELATION = statistic_named("rank_correlation")
AUROC, AGREEMENT = map(statistic_named, ("auroc", "agreement"))


def sample(*values: float, by: tuple[float, ...] | None = None) -> Sample:
    return Sample(np.array(values, float), None if by is None else np.array(by, float))


def against_zero(kind, differences):
    """p of differences, as pairs with zero."""
    values = np.array(differences, float)
    return kind.p(Sample(values), Sample(np.zeros(len(values))))


@settings(deadline=None, max_examples=60)
@given(samples, kinds, st.randoms(use_true_random=False))
def test_an_interval_holds_the_estimate_and_lies_in_the_range(values, kind, random):
    ranks = np.array(random.sample(range(len(values)), len(values)), float)
    found = kind.interval(Sample(values, ranks))
    assert found.n == len(values)
    if math.isnan(found.value):
        return  # the best of more runs than there are
    if not found.bounded:
        assert found.why
        return
    assert found.low <= found.value <= found.high
    slack = rounding(len(values), np.abs(values).max())
    if len(values) < 20:  # beyond, that of a mean may be Student's t
        assert values.min() - slack <= found.low
        assert found.high <= values.max() + slack


@pytest.mark.parametrize("n", range(6, 40))
def test_the_interval_of_a_median_is_the_reference_implementations(n):
    values = np.random.default_rng(n).normal(size=n)
    found, reference = MEDIAN.interval(Sample(values)), quantile_test(values, p=0.5)
    ends = reference.confidence_interval(0.95)
    assert (found.low, found.high) == (ends.low, ends.high)


@pytest.mark.parametrize("n", [11, 15, 19])
def test_the_interval_of_a_mean_reaches_from_below_the_third_decile_to_above_the_seventh(n):
    values = np.random.default_rng(n).exponential(size=n)
    found = MEAN.interval(Sample(values))
    below = quantile_test(values, p=0.3, alternative="greater").confidence_interval(0.975).low
    above = quantile_test(values, p=0.7, alternative="less").confidence_interval(0.975).high
    assert (found.low, found.high) == (below, above)


def test_the_interval_of_a_mean_of_many_normal_values_is_students():
    normal = np.random.default_rng(5).normal(size=40)
    found, ends = MEAN.interval(Sample(normal)), ttest_1samp(normal, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    skewed = np.exp(2 * normal)
    assert MEAN.interval(Sample(skewed)).low in skewed


def test_few_values_have_no_interval_and_say_how_many_do():
    assert MEAN.interval(sample(1, 2, 3)).why == (
        "3 networks give no 95 % interval of a mean; 11 do"
    )
    assert not MEAN.interval(Sample(np.arange(10.0))).bounded
    assert MEAN.interval(Sample(np.arange(11.0))).bounded
    assert not MEDIAN.interval(Sample(np.arange(5.0))).bounded
    assert not BEST.interval(Sample(np.arange(500.0))).bounded


def test_one_value_has_an_interval_of_no_width():
    one = [kind.of(1) for kind in NUMERIC]
    assert all(kind.interval(sample(0.3)) == Estimate(0.3, 0.3, 0.3, 1) for kind in one)


@pytest.mark.parametrize(("count", "n"), [(0, 3), (3, 3), (4, 9), (16, 16)])
def test_the_interval_of_a_share_is_exact_on_both_sides(count, n):
    found = SHARE.interval(Sample(np.arange(n) < count))
    if count:
        assert binom.sf(count - 1, n, found.low) == pytest.approx(0.025)
    if count < n:
        assert binom.cdf(count, n, found.high) == pytest.approx(0.025)


@pytest.mark.parametrize(("by", "value"), [((0.1, 0.2, 0.3), 7.0), ((-0.1, -0.2, -0.3), 9.0)])
def test_best_is_the_value_of_the_network_with_the_least_by(by, value):
    found = BEST.interval(sample(7, 8, 9, by=by))
    assert (found.value, found.bounded) == (value, False)


@pytest.mark.parametrize("runs", [1, 2, 3, 5])
def test_an_expected_best_is_the_mean_over_all_subsets(runs):
    generator = np.random.default_rng(4)
    values, by = generator.normal(size=(2, 7))
    chosen = itertools.combinations(range(7), runs)
    bests = [values[min(one, key=lambda k: by[k])] for one in chosen]
    kind = statistic_named("expected_best", runs)
    assert kind(values, by) == pytest.approx(np.mean(bests))
    assert math.isnan(statistic_named("expected_best", 8)(values, by))


def test_an_expected_best_has_no_bias():
    draws = np.random.default_rng(8).exponential(size=(40_000, 6))  # E min of 4 = 1 / 4
    found = statistic_named("expected_best", 4)(draws)
    assert found.mean() == pytest.approx(0.25, abs=4 * found.std() / 200)


def test_an_expected_best_of_one_is_the_mean_and_of_all_the_best():
    values = np.random.default_rng(9).normal(size=9)
    assert statistic_named("expected_best", 1)(values) == pytest.approx(values.mean())
    assert statistic_named("expected_best", 9)(values) == pytest.approx(values.min())


def brute_p(kind, a, b):
    """All swaps of pairs by hand, one at a time."""
    observed, hits, ways = abs(float(kind(a) - kind(b))), 0, 0
    for swapped in itertools.product([False, True], repeat=len(a)):
        first = [y if s else x for x, y, s in zip(a, b, swapped, strict=True)]
        second = [x if s else y for x, y, s in zip(a, b, swapped, strict=True)]
        tied = observed - rounding(len(a), np.abs(a).max() + np.abs(b).max())
        hits += abs(float(kind(np.array(first)) - kind(np.array(second)))) >= tied
        ways += 1
    return hits / ways


@pytest.mark.parametrize("kind", [MEAN, BEST, statistic_named("expected_best", 3)])
def test_p_of_swapped_sides_equals_brute_force(kind):
    generator = np.random.default_rng(11)
    a, b = generator.normal(size=7), generator.normal(0.8, size=7)
    assert kind.p(Sample(a), Sample(b)) == brute_p(kind, a, b)


def test_p_of_medians_is_the_sign_tests():
    generator = np.random.default_rng(12)
    a, b = generator.normal(size=11), generator.normal(0.7, size=11)
    wins = int(np.count_nonzero(a > b))
    assert MEDIAN.p(Sample(a), Sample(b)) == pytest.approx(binomtest(wins, 11).pvalue)


def test_p_of_shares_is_mcnemars():
    a, b = np.array([1, 1, 1, 1, 1, 1, 1, 0, 1.0]), np.array([0, 0, 0, 0, 0, 0, 1, 1, 1.0])
    assert SHARE.p(Sample(a), Sample(b)) == pytest.approx(binomtest(6, 7).pvalue)


@settings(deadline=None, max_examples=40)
@given(st.lists(numbers, min_size=6, max_size=12).map(np.array))
@pytest.mark.parametrize("kind", [MEAN, MEDIAN])
def test_an_interval_of_a_difference_leaves_out_0_just_where_p_is_small(kind, values):
    a, b = Sample(values), Sample(np.zeros(len(values)))
    found = kind.difference(a, b)
    if kind.pairs:
        assert found.low >= -1
        assert found.high <= 1
        return
    slack = rounding(len(values), np.abs(values).max())
    apart = found.low > slack or found.high < -slack
    touches = min(abs(found.low), abs(found.high)) <= slack
    assert touches or apart == (kind.p(a, b) < 0.05)


def test_differences_of_few_pairs_have_no_interval():
    a, b = sample(1, 2, 3, 4, 5), sample(0, 0, 0, 0, 0)
    assert MEAN.difference(a, b).why == "5 pairs give no 95 % interval of a difference; 6 do"
    assert "5 networks give no" in MEDIAN.difference(a, b).why
    assert not BEST.difference(a, b).bounded


@given(st.lists(numbers, min_size=1, max_size=18).map(np.array), kinds)
@settings(deadline=None, max_examples=30)
def test_identical_data_have_p_one_and_no_effect(values, kind):
    same = Sample(values)
    found = kind.p(same, same)
    assert found == 1 or np.isnan(kind(values))
    assert stats.effect_size(values - values) == 0


@pytest.mark.parametrize("n", [2, 4, 6, 10, 14, 20])
def test_clearly_separated_pairs_reach_the_least_p(n):
    for kind in NUMERIC:
        found = against_zero(kind, np.arange(n) + 100.0)
        assert found == pytest.approx(kind.least_p(n), abs=1.5e-4 if n > 14 else 0)


def test_random_swaps_agree_with_the_exact_p(monkeypatch):
    generator = np.random.default_rng(2)
    differences = generator.normal(0.4, 1, 13) - generator.normal(size=13)
    exact = against_zero(MEAN, differences)
    monkeypatch.setattr(swaps, "EXACT_UP_TO", 5)
    swaps._small_swaps.cache_clear()
    drawn = against_zero(MEAN, differences)
    swaps._small_swaps.cache_clear()
    assert drawn == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / swaps.SWAPS))


def test_effect_is_the_mean_of_differences_over_their_spread():
    assert stats.effect_size(np.array([2.0, 3, 4])) == pytest.approx(3 / 1)
    assert stats.effect_size(np.array([1.0, 1])) == math.inf


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


def test_p_of_a_trimmed_mean_is_the_reference_implementations():
    differences = np.random.default_rng(13).normal(0.5, 1, size=9)
    reference = permutation_test(
        (differences, np.zeros(9)),
        lambda a, b, axis: np.abs(trim_mean(a - b, 0.2, axis=axis)),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
        alternative="greater",
    )
    assert against_zero(TRIMMED, differences) == reference.pvalue


@pytest.mark.parametrize("name", STATISTICS.names)
def test_every_statistic_of_the_folder_keeps_the_contract(name):
    kind = statistic_named(name)
    values = np.array([[1.0, 0.0, 1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]])
    by = np.arange(12.0).reshape(2, 6) % 4  # with a zero: for some statistics they are truths
    both, one = kind(values, by), kind(values[1], by[1])
    assert both.shape == (2,)
    assert both[1] == one
    if kind.reads != "texts":
        found = kind.interval(Sample(values[1], by[1]))
        assert found.value == one
        assert found.bounded != bool(found.why)
    assert kind.noun
    assert bool(kind.method) == (kind.least is not None)


def test_the_mode_is_the_commonest_and_the_first_of_equals():
    assert statistic_named("mode")(np.array([2.0, 1.0, 0.0, 2.0, 1.0])) == 1.0


@pytest.mark.parametrize("n", [3, 5, 6, 8, 12, 24])
def test_equally_frequent_texts_are_rarely_called_commonest(n):
    chances = binom.pmf(np.arange(n + 1), n, 0.5)
    called = [is_commonest(count, [n - count]) for count in range(n + 1)]
    for word in (True, False):
        assert sum(p for p, one in zip(chances, called, strict=True) if one is word) <= 0.025
    assert is_commonest(n, []) is (True if n >= 6 else None)


def test_an_unknown_statistic_is_named_with_what_was_meant():
    with pytest.raises(PluginError, match="no statistic 'trimmd'; did you mean 'trimmed'"):
        statistic_named("trimmd")


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=30))
def test_a_rank_correlation_is_the_reference_implementations(pairs):
    x, y = np.array(pairs, float).T
    found = float(CORRELATION(x, y))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert math.isnan(found)
        return
    assert found == pytest.approx(spearmanr(x, y).statistic, abs=rounding(len(x)))
    # Only the order counts, and which of both is which does not.
    assert float(CORRELATION(np.exp(x), y**3)) == found
    assert float(CORRELATION(y, x)) == pytest.approx(found, abs=rounding(len(x)))
    assert float(CORRELATION(-x, y)) == pytest.approx(-found, abs=rounding(len(x)))


def test_a_rank_correlation_has_an_interval_from_ten_networks_on():
    x = np.arange(12.0)
    y = np.array([2.0, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11])
    found = CORRELATION.interval(Sample(x, y))
    r = 1 - 6 * 12 / (12 * 143)  # twelve ranks that are off by one
    assert found.value == pytest.approx(r)
    half = 1.959964 * math.sqrt((1 + r**2 / 2) / 9)
    assert found.low == pytest.approx(math.tanh(math.atanh(r) - half))
    assert found.high == pytest.approx(math.tanh(math.atanh(r) + half))
    few = CORRELATION.interval(Sample(x[:9], y[:9]))
    assert few.why == "9 networks give no 95 % interval of a rank correlation; 10 do"
    in_order = CORRELATION.interval(Sample(x, x))
    assert in_order.value == in_order.high == 1.0
    assert 0.9 < in_order.low < 1.0


@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=30))
def test_an_auroc_is_the_share_of_pairs_in_order(pairs):
    values, true = np.array(pairs, float).T
    found, hits, others = float(AUROC(values, true)), values[true == 1], values[true == 0]
    if not len(hits) or not len(others):
        assert math.isnan(found)
        return
    in_order = [(x > y) + (x == y) / 2 for x in hits for y in others]
    assert found == pytest.approx(np.mean(in_order), abs=rounding(len(pairs)))
    reference = mannwhitneyu(hits, others).statistic / (len(hits) * len(others))
    assert found == pytest.approx(reference, abs=rounding(len(pairs)))
    assert float(AUROC(-values, true)) == pytest.approx(1 - found, abs=rounding(len(pairs)))
    assert not AUROC.interval(Sample(values, true)).bounded


def test_an_auroc_is_one_where_a_threshold_decides_and_half_where_values_are_equal():
    true = np.array([1.0, 0, 1, 0])
    assert float(AUROC(np.array([3.0, 1, 4, 2]), true)) == 1
    assert float(AUROC(np.array([1.0, 3, 1, 3]), true)) == 0
    assert float(AUROC(np.ones(4), true)) == 0.5
    stacked = np.array([[3.0, 1, 4, 2], [1.0, 3, 1, 3]])
    assert AUROC(stacked, np.broadcast_to(true, (2, 4))).tolist() == [1, 0]


def test_an_agreement_is_a_share_with_the_interval_of_its_count():
    found = AGREEMENT.interval(sample(0, 1, 2, 2, 1, by=(0, 1, 2, 0, 0)))
    expected = binomtest(3, 5).proportion_ci(0.95, method="exact")
    assert (found.value, found.low, found.high) == (0.6, expected.low, expected.high)
