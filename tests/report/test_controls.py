"""Verdicts against controls: what chance, or an untrained network, shows as well has no power."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from emtkit.report.data.results import Results
from emtkit.report.inference.claims import verdicts_of
from emtkit.report.inference.uncontrolled import uncontrolled
from emtkit.report.inference.verdict import Verdict, held_against
from emtkit.report.tables.numbers import verdict_lines
from emtkit.study.views import Claim
from tests.report.frames import NAN, frame, reasons


def grid(name, role, value, seeds=6, **axes):
    """One grid in which a.x is `value`, or what `value` makes of axes, up to a little noise."""

    def scalars(levels, seed):
        mean = value(levels) if callable(value) else value
        return {"a.x": mean + 0.001 * seed}

    made = frame({name: levels for name, levels in axes.items()}, seeds, scalars)
    cells = [f"{name}{place}" for place in range(len(made))]
    return made.assign(grid=name, role=role, cell=cells)


def results(*grids, why=None):
    return Results(pd.concat(grids, ignore_index=True), why)


def judged(data, expect=None, **given):
    expect = {"value": "a.x", "stat": "median", "above": 0.5, **(expect or {})}
    made = Claim.model_validate({"id": "c", "text": "It holds.", "expect": expect, **given})
    return verdicts_of(data, [made])


OWN = grid("main", "study", 1.0)


@pytest.mark.parametrize(
    ("control", "word"),
    [(0.0, "supported"), (1.0, "no power"), (0.497, "supported"), (0.498, "no power")],
)
def test_a_negative_control_that_meets_the_expectation_takes_its_power(control, word):
    (found,) = judged(results(OWN, grid("untrained", "negative", control)))
    assert found.word == word
    (shown,) = found.controls
    assert shown.value == pytest.approx(control + 0.0025)
    assert shown.name == "untrained"
    (line,) = verdict_lines([found])
    assert line.startswith(word)
    assert "control untrained" in line


@pytest.mark.parametrize(("control", "word"), [(1.0, "supported"), (0.0, "no power")])
def test_a_positive_control_must_meet_it(control, word):
    negative = grid("untrained", "negative", 0.0)
    (found,) = judged(results(OWN, negative, grid("exact", "positive", control)))
    assert found.word == word
    if word == "no power":
        assert "the positive control exact does not meet it" in found.cause


def test_without_a_negative_control_what_holds_is_unchecked():
    (found,) = judged(results(OWN, grid("exact", "positive", 1.0)))
    assert (found.word, found.cause) == ("unchecked", "no negative control")
    (refuted,) = judged(results(grid("main", "study", 0.0)))
    assert refuted.word == "not supported"


def test_a_refutation_without_a_positive_case_has_no_power_either():
    own = grid("main", "study", 0.0)
    (found,) = judged(results(own, grid("exact", "positive", 0.0)))
    assert found.word == "no power"
    (refuted,) = judged(results(own, grid("exact", "positive", 1.0)))
    assert refuted.word == "not supported"
    (still,) = judged(results(own, grid("untrained", "negative", 1.0)))
    assert still.word == "not supported"


def test_controls_are_no_cells_of_the_claim():
    (found,) = judged(results(OWN, grid("untrained", "negative", 0.0)))
    assert (found.total, found.value) == (6, pytest.approx(1.0025))
    asked = judged(
        results(OWN, grid("untrained", "negative", 0.0)), {"where": {"role": "negative"}}
    )
    assert [one.word for one in asked] == ["not supported"]
    named = judged(
        results(OWN, grid("untrained", "negative", 0.0)), {"where": {"grid": "untrained"}}
    )
    assert [one.word for one in named] == ["not supported"]


def test_a_claim_names_its_own_controls_in_place_of_the_studys():
    data = results(
        OWN,
        grid("untrained", "negative", 1.0),
        grid("cut", "negative", 0.0, architecture=["cut"]),
    )
    assert judged(data)[0].word == "no power"
    assert judged(data, control="cut")[0].word == "supported"
    assert judged(data, control=["cut", "untrained"])[0].word == "no power"
    assert judged(data, control={"architecture": "cut"})[0].word == "supported"
    assert judged(data, control=[])[0].word == "unchecked"


def test_conditions_that_no_network_of_the_control_meets_fall_and_the_others_hold():
    own = grid("main", "study", 1.0, **{"architecture": ["elman", "gru"], "training.steps": [500]})
    control = grid(
        "untrained",
        "negative",
        lambda levels: 0.0 if levels["architecture"] == "elman" else 1.0,
        **{"architecture": ["elman", "gru"], "training.steps": [0]},
    )
    where = {"training.steps": 500, "grid": "main"}
    data = results(own, control)
    (elman,) = judged(data, {"where": {**where, "architecture": "elman"}})
    (gru,) = judged(data, {"where": {**where, "architecture": "gru"}})
    assert (elman.word, gru.word) == ("supported", "no power")
    # Each combination is held against its own networks.
    each = judged(data, {"where": where})
    assert [one.word for one in each] == ["supported", "no power"]
    (whole,) = judged(data, {"where": where, "for": "all"})
    assert (whole.word, whole.cause) == ("no power", "1 of 2 supported, 1 no power")
    assert [one.fails for one in whole.controls] == [True]
    (half,) = judged(data, {"where": where, "for": {"share": 0.5}})
    assert half.word == "supported"


def test_an_inherited_control_on_other_tasks_says_nothing():
    other = grid("untrained", "negative", 1.0, task=["hds"])
    (found,) = judged(results(OWN, other))
    assert (found.word, found.controls) == ("unchecked", ())
    (named,) = judged(results(OWN, other), control="untrained")
    assert named.word == "no power"


def test_no_network_is_its_own_control():
    twin = grid("untrained", "negative", 1.0).assign(cell=OWN.cell)
    (found,) = judged(results(OWN, twin), control="untrained")
    assert found.word == "unchecked"
    assert "no networks but the claim's own" in found.cause


BELOW = {
    "value": "a.x",
    "above": None,
    "where": {"task.density": 0.1},
    "below": {"where": {"task.density": 1.0}},
}


@pytest.mark.parametrize(("slope", "word"), [(0.0, "supported"), (1.0, "no power")])
def test_both_sides_of_a_comparison_come_from_the_control(slope, word):
    axes = {"task.density": [1.0, 0.1]}
    own = grid("main", "study", lambda levels: 2 * levels["task.density"], **axes)
    control = grid("untrained", "negative", lambda levels: slope * levels["task.density"], **axes)
    expect = {key: value for key, value in BELOW.items() if value is not None}
    made = Claim.model_validate({"id": "c", "text": "It falls.", "expect": expect})
    (found,) = verdicts_of(results(own, control), [made])
    assert found.word == word
    (shown,) = found.controls
    assert shown.compared == pytest.approx(slope + 0.0025)


@pytest.mark.parametrize(("control", "word"), [(3.0, "supported"), (1.0, "no power")])
def test_a_bound_that_the_control_has_not_stays_as_it_is(control, word):
    exact = grid("optimum", "study", 1.0, seeds=1, architecture=["exact"])
    exact["training.steps"] = NAN
    data = results(OWN, exact, grid("untrained", "negative", control))
    expect = {
        "value": "a.x",
        "stat": "median",
        "where": {"grid": "main"},
        "equals": {"where": {"grid": "optimum"}},
        "tolerance": 0.1,
    }
    made = Claim.model_validate({"id": "c", "text": "It is optimal.", "expect": expect})
    (found,) = verdicts_of(data, [made])
    assert found.word == word


def test_a_comparison_that_would_be_of_the_same_networks_is_unchecked():
    axes = {"architecture": ["elman", "gru"]}
    own = grid("main", "study", lambda one: float(one["architecture"] == "elman"), **axes)
    expect = {
        "value": "a.x",
        "where": {"architecture": "elman"},
        "above": {"where": {"architecture": "gru"}},
    }
    control = grid("cut", "negative", 0.0, architecture=["gru"])
    made = Claim.model_validate({"id": "c", "text": "It is more.", "expect": expect})
    (found,) = verdicts_of(results(own, control), [made])
    assert found.word == "unchecked"
    assert "the same networks" in found.cause


def test_an_undefined_number_of_the_control_does_not_meet_the_expectation():
    control = grid("untrained", "negative", 1.0).assign(**{"a.x": NAN})
    why = reasons(*((cell, "a", "x", "no modes", "done") for cell in control.cell))
    (found,) = judged(results(OWN, control, why=why))
    assert found.word == "supported"
    assert found.controls[0].cause.startswith("undefined in 6 of 6")


def test_a_control_that_was_not_run_checks_nothing():
    control = grid("untrained", "negative", 0.0).assign(status="missing", **{"a.x": NAN})
    (found,) = judged(results(OWN, control))
    assert (found.word, found.controls[0].satisfied) == ("unchecked", None)
    assert "not run" in found.cause


def test_one_network_of_a_control_decides_by_its_value():
    assert judged(results(OWN, grid("cut", "negative", 1.0, seeds=1)))[0].word == "no power"
    assert judged(results(OWN, grid("cut", "negative", 0.0, seeds=1)))[0].word == "supported"


def test_other_words_stay_whatever_the_controls_show():
    made = Claim.model_validate(
        {"id": "c", "text": "It holds.", "expect": {"value": "a.x", "below": 1}}
    )
    for word in ("inconclusive", "not testable"):
        assert held_against(Verdict(made, word), ()).word == word


def test_a_claim_without_a_control_is_known_before_anything_is_trained():
    def warned(data, **given):
        expect = {"value": "a.x", "above": 0.5}
        made = Claim.model_validate({"id": "c", "text": "It holds.", "expect": expect, **given})
        return list(uncontrolled(data, [made]))

    control = grid("untrained", "negative", 0.0)
    assert warned(results(OWN, control)) == []
    (found,) = warned(results(OWN))
    assert found.startswith("claim 'c' has no negative control: what supports it stays unchecked")
    (found,) = warned(results(OWN, control), control=[])
    assert "no negative control:" in found
    two = grid("main", "study", 1.0, task=["k_delay", "hds"])
    (found,) = warned(results(two, control))
    assert "for 1 of 2 combinations" in found


def correlated(r, seeds=24):
    """Two columns of this rank correlation, as near as a mixture of two orders comes."""
    x, z = np.random.default_rng(5).normal(size=(2, seeds))
    y = r * x + np.sqrt(1 - r**2) * z
    return frame({}, seeds, lambda axes, seed: {"a.x": float(x[seed]), "a.y": float(y[seed])})


@pytest.mark.parametrize(
    ("r", "alpha", "word"),
    [
        (0.9, 0.05, "supported"),
        (0.55, 0.05, "supported"),
        (0.55, 1e-3, "no power"),
        (0.0, 0.05, "inconclusive"),
        (-0.9, 0.05, "not supported"),
    ],
)
def test_a_rank_correlation_is_held_against_its_own_pairs_permuted(r, alpha, word):
    asked = {"value": "a.y", "stat": "rank_correlation", "by": "a.x", "above": 0, "alpha": alpha}
    data = Results(correlated(r))
    (found,) = judged(data, asked)
    assert found.word == word
    (control,) = found.controls
    assert (control.name, control.role) == ("permuted pairs", "negative")
    # Critical values of Spearman's r for 24 pairs, one-sided (Zar 1984, table B.20).
    # Four standard errors of a quantile of 9,999: sqrt(alpha (1 - alpha) / n) over the density of
    # r at the quantile, of about variance 1 / 23.
    critical, error = {0.05: (0.344, 0.018), 1e-3: (0.601, 0.08)}[alpha]
    assert control.value == pytest.approx(critical, abs=error)
    claim = Claim.model_validate({"id": "c", "text": "It holds.", "expect": asked})
    other = claim.expect.model_copy(update={"above": None, "below": 0})
    (mirrored,) = verdicts_of(data, [claim.model_copy(update={"expect": other})])
    assert mirrored.controls[0].value == pytest.approx(-critical, abs=error)
    assert not list(uncontrolled(data, [claim]))


def test_pairs_whose_correlation_is_undefined_have_no_control():
    data = Results(frame({}, 12, lambda axes, seed: {"a.x": 1.0, "a.y": float(seed)}))
    asked = {"value": "a.y", "stat": "rank_correlation", "by": "a.x", "above": 0}
    (found,) = judged(data, asked)
    assert (found.word, found.controls) == ("not testable", ())
    assert found.cause == "a.x is 1 in all 12, so that there is no order"
