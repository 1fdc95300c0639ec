"""Verdicts on data that were built to support, refute or leave open what is claimed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emtkit.plugin.statistic import NORMAL_95
from emtkit.report.data.results import Results
from emtkit.report.inference.claims import verdicts_of
from emtkit.report.inference.verdict import expectation_text
from emtkit.study.views import Claim
from tests.report.frames import NAN, frame, reasons

DENSITIES = {"task.density": [1.0, 0.1]}


def claim(**expect):
    return Claim.model_validate({"id": "c", "text": "It holds.", "expect": expect})


def alone(verdict):
    """What the expectation alone shows: the claims of this file have no controls."""
    if verdict.word != "unchecked":
        return verdict
    cause = verdict.cause.removeprefix("no negative control").removeprefix("; ")
    return replace(verdict, word="supported", cause=cause)


def verdicts(data, why=None, **expect):
    return [alone(one) for one in verdicts_of(Results(data, why), [claim(**expect)])]


def only(data, why=None, **expect):
    (verdict,) = verdicts(data, why, **expect)
    return verdict


def noisy(mean, seeds=8, spread=1.0):
    """Values of exactly this median and spread."""
    draws = np.random.default_rng(7).normal(size=seeds)
    values = (draws - np.median(draws)) / draws.std() * spread + mean
    return frame({}, seeds, lambda axes, seed: {"a.x": float(values[seed])})


@pytest.mark.parametrize(
    ("expect", "mean", "word"),
    [
        ({"below": 0.0}, -3.0, "supported"),
        ({"below": 0.0}, 3.0, "not supported"),
        ({"below": 0.0}, -0.1, "inconclusive"),
        ({"above": 0.0}, 3.0, "supported"),
        ({"above": 0.0}, -3.0, "not supported"),
        ({"above": 0.0}, 0.1, "inconclusive"),
        ({"equals": 0.0, "tolerance": 3.0}, 0.1, "supported"),
        ({"equals": 0.0, "tolerance": 1.5}, 4.0, "not supported"),
        ({"equals": 0.0, "tolerance": 1.5}, 1.5, "inconclusive"),
    ],
)
def test_threshold_claims_by_their_interval(expect, mean, word):
    found = only(noisy(mean), value="a.x", stat="median", **expect)
    assert found.word == word
    assert found.value == pytest.approx(mean)
    assert found.p is None
    assert (found.n, found.total) == (8, 8)


def densities(shift, seeds=8, between=5.0):
    """x at density 0.1 is x at density 1 plus `shift`, seed by seed, up to noise."""
    draws = np.random.default_rng(1).normal(0, 0.1, (2, seeds))
    draws -= draws.mean(axis=1, keepdims=True)

    def scalars(axes, seed):
        sparse = axes["task.density"] == 0.1
        return {"a.x": between * seed + shift * sparse + float(draws[int(sparse), seed])}

    return frame(DENSITIES, seeds, scalars)


SPARSE_BELOW_DENSE = {
    "value": "a.x",
    "where": {"task.density": 0.1},
    "below": {"where": {"task.density": 1.0}},
}


@pytest.mark.parametrize(
    ("shift", "word"),
    [(-1.0, "supported"), (1.0, "not supported"), (0.0, "inconclusive")],
)
@pytest.mark.parametrize("stat", ["mean", "median"])
def test_comparisons_between_conditions_are_tested_in_pairs(shift, word, stat):
    # seeds differ by far more than conditions: only pairs can tell
    found = only(densities(shift), stat=stat, **SPARSE_BELOW_DENSE)
    assert found.word == word
    if stat == "mean":
        assert found.value - found.compared == pytest.approx(found.estimate.value)
    assert found.estimate.value == pytest.approx(shift, abs=0.1)
    assert len(found.cells) == 16
    assert found.p == 2 / 2**8 if shift else found.p > 0.05


def test_few_seeds_cannot_reach_a_p_and_it_says_so():
    found = only(densities(-1.0, seeds=4), **SPARSE_BELOW_DENSE)
    assert found.word == "inconclusive"
    assert found.p == 2 / 2**4
    assert "4 seeds cannot go below 0.125" in found.cause


@pytest.mark.parametrize("best", [{"stat": "best"}, {"stat": "expected_best", "of": 3}])
def test_bests_are_compared_by_swapping_sides_and_never_with_a_number(best):
    apart = densities(-1.0, between=0.0)
    found = only(apart, **best, **SPARSE_BELOW_DENSE)
    assert (found.p, found.word) == (2 / 2**8, "supported")
    assert not found.estimate.bounded
    above = {**SPARSE_BELOW_DENSE, "above": SPARSE_BELOW_DENSE["below"]}
    del above["below"]
    assert only(apart, **best, **above).word == "not supported"
    assert only(densities(0.0, between=0.0), **best, **SPARSE_BELOW_DENSE).word == "inconclusive"
    number = only(apart, value="a.x", **best, where={"task.density": 0.1}, below=5.0)
    assert number.word == "inconclusive"
    assert "interval" in number.cause


def test_an_expected_best_needs_its_number_of_runs():
    with pytest.raises(ValueError, match="needs `of`"):
        claim(value="a.x", stat="expected_best", below=1.0)
    with pytest.raises(ValueError, match="`of` belongs to `stat: expected_best`"):
        claim(value="a.x", of=3, below=1.0)
    few = only(noisy(0.0), value="a.x", stat="expected_best", of=9, below=1.0)
    assert few.word == "not testable"
    assert few.cause == "the best of 9 runs asks for 9 networks; there are 8"


def test_too_few_networks_for_an_interval_are_told():
    found = only(noisy(-3.0, seeds=5), value="a.x", stat="median", below=0.0)
    assert (found.word, found.cause) == (
        "inconclusive",
        "5 networks give no 95 % interval of a median; 6 do",
    )
    assert only(noisy(-3.0, seeds=10), value="a.x", below=0.0).word == "inconclusive"
    assert only(noisy(-3.0, seeds=12), value="a.x", below=0.0).word == "supported"


def test_all_claims_of_a_study_are_one_family():
    data = Results(densities(-1.0))
    one = claim(**SPARSE_BELOW_DENSE)
    assert [v.p for v in verdicts_of(data, [one])] == [2 / 2**8]
    assert [v.p for v in verdicts_of(data, [one] * 6)] == [6 * 2 / 2**8] * 6
    found = verdicts_of(data, [one] * 7)
    assert {(v.word, v.p) for v in found} == {("inconclusive", 7 * 2 / 2**8)}
    alone = claim(value="a.x", stat="median", where={"task.density": 0.1}, below=1e9)
    assert [v.p for v in verdicts_of(data, [one, alone])] == [2 / 2**8, None]


def test_each_gives_a_verdict_per_combination_and_corrects_them_together():
    data = frame(
        {"task.delay": [3, 5, 8], **DENSITIES},
        8,
        lambda axes, seed: {
            "a.x": seed
            + (axes["task.density"] == 0.1)
            * (-1.0 if axes["task.delay"] != 5 else 1.0)
            * (1 + seed)
        },
    )
    found = verdicts(data, **SPARSE_BELOW_DENSE)
    assert [v.levels for v in found] == [(("task.delay", delay),) for delay in (3, 5, 8)]
    assert [v.word for v in found] == ["supported", "not supported", "supported"]
    assert found[0].p == pytest.approx(3 * 2 / 2**8)


def test_all_and_share_give_one_verdict():
    data = frame(
        {"task.delay": [3, 5, 8, 13]},
        6,
        lambda axes, seed: {"a.x": (1.0 if axes["task.delay"] == 13 else -1.0) + 0.01 * seed},
    )
    kept = {"value": "a.x", "stat": "median", "below": 0.0}
    whole = only(data, **kept, **{"for": "all"})
    assert (whole.word, len(whole.parts)) == ("not supported", 4)
    assert whole.cause == "3 of 4 unchecked, 1 not supported"
    assert only(data, **kept, **{"for": {"share": 0.75}}).word == "supported"
    assert only(data, **kept, **{"for": {"share": 0.8}}).word == "not supported"
    open_one = data.copy()
    open_one.loc[open_one["task.delay"] == 13, "a.x"] = [-1.0, 1.0] * 3
    assert only(open_one, **kept, **{"for": "all"}).word == "inconclusive"


def test_what_one_parameter_decides_is_no_axis_of_its_own():
    """A zip of delay and steps: either names the condition, and the other follows."""
    data = frame(DENSITIES, 8, lambda axes, seed: {"a.x": seed - (axes["task.density"] == 0.1)})
    data["task.steps"] = (data["task.density"] * 100).astype(int)
    assert only(data, **SPARSE_BELOW_DENSE).word == "supported"


def test_missing_data_are_not_testable():
    data = noisy(-3.0)
    for gone in (data.assign(status="missing", **{"a.x": NAN}), data.drop(columns="a.x")):
        assert only(gone, value="a.x", below=0.0).word == "not testable"
    partly = data.copy()
    partly.loc[3:, "status"] = "missing"
    partly.loc[3:, "a.x"] = NAN
    found = only(partly, value="a.x", below=0.0)
    assert (found.word, found.cause) == ("not testable", "5 of 8 cells were not run to the end")


def test_a_condition_that_no_cell_meets_is_not_testable():
    found = only(noisy(0.0), value="a.x", where={"architecture": "lstm"}, below=0.0)
    assert found.word == "not testable"
    assert "architecture = lstm" in found.cause
    compared = only(noisy(0.0), value="a.x", below={"where": {"architecture": "lstm"}})
    assert (compared.word, "no cell has" in compared.cause) == ("not testable", True)


def test_undefined_and_not_applicable_are_not_testable_with_the_reason():
    data = noisy(-3.0)
    data.loc[2, "a.x"] = NAN
    why = reasons((data.cell[2], "a", "x", "counts differ", "done"))
    found = only(data, why, value="a.x", below=0.0)
    assert (found.word, "counts differ" in found.cause) == ("not testable", True)
    none = data.assign(**{"a.x": NAN, "a.y": NAN})
    why = reasons(*((cell, "a", None, "no state map", "not_applicable") for cell in none.cell))
    found = only(none, why, value="a.x", below=0.0)
    assert (found.word, found.cause) == ("not testable", "not applicable: no state map")


def test_failed_cells_are_told():
    data = noisy(-3.0)
    data.loc[0, "status"] = "failed"
    data.loc[0, "a.x"] = NAN
    found = only(data, value="a.x", stat="median", below=0.0)
    assert (found.word, found.n, found.total, found.cause) == ("supported", 7, 8, "1 failed")


def test_not_applicable_combinations_do_not_count_against_a_share():
    data = frame(
        {"architecture": ["elman", "attention"]},
        6,
        lambda axes, seed: (
            {"a.x": -1.0} if axes["architecture"] == "elman" else {"a.x": NAN, "a.y": NAN}
        ),
    )
    cells = data[data.architecture == "attention"].cell
    why = reasons(*((cell, "a", None, "no state map", "not_applicable") for cell in cells))
    kept = {"value": "a.x", "stat": "median", "below": 0.0}
    assert only(data, why, **kept, **{"for": "all"}).word == "supported"
    assert [v.word for v in verdicts(data, why, **kept)] == ["supported", "not testable"]


def test_one_seed_decides_only_where_chance_has_no_part():
    data = frame({}, 1, lambda axes, seed: {"a.x": -3.0})
    assert only(data, value="a.x", below=0.0).word == "inconclusive"
    assert only(data, value="a.x", below=0.0, where={"seed": 0}).word == "supported"
    constructed = data.assign(**{"training.steps": NAN})
    assert only(constructed, value="a.x", below=0.0).word == "supported"
    assert only(constructed, value="a.x", above=0.0).word == "not supported"


def test_text_claims():
    words = ["sparse"] * 8
    data = frame({}, 8, lambda axes, seed: {"a.regime": words[seed]})
    regime = {"value": "a.regime", "stat": "mode"}
    assert only(data, **regime, equals="sparse").word == "supported"
    assert only(data, **regime, equals="dense").word == "not supported"
    mixed = data.assign(**{"a.regime": ["sparse", "dense"] * 4})
    assert only(mixed, **regime, equals="dense").word == "inconclusive"
    share = {"share": {"of": "a.regime", "equals": "sparse"}}
    assert only(mixed, **share, above=0.1).word == "supported"
    assert only(mixed, **share, above=0.9).word == "not supported"


def test_a_boolean_claim_asks_for_every_network():
    data = frame({}, 6, lambda axes, seed: {"a.comparable": True})
    assert only(data, value="a.comparable", stat="median", equals=True).word == "supported"
    data.loc[0, "a.comparable"] = False
    assert only(data, value="a.comparable", stat="median", equals=True).word != "supported"
    assert only(data, value="a.comparable", stat="share", above=0.3).word == "supported"


def test_two_scalars_of_the_same_networks():
    data = frame({}, 8, lambda axes, seed: {"a.x": 1.0 * seed, "b.y": seed + 0.5 + 0.01 * seed})
    assert only(data, value="a.x", below={"value": "b.y"}).word == "supported"
    assert only(data, value="a.x", above={"value": "b.y"}).word == "not supported"


def test_an_unknown_scalar_is_not_testable_and_names_the_near_one():
    found = only(noisy(0.0), value="a.xx", below=0.0)
    assert found.word == "not testable"
    assert "a.x" in found.cause


def test_expectations_read_as_sentences():
    assert expectation_text(claim(value="a.x", stat="median", below=0.5).expect) == (
        "median of a.x below 0.5"
    )
    assert expectation_text(claim(**SPARSE_BELOW_DENSE).expect) == (
        "mean of a.x with task.density = 0.1 below that with task.density = 1"
    )


def test_judge_keeps_the_order_of_the_claims():
    data = Results(noisy(-3.0))
    kept = {"value": "a.x", "stat": "median"}
    found = verdicts_of(data, [claim(**kept, below=0.0), claim(**kept, above=0.0)])
    assert [alone(verdict).word for verdict in found] == ["supported", "not supported"]


def test_the_text_of_an_observed_best_decides_nothing_of_trained_networks():
    data = frame(
        {},
        16,
        lambda axes, seed: {"a.regime": "sparse" if seed < 8 else "dense", "a.loss": float(seed)},
    )
    best = {"value": "a.regime", "stat": "best", "by": "a.loss"}
    found = only(data, **best, equals="sparse")
    assert (found.word, found.value) == ("inconclusive", "sparse")
    assert "observed best has no interval" in found.cause
    one = data[data.seed == 0].reset_index(drop=True).assign(**{"training.steps": NAN})
    assert only(one, **best, equals="sparse").word == "supported"
    assert only(one, **best, equals="dense").word == "not supported"


def test_constructed_networks_are_compared_without_chance():
    data = frame(DENSITIES, 3, lambda axes, seed: {"a.x": axes["task.density"]})
    assert only(data, **SPARSE_BELOW_DENSE).word == "inconclusive"
    constructed = data.assign(**{"training.steps": NAN})
    assert only(constructed, **SPARSE_BELOW_DENSE).word == "supported"


@pytest.mark.parametrize(("optimum", "word"), [(1.0, "supported"), (2.0, "not supported")])
def test_trained_networks_are_compared_with_one_constructed_network(optimum, word):
    trained = frame({"architecture": ["ssm"]}, 16, lambda axes, seed: {"a.x": 1.0 + 0.001 * seed})
    exact = frame({"architecture": ["optimal"]}, 1, lambda axes, seed: {"a.x": optimum})
    exact = exact.assign(**{"training.steps": NAN, "cell": "optimal"})
    both = pd.concat([trained, exact], ignore_index=True)
    found = only(
        both,
        value="a.x",
        stat="median",
        where={"architecture": "ssm"},
        equals={"where": {"architecture": "optimal"}},
        tolerance=0.02,
    )
    assert (found.word, found.n) == (word, 16)


def evaluated(loss, noise, seeds=8, densities=(1.0, 0.1), trained=True):
    """Losses of every seed, equal but for a thousandth, each with the error of its evaluation."""
    data = frame(
        {"task.density": list(densities)},
        seeds,
        lambda axes, seed: {
            "test.loss": loss * (1 if axes["task.density"] == 1.0 else 0.9) + 1e-3 * seed,
            "test.loss_error": noise,
        },
    )
    return data if trained else data.assign(**{"training.steps": NAN})


def test_the_error_of_the_evaluation_set_enters_what_is_claimed_of_a_number():
    where = {"value": "test.loss", "stat": "median", "where": {"task.density": 1.0}}
    for noise, word in ((0.0, "supported"), (0.02, "supported"), (0.1, "inconclusive")):
        found = only(evaluated(1.0, noise), **where, below=1.1)
        assert found.word == word
        assert found.estimate.noise == noise
        assert found.estimate.high - found.value == pytest.approx(
            np.hypot(0.0035, NORMAL_95 * noise)
        )


def test_an_error_that_is_not_a_number_is_not_known():
    """Stores of others may hold anything, terminal escapes in the place of a standard error too."""
    where = {"value": "test.loss", "stat": "median", "where": {"task.density": 1.0}}
    found = only(evaluated(1.0, "\x1b[2J"), **where, below=1.1)
    assert (found.word, found.estimate.noise) == ("supported", 0.0)


def test_of_a_constructed_network_it_is_the_whole_interval():
    where = {"value": "test.loss", "where": {"task.density": 1.0}}
    sure = only(evaluated(1.0, 0.001, seeds=1, trained=False), **where, below=1.1)
    assert sure.word == "supported"
    assert sure.estimate.high == pytest.approx(1 + NORMAL_95 * 0.001)
    assert only(evaluated(1.0, 0.2, seeds=1, trained=False), **where, below=1.1).word == (
        "inconclusive"
    )


def test_a_difference_on_one_evaluation_set_has_no_error_of_it_and_on_two_has_both():
    for stat in ("mean", "median"):
        lower = {"value": "test.loss", "stat": stat, "where": {"task.density": 0.1}}
        other = {"below": {"where": {"task.density": 1.0}}}
        clear = only(evaluated(1.0, 0.01), **lower, **other)
        blurred = only(evaluated(1.0, 0.1), **lower, **other)
        assert (clear.word, blurred.word) == ("supported", "inconclusive")
        assert blurred.estimate.noise == pytest.approx(0.1 * 2**0.5)
    shared = frame(
        {"architecture": ["elman", "gru"]},
        8,
        lambda axes, seed: {
            "test.loss": seed + (axes["architecture"] == "gru"),
            "test.loss_error": 5.0,
        },
    )
    gru = {"where": {"architecture": "gru"}}
    found = only(shared, value="test.loss", where={"architecture": "elman"}, below=gru)
    assert (found.word, found.estimate.noise) == ("supported", 0.0)


def test_bests_of_two_evaluation_sets_must_differ_by_more_than_their_errors():
    lower = {"value": "test.loss", "stat": "best", "where": {"task.density": 0.1}}
    other = {"below": {"where": {"task.density": 1.0}}}
    assert only(evaluated(1.0, 0.01), **lower, **other).word == "supported"
    assert only(evaluated(1.0, 0.1), **lower, **other).word == "inconclusive"


@pytest.mark.parametrize(
    ("slope", "seeds", "word"),
    [(2.0, 16, "supported"), (-2.0, 16, "not supported"), (0.1, 16, "inconclusive")],
)
def test_one_number_predicts_another_where_their_ranks_agree(slope, seeds, word):
    noise = np.random.default_rng(3).normal(size=(2, seeds))
    noise[1] -= noise[1] @ noise[0] / (noise[0] @ noise[0]) * noise[0]

    def scalars(axes, seed):
        y = slope * noise[0, seed] + noise[1, seed]
        return {"a.x": float(noise[0, seed]), "a.y": min(float(y), 1.0)}  # it ends at 1

    asked = {"value": "a.y", "stat": "rank_correlation", "by": "a.x", "above": 0.0}
    data = frame({}, seeds, scalars)
    found = only(data, **asked)
    assert found.word == word
    assert found.value == pytest.approx(data[["a.x", "a.y"]].corr("spearman").iloc[0, 1])
    assert only(data, **asked, direction="max").value == found.value  # which ranks nothing here
    few = only(data[:9], **asked)
    assert few.word == "inconclusive"
    assert few.cause == "9 networks give no 95 % interval of a rank correlation; 10 do"


def test_a_rank_correlation_needs_both_numbers_of_every_network():
    data = frame(
        {}, 12, lambda axes, seed: {"a.x": float(seed), "a.y": NAN if seed == 3 else 1.0 * seed}
    )
    asked = {"value": "a.y", "stat": "rank_correlation", "above": 0.0}
    for by, value in (("a.x", "a.y"), ("a.y", "a.x")):
        why = reasons((str(data["cell"][3]), "a", "y", "it died", "undefined"))
        found = only(data, why, **(asked | {"by": by, "value": value}))
        assert found.word == "not testable"
        assert found.cause == "undefined in 1 of 12: it died"
    with pytest.raises(ValueError, match="needs `by`, the column that `value` is paired with"):
        claim(**asked)
    with pytest.raises(
        ValueError, match="`by` belongs to `stat: agreement or auroc or best or expected_best or "
    ):
        claim(value="a.y", stat="mean", by="a.x", above=0.0)


def test_an_agreement_compares_texts_and_an_auroc_leaves_out_what_has_no_value():
    def scalars(axes, seed):
        named = "wave" if seed % 3 else "slot"
        return {
            "a.named": named,
            "a.true": "slot" if seed == 1 else named,
            "a.score": NAN if seed == 4 else float(seed),
            "a.late": seed > 6,
        }

    data = frame({}, 12, scalars)
    found = only(data, value="a.named", stat="agreement", by="a.true", above=0.5)
    assert (found.word, found.value) == ("supported", pytest.approx(11 / 12))
    why = reasons((str(data["cell"][4]), "a", "score", "it died", "undefined"))
    found = only(data, why, value="a.score", stat="auroc", by="a.late", above=0.5)
    assert (found.value, found.cause) == (
        1.0,
        "an AUROC has no interval: its networks are chosen ones, and no random sample",
    )
    one_kind = only(data, why, value="a.score", stat="auroc", by="a.true", above=0.5)
    assert one_kind.cause == "a.true is text, by which nothing can be ranked"
