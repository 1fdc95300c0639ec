"""Wherever something is printed: 93 % covered, at most 3 % supported by chance on one side."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from emtkit.plugin import swaps
from emtkit.plugin.statistic import STATISTICS, Sample, statistic_named
from tests.report.coverage import (
    COMPARED,
    LAWS,
    comparison_tallies,
    correlation_tallies,
    interval_tallies,
    p_until_decided,
    refused_tallies,
    remarks,
    table,
)

PAGE = Path(__file__).parents[2] / "docs" / "inference.md"


def assert_in_docs(text: str) -> None:
    """What was measured stands in the docs, to the digit; the run prints it otherwise."""
    page = PAGE.read_text("utf-8")
    missing = [line for line in text.splitlines() if line and line not in page]
    assert not missing, f"docs/inference.md lacks the lines of this run:\n\n{text}"


def test_the_laws_have_the_means_and_medians_they_say():
    for law in LAWS:
        drawn = law.draw(np.random.default_rng(1), (400_000,))
        assert drawn.mean() == pytest.approx(law.mean, abs=0.02)
        assert np.median(drawn) == pytest.approx(law.median, abs=0.02)


def test_intervals_cover_in_a_short_run():
    assert remarks(list(interval_tallies(200, (8, 12, 24)))) == []


def test_comparisons_of_equal_laws_are_rarely_supported_in_a_short_run():
    assert remarks(list(comparison_tallies(60, (8,)))) == []


@pytest.mark.parametrize("n", [8, 16])
def test_the_simulation_gives_the_verdicts_of_whole_tests(n):
    """Which it ends once the swaps that it has seen decide."""
    pairs = np.random.default_rng(4).exponential(size=(20, 2, n)) + np.linspace(0, 1, 2)[:, None]
    for name in COMPARED:
        statistic = statistic_named(name, 2 if name == "expected_best" else None)
        whole = [statistic.p(Sample(a, a), Sample(b, b)) < 0.05 for a, b in pairs]
        with patch.object(swaps, "p_of_swaps", p_until_decided):
            found = [statistic.p(Sample(a, a), Sample(b, b)) < 0.05 for a, b in pairs]
        assert found == whole
        assert name == "best" or 0 < sum(found) < 20


def test_the_simulation_sees_an_interval_that_misses():
    """Student's t of five lognormal values, which misses 17 % on one side."""
    found = remarks(list(refused_tallies(300, (5,))))
    assert any(one.startswith("Student's t of a mean, lognormal") for one in found)
    assert not any("normal, n = 5: covered" in one and "logn" not in one for one in found)


def test_what_has_no_interval_says_what_to_do():
    for name in STATISTICS.names:
        statistic = statistic_named(name)
        why = statistic.no_interval(5 if statistic.least != 2 else 1)
        assert "no" in why, name
    assert statistic_named("median").no_interval(5) == (
        "5 networks give no 95 % interval of a median; 6 do"
    )


def test_intervals_of_rank_correlations_cover_in_a_short_run():
    found = list(correlation_tallies(300, (8, 12, 24)))
    assert remarks(found) == []
    assert {one.n for one in found if one.given} == {12, 24}


@pytest.mark.slow  # 10,000 samples of every law and size: a minute
def test_every_interval_of_a_rank_correlation_covers_and_the_docs_show_it():
    found = list(correlation_tallies(10_000))
    assert remarks(found) == []
    assert_in_docs(table(found))


@pytest.mark.slow  # 10,000 samples of every law and size: a minute
def test_every_interval_covers_and_the_docs_show_it():
    found = list(interval_tallies(10_000))
    assert remarks(found) == []
    assert_in_docs(table(found))


@pytest.mark.slow  # the usual intervals, for comparison: three minutes
def test_the_usual_intervals_miss_and_the_docs_show_it():
    found = list(refused_tallies(4000))
    assert remarks(found) != []
    assert_in_docs(table(found))


@pytest.mark.slow  # swaps of up to 20,000 ways each: twenty minutes
def test_no_comparison_is_supported_by_chance_and_the_docs_show_it():
    assert all(statistic_named("best").least_p(n) > 0.05 for n in (3, 5))
    found = list(comparison_tallies(5000, (8, 12, 16, 24)))
    assert remarks(found) == []
    assert_in_docs(table(found))
