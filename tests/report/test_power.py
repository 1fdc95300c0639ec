"""Claims whose p no result could bring below alpha are found before anything is trained."""

from __future__ import annotations

import pandas as pd
import pytest

from emtkit.report.data.results import Results
from emtkit.report.inference.claims import verdicts_of
from emtkit.report.inference.power import unreachable
from emtkit.study.views import Claim
from tests.report.frames import NAN, frame


def claim(scope="each", stat="mean", **side):
    side = side or {"below": {"where": {"task.density": 1.0}}}
    expect = {"value": "a.x", "stat": stat, "where": {"task.density": 0.1}, "for": scope, **side}
    return Claim.model_validate({"id": "c", "text": "It holds.", "expect": expect})


def planned(seeds, delays=(3,)):
    axes = {"task.density": [1.0, 0.1], "task.delay": list(delays)}
    return frame(axes, seeds, lambda axes, seed: {"a.x": axes["task.density"] + 0.01 * seed})


def warned(data, one):
    return list(unreachable(Results(data.drop(columns="a.x")), [one]))


@pytest.mark.parametrize(
    ("seeds", "delays", "enough"),
    [(5, (3,), 6), (6, (3,), None), (6, (3, 5), 7), (7, (3, 5), None)],
)
def test_a_claim_is_warned_of_just_when_perfect_data_cannot_support_it(seeds, delays, enough):
    data, one = planned(seeds, delays), claim()
    words = {verdict.word for verdict in verdicts_of(Results(data), [one])}
    found = warned(data, one)
    assert bool(found) == (words == {"inconclusive"}) == (enough is not None)
    if enough:
        assert f"with {seeds} paired seeds" in found[0]
        assert f"give it {enough} seeds" in found[0]


def test_a_share_of_combinations_does_not_soften_a_family_that_is_too_large():
    assert not warned(planned(8, range(6)), claim({"share": 0.5}))
    assert warned(planned(5, range(6)), claim({"share": 0.5}))


@pytest.mark.parametrize(
    ("seeds", "one"),
    [
        (6, claim(stat="median", below=0.3)),
        (2, claim(equals={"where": {"task.density": 1.0}})),
        (2, claim(below={"where": {"task.density": 1.0}, "stat": "median"})),
    ],
)
def test_claims_without_a_p_are_not_warned_of(seeds, one):
    assert warned(planned(seeds), one) == []


@pytest.mark.parametrize(
    ("seeds", "side", "never"),
    [
        (6, {"above": 0.5}, False),
        (5, {"above": 0.5}, True),
        (6, {"equals": 0.0}, True),
        (6, {"equals": 0.0, "tolerance": 0.5}, False),
        (6, {"below": 0.5}, False),
        (6, {"below": 0.4}, True),
    ],
)
def test_a_share_is_warned_of_just_when_no_count_can_support_it(seeds, side, never):
    one = claim(stat="share", **side)
    data = planned(seeds)
    words = set()
    for true in range(seeds + 1):
        counted = data.assign(**{"a.x": data["seed"] < true})
        words |= {verdict.word for verdict in verdicts_of(Results(counted), [one])}
    found = warned(data, one)
    assert bool(found) == never == ("unchecked" not in words)
    if never:
        assert f"the interval of a share of {seeds} networks, [0, " in found[0]


def test_a_claim_whose_statistic_has_no_interval_is_warned_of():
    few = "claim 'c' cannot be supported: 5 networks give no 95 % interval of a median; 6 do"
    assert warned(planned(5), claim(stat="median", below=0.3)) == [few]
    assert "10 networks give no" in warned(planned(10), claim(below=0.3))[0]
    assert "an observed best has no interval" in warned(planned(9), claim(stat="best", below=1))[0]


def test_the_comparisons_of_all_claims_are_counted():
    data = Results(planned(7).drop(columns="a.x"))
    assert list(unreachable(data, [claim()] * 3)) == []
    (first, *_) = unreachable(data, [claim()] * 4)
    assert "(Holm-corrected over 4 comparisons of the study)" in first
    assert "give it 8 seeds" in first


def test_comparisons_of_more_seeds_leave_the_last_to_those_of_few():
    """Holm multiplies only the least p by the number of all: 6 seeds (.031) may come last."""
    few, many = planned(6).assign(grid="few"), planned(12).assign(grid="many")
    data = pd.concat([few, many], ignore_index=True)
    data["cell"] = data["grid"] + data["cell"]

    def of(grid):
        one = claim(below={"where": {"task.density": 1.0}})
        return one.model_copy(
            update={
                "expect": one.expect.model_copy(
                    update={"where": {**one.expect.where, "grid": grid}}
                )
            }
        )

    claims = [of("few"), *[of("many")] * 3]
    assert {one.word for one in verdicts_of(Results(data), claims)} == {"unchecked"}
    assert not list(unreachable(Results(data.drop(columns="a.x")), claims))
    assert list(unreachable(Results(data.drop(columns="a.x")), [of("few")] * 2))


def test_only_common_seeds_count():
    data = planned(8)
    few = data[(data["task.density"] == 0.1) | (data["seed"] < 4)]
    assert "with 4 paired seeds" in warned(few, claim())[0]


def test_an_unknown_column_is_left_to_the_verdict():
    one = claim(below={"where": {"task.colour": 1.0}})
    assert warned(planned(2), one) == []


def test_constructed_networks_need_no_p():
    data = planned(1)
    data["training.steps"] = NAN
    assert warned(data, claim()) == []
