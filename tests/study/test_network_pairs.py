"""Which networks are compared: planned, bounded, and never two tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from emtkit import StudyError
from emtkit.session import load
from emtkit.study.select import select
from tests.comparisons import plan


def pairs(*comparisons, label="gap", **more):
    return plan(*comparisons, **more).chosen[label]


def told(chosen):
    return sorted(
        sorted((row.cell.architecture.parameters["place"], row.cell.seed) for row in pair)
        for pair in chosen.pairs
    )


def test_all_pairs_of_one_task() -> None:
    two = {"tasks": [{"use": "probe_delay", "grid": {"gain": [1.0, 2.0]}}]}
    assert len(pairs("gap").pairs) == 15
    assert len(pairs("gap", **two).pairs) == 30
    assert len(pairs("step", label="step").pairs) == 30


def test_pairs_differ_in_what_is_named() -> None:
    over_seeds = pairs({"use": "gap", "pairs": ["seed"]})
    assert told(over_seeds) == [
        [(place, a), (place, b)] for place in (0.0, 1.0) for a, b in ((0, 1), (0, 2), (1, 2))
    ]
    across = pairs({"use": "gap", "pairs": ["architecture.place"]})
    assert told(across) == [[(0.0, seed), (1.0, seed)] for seed in range(3)]


def test_against_a_reference() -> None:
    given = {"use": "gap", "pairs": {"against": {"architecture": "fixed", "seed": 0}}}
    chosen = pairs(given, architectures=[{"use": "point"}, "fixed"], seeds=2)
    names = sorted(sorted((r.architecture, r.cell.seed) for r in pair) for pair in chosen.pairs)
    assert names == [[("fixed", 0), ("fixed", 1)], *([("fixed", 0), ("point", s)] for s in (0, 1))]


def test_controls_are_compared_among_themselves() -> None:
    grids = [{"name": "a"}, {"name": "b", "role": "negative", "tasks": ["probe_delay"]}]
    grids[1]["architectures"] = [{"use": "point", "place": 5.0}]
    found = plan("gap", grids=grids)
    roles = {(pair.first.role, pair.second.role) for pair in found.pairs}
    assert roles == {("study", "study"), ("negative", "negative")}
    assert len(found.pairs) == 15 + 3


def test_too_many_pairs_leave_out_the_last_seeds() -> None:
    chosen = pairs({"use": "gap", "pairs": {"most": 7}})
    assert (len(chosen.pairs), chosen.possible, chosen.seeds, chosen.seeds_there) == (6, 15, 2, 3)
    assert {seed for pair in told(chosen) for _, seed in pair} == {0, 1}
    # What is kept stays when seeds are added.
    more = pairs({"use": "gap", "pairs": {"most": 7}}, seeds=9)
    assert told(more) == told(chosen)


def test_equal_comparisons_share_a_finding_and_settings_do_not() -> None:
    found = plan("gap", {"use": "gap", "label": "again", "pairs": ["seed"]})
    keys = [measure.key for pair in found.pairs for measure in pair.measures]
    assert (len(keys), len(set(keys))) == (15 + 6, 15)


def test_a_part_of_a_plan_compares_what_is_left() -> None:
    found = plan("gap")
    assert len(select(found, seeds="0-1").pairs) == 6
    assert len(select(found, only="architecture.place=1.0").pairs) == 3


@pytest.mark.parametrize(
    ("comparison", "said"),
    [
        ("gapp", "unknown comparison 'gapp'"),
        ({"use": "gap", "pairs": ["task.gain"]}, "two networks are compared on one setting"),
        ({"use": "gap", "pairs": ["architecture.plac"]}, "did you mean 'architecture.place'"),
        ({"use": "gap", "pairs": {"most": 0}}, "most"),
        ({"use": "gap", "pairs": {"moist": 4}}, "moist"),
        ({"use": "gap", "grid": {"x": [1]}}, "a comparison has no `grid`"),
        ({"use": "gap", "at": "snapshots"}, "`at` belongs to analyses"),
        ({"use": "gap", "label": "other"}, "reserved"),
    ],
)
def test_mistakes_are_told(comparison, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        plan(comparison)


def test_more_than_may_be_is_told() -> None:
    with pytest.raises(StudyError, match=r"gives 3 pairs, and `most` allows 2"):
        plan(
            {"use": "gap", "pairs": {"most": 2}},
            architectures=[{"use": "point", "grid": {"place": [0.0, 1.0, 2.0]}}],
        )


def test_pairs_belong_to_comparisons_and_may_be_a_parameter_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="point has no parameter 'pairs'"):
        plan(architectures=[{"use": "point", "pairs": "all"}])
    for given in ("pairs: 3", "grid: {pairs: [3]}"):
        path = tmp_path / "study.yaml"
        task = f"{{use: associative_recall, keys: 5, queries: 2, {given}}}"
        path.write_text(f"tasks: [{task}]\narchitectures: [elman]\n", encoding="utf-8")
        (row,) = load(path, store=None).plan.rows
        assert row.cell.task.parameters["pairs"] == 3


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"rows": "architecture.place"}, "of the second network, does not say"),
        ({"rows": "other.architecture.place"}, "'architecture.place' varies"),
        ({"rows": "same.place"}, "'same.place' is not an axis"),
        ({"rows": "same.architecture.place"}, "'architecture.place' varies"),
        ({"rows": "other.gap.distance"}, "not an axis"),
    ],
)
def test_views_of_pairs_name_the_axes_of_both_networks(table, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        plan("gap", tables=[{"name": "t", "values": ["gap.distance"], **table}])


def test_views_of_pairs_that_differ_in_seeds_alone() -> None:
    only = {"use": "gap", "pairs": ["seed"]}
    table = {"name": "t", "rows": "architecture.place", "values": ["gap.distance"]}
    assert plan(only, tables=[table]).pairs
    whole = {"rows": "same.architecture.place", "over": ["architecture.place", "seed"]}
    assert plan("gap", tables=[{**table, **whole}]).pairs
    with pytest.raises(StudyError, match="'gap' has no scalar 'distances'"):
        plan(only, tables=[{**table, "values": ["gap.distances"]}])
