"""Claims with conditions on what was found: of which cells they speak, and what is undefined."""

from __future__ import annotations

import pandas as pd
import pytest

from emtkit.report.data.results import Results
from emtkit.report.inference.claims import verdicts_of
from emtkit.report.tables.numbers import verdict_lines
from emtkit.study.views import Claim
from tests.report.frames import NAN, frame, reasons


def judged(data, expect, why=None, **given):
    made = Claim.model_validate({"id": "c", "text": "It holds.", "expect": expect, **given})
    return verdicts_of(Results(data, why), [made])


def accurate(seeds=20, poor=3, error=0.001):
    """Networks of which `poor` are not accurate, and those alone have a large error."""

    def scalars(axes, seed):
        bad = seed < poor
        return {"test.accuracy": 0.5 if bad else 0.99, "a.error": 0.5 if bad else error * seed}

    return frame({}, seeds, scalars)


ERROR = {"value": "a.error", "below": 0.02}


def test_the_cells_that_met_the_condition_are_counted_and_they_alone_judged():
    (whole,) = judged(accurate(), ERROR)
    assert whole.word == "inconclusive"
    (found,) = judged(accurate(), ERROR, given={"test.accuracy": {"above": 0.94}})
    assert (found.word, found.n, found.total) == ("unchecked", 17, 20)
    assert found.given == "17 of 20 cells met test.accuracy above 0.94"
    assert found.given in next(iter(verdict_lines([found])))
    (where,) = judged(accurate(), {**ERROR, "where": {"test.accuracy": {"above": 0.94}}})
    assert (where.word, where.value) == (found.word, found.value)


def test_accurate_networks_may_fail_as_well():
    (found,) = judged(accurate(error=0.1), ERROR, given={"test.accuracy": {"above": 0.94}})
    assert found.word == "not supported"


def test_a_condition_that_no_cell_meets_decides_nothing():
    given = {"test.accuracy": {"above": 0.999}}
    (found,) = judged(accurate(), ERROR, given=given)
    assert found.word == "not testable"
    assert "0 of 20 cells met" in found.cause
    two = frame(
        {"architecture.hidden": [8, 16]},
        11,
        lambda axes, seed: {
            "test.accuracy": 0.5 if axes["architecture.hidden"] == 8 else 0.99,
            "a.error": 0.001 * seed,
        },
    )
    # Where no network is accurate, "accurate implies" says nothing against it.
    (whole,) = judged(two, {**ERROR, "for": "all"}, given={"test.accuracy": {"above": 0.9}})
    assert whole.word == "unchecked"


def test_a_control_that_never_meets_the_condition_is_asked_without_it():
    own = accurate().assign(role="study")
    for error, word in ((0.5, "supported"), (0.001, "no power")):
        control = frame({}, 6, lambda axes, seed, e=error: {"test.accuracy": 0.5, "a.error": e})
        control = control.assign(
            role="negative", grid="untrained", cell=[f"u{n}" for n in range(6)]
        )
        data = pd.concat([own, control], ignore_index=True)
        (found,) = judged(data, ERROR, given={"test.accuracy": {"above": 0.94}})
        assert found.word == word


def modes(undefined):
    """Three widths; in `undefined` seeds of the last one the error is undefined."""

    def scalars(axes, seed):
        blank = axes["architecture.hidden"] == 32 and seed < undefined
        return {"a.error": NAN if blank else 0.001 * (1 + seed)}

    data = frame({"architecture.hidden": [8, 16, 32]}, 11, scalars)
    blank = data.cell[data["a.error"].isna()]
    return data, reasons(*((cell, "a", "error", "counts differ", "done") for cell in blank))


@pytest.mark.parametrize(("undefined", "word"), [(0, "unchecked"), (1, "not supported")])
def test_an_undefined_seed_fails_where_all_should_hold(undefined, word):
    data, why = modes(undefined)
    (whole,) = judged(data, {**ERROR, "for": "all"}, why)
    assert whole.word == word
    # One by one it stays what it is: nothing can be said of that combination.
    each = judged(data, ERROR, why)
    assert [one.word for one in each][-1] == ("not testable" if undefined else "unchecked")


def test_cells_that_were_not_run_still_leave_it_open():
    data, why = modes(0)
    data.loc[data.index[-1], ["status", "a.error"]] = ["missing", NAN]
    (whole,) = judged(data, {**ERROR, "for": "all"}, why)
    assert whole.word == "not testable"


@pytest.mark.parametrize(("bound", "word"), [(0.2, "unchecked"), (0.95, "not supported")])
def test_a_share_counts_what_is_undefined_as_failing(bound, word):
    data, why = modes(4)
    share = {"share": {"of": "a.error", "below": 0.02}, "where": {"architecture.hidden": 32}}
    (found,) = judged(data, {**share, "above": bound}, why)
    assert found.value == pytest.approx(7 / 11)
    assert (found.n, found.total) == (11, 11)
    if bound == 0.2:
        data, why = modes(0)
        (found,) = judged(data, {**share, "above": bound}, why)
        assert found.value == 1.0
    assert found.word == word
