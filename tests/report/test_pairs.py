"""Numbers of two networks in tables, figures and claims, and a p that exchanges networks."""

from __future__ import annotations

from math import comb

import numpy as np
import pandas as pd
import pytest

from emtkit.errors import EmtkitError
from emtkit.execute.audit import audit
from emtkit.execute.monitor import Quiet
from emtkit.execute.run import Options, run
from emtkit.plugin.statistic import statistic_named
from emtkit.report.data.coverage import coverage, findings_by_status
from emtkit.report.data.frame import read_results
from emtkit.report.data.pairs import with_pairs
from emtkit.report.figures.embedding import scaled
from emtkit.report.figures.figure import draw_figure
from emtkit.report.figures.networks import draw_networks
from emtkit.report.inference.claims import verdicts_of
from emtkit.report.inference.exchanged import Distances
from emtkit.report.page.export import export
from emtkit.report.tables.table import draw_table
from emtkit.store.store import Store
from emtkit.study.views import Figure
from tests.comparisons import REGISTRY, plan
from tests.inline_engine import InlineEngine

PLACE = "architecture.place"
VIEWS = {
    "tables": [
        {
            "name": "matrix",
            "rows": PLACE,
            "columns": f"other.{PLACE}",
            "values": ["gap.distance"],
        },
        {
            "name": "within",
            "rows": f"same.{PLACE}",
            "over": [PLACE, "seed"],
            "values": ["gap.distance"],
            "baseline": {f"same.{PLACE}": False},
        },
        {"name": "seeds", "rows": PLACE, "values": ["seeds.distance"]},
        {"name": "networks", "rows": PLACE, "values": ["train.steps"]},
    ],
    "figures": [
        {
            "name": "map",
            "use": "heatmap",
            "x": PLACE,
            "y": f"other.{PLACE}",
            "value": "gap.distance",
        }
    ],
    "claims": [
        {
            "id": "apart",
            "text": "Points of one place are nearer to each other",
            "expect": {
                "value": "gap.distance",
                "where": {f"same.{PLACE}": True},
                "below": {"where": {f"same.{PLACE}": False}},
                "over": [PLACE, "seed"],
            },
        },
        {
            "id": "near",
            "text": "Points of one place are near",
            "expect": {
                "value": "gap.distance",
                "where": {f"same.{PLACE}": True},
                "below": 0.5,
                "over": [PLACE, "seed"],
            },
        },
    ],
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    planned = plan("gap", {"use": "gap", "label": "seeds", "pairs": ["seed"]}, seeds=6, **VIEWS)
    path = tmp_path_factory.mktemp("pairs") / "s.sqlite"
    with Store.open(path, writer=True) as store:
        engine = InlineEngine(REGISTRY)
        run(planned.known, REGISTRY, store, engine, Quiet(), Options(), planned.pairs)
        results = with_pairs(read_results(planned.rows, store), planned, store)
        at = {r.cell.key: store.weights(r.cell.key) for r in planned.rows}
    assert len(at) == 12
    return planned, results


def tables(seen):
    planned, results = seen
    specs = {spec.name: spec for spec in planned.study.tables.values()}
    return {name: draw_table(results.seen_by(spec), spec) for name, spec in specs.items()}


def test_a_table_of_both_networks_counts_each_pair_once(seen) -> None:
    drawn = tables(seen)
    found = [[cell.entries[0].found for cell in line] for line in drawn["matrix"].body]
    assert [[one.n for one in line] for line in found] == [[15, 36], [36, 15]]
    assert found[0][1].value == found[1][0].value == pytest.approx(1.0, abs=0.01)
    assert max(found[0][0].value, found[1][1].value) < 0.01
    assert [cell.entries[0].found.n for (cell,) in drawn["seeds"].body] == [15, 15]
    assert [cell.entries[0].found.n for (cell,) in drawn["networks"].body] == [6, 6]


def test_numbers_of_pairs_have_no_interval(seen) -> None:
    for line in tables(seen)["matrix"].body:
        for cell in line:
            assert cell.entries[0].interval == ""
    remarks = " ".join(tables(seen)["matrix"].remarks)
    assert "pairs of networks" in remarks
    assert "pairs that share a network are not independent" in remarks


def test_within_and_between_with_a_p_of_exchanged_networks(seen) -> None:
    drawn = tables(seen)["within"]
    assert drawn.row_heads == ["same place"]
    (same,) = [c for levels, (c,) in zip(drawn.rows, drawn.body, strict=True) if levels[0]]
    comparison = same.entries[0].comparison
    assert comparison.difference.estimate.value == pytest.approx(-1.0, abs=0.01)
    # Of all ways to cut 12 networks in two halves, one is this one (and either half may be first).
    assert comparison.p == pytest.approx(2 / comb(12, 6), abs=0.0015)


def test_claims_compare_groups_of_pairs(seen) -> None:
    planned, results = seen
    apart, near = verdicts_of(results, list(planned.study.claims.values()))
    assert (apart.word, apart.where) == ("unchecked", "")  # no negative control
    assert apart.p == pytest.approx(2 / comb(12, 6), abs=0.0015)
    assert near.word == "inconclusive"
    assert "not independent" in near.cause


def test_a_map_of_distances(seen) -> None:
    planned, results = seen
    (spec,) = planned.study.figures.values()
    drawn = draw_figure(results.seen_by(spec), spec)
    assert sorted(one.found.n for one in drawn.spots) == [15, 15, 36, 36]
    assert "15 to 36 pairs" in drawn.account.how


def test_an_embedding_keeps_the_distances_of_points_of_a_plane() -> None:
    points = np.random.default_rng(4).normal(size=(9, 2))
    table = np.linalg.norm(points[:, None] - points, axis=-1)
    found, share = scaled(table)
    again = np.linalg.norm(found[:, None] - found, axis=-1)
    assert np.allclose(again, table, atol=1e-9)
    assert share == pytest.approx(1.0)


def test_networks_are_drawn_as_points_of_their_distances(seen) -> None:
    planned, results = seen
    spec = Figure(name="plane", use="embedding", value="gap.distance", hue=PLACE)
    drawn = draw_networks(results.seen_by(spec), spec)
    ((_, networks),) = [(one.label, one.networks) for one in drawn.spots]
    assert set(networks) == set(planned.cells)
    known = {key: cell.architecture.parameters["place"] for key, cell in planned.cells.items()}
    sides = {known[key]: x > 0 for key, (x, _) in networks.items()}
    assert all((x > 0) == sides[known[key]] for key, (x, _) in networks.items())
    seeds = Figure(name="plane", use="embedding", value="seeds.distance", hue=PLACE)
    assert "36 of 66 distances are not there" in draw_networks(results.seen_by(seeds), seeds).notes


def test_the_permutation_of_networks_is_exact_where_that_of_pairs_is_not() -> None:
    """Points of one cloud, cut in two at random: p below 0.05 in 5 % of the draws."""
    rng, groups = np.random.default_rng(0), np.repeat([0, 1], 5)
    one, other = np.triu_indices(10, 1)
    within = groups[one] == groups[other]
    pairs = np.stack([one, other], 1)
    small = []
    for _ in range(200):
        points = rng.standard_t(2, size=10)  # one far point moves nine distances
        table = np.abs(points[:, None] - points)
        found = Distances(table, pairs[within], pairs[~within], (np.arange(10),), "")
        small.append(found.p(statistic_named("mean")) < 0.05)
    assert 0.02 <= np.mean(small) <= 0.085


def test_without_a_distance_nothing_is_exchanged() -> None:
    table = np.full((3, 3), np.nan)
    pairs = np.array([[0, 1]])
    assert Distances(table, pairs, pairs, (np.arange(3),), "missing").p(None) is None


def test_coverage_counts_pairs_of_an_architecture(seen) -> None:
    found = coverage(seen[1])
    (line,) = found.pairs
    assert dict(zip(found.labels, line.analyses, strict=True))["gap"].text == "66"
    assert dict(zip(found.labels, line.analyses, strict=True))["seeds"].text == "30"
    assert findings_by_status(seen[1]) == {"done": 12 + 66 + 30}  # a test loss of each network


def test_coverage_says_why_two_networks_are_not_compared(stored) -> None:
    planned, store = stored
    found = coverage(with_pairs(read_results(planned.rows, store), planned, store))
    (moody,) = [
        one
        for label, one in zip(found.labels, found.pairs[0].analyses, strict=True)
        if label == "moody"
    ]
    assert moody.text.startswith("n/a")
    assert any("point: too near 0" in found.reasons[note - 1] for note in moody.notes)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    planned = plan("gap", "moody", "step", seeds=2)
    with Store.open(tmp_path_factory.mktemp("pairs") / "s.sqlite", writer=True) as store:
        engine = InlineEngine(REGISTRY)
        run(planned.known, REGISTRY, store, engine, Quiet(), Options(), planned.pairs)
        yield planned, store


def test_export_has_a_row_per_pair_and_the_reasons(stored, tmp_path) -> None:
    planned, store = stored
    export(planned.rows, store, tmp_path, planned.pairs)
    frame = pd.read_csv(tmp_path / "pairs.csv")
    places = {r.cell.key: r.cell.architecture.parameters["place"] for r in planned.rows}
    assert len(frame) == len(planned.pairs)
    apart = (frame["cell"].map(places) - frame["other.cell"].map(places)).abs()
    assert np.allclose(
        frame["gap.distance"].dropna(), apart[frame["gap.distance"].notna()], atol=0.02
    )
    reasons = pd.read_csv(tmp_path / "reasons.csv")
    assert set(reasons.query("label == 'moody'")["status"]) == {"not_applicable", "failed"}


def test_an_audit_compares_again(stored) -> None:
    planned, store = stored
    engine = InlineEngine(REGISTRY)
    found = audit(planned.known, REGISTRY, store, engine, Quiet(), 1.0, planned.pairs)
    alone = audit(planned.known, REGISTRY, store, engine, Quiet(), 1.0)
    assert (found.cells, found.differing) == (4, ())
    assert found.findings == alone.findings + 6 + 12  # gap one way, step both


def test_a_pair_is_found_from_either_side(stored) -> None:
    planned, _ = stored
    one, other = (planned.rows[at].cell.key for at in (0, 1))
    assert planned.measure(one, "gap", other) == planned.measure(other, "gap", one)
    assert planned.measure(one, "step", other) != planned.measure(other, "step", one)
    with pytest.raises(EmtkitError, match="no comparison 'gasp'; did you mean 'gap'"):
        planned.measure(one, "gasp", other)


def test_a_tree_joins_at_mean_distances_and_keeps_groups_together(seen) -> None:
    planned, results = seen
    spec = Figure(name="tree", use="dendrogram", value="gap.distance", hue=PLACE)
    drawn = draw_networks(results.seen_by(spec), spec)
    (spot,) = drawn.spots
    known = {key: cell.architecture.parameters["place"] for key, cell in planned.cells.items()}
    leaves = sorted(spot.networks, key=lambda key: spot.networks[key][0])
    assert {known[key] for key in leaves[:6]} != {known[key] for key in leaves[6:]}
    assert len({known[key] for key in leaves[:6]}) == 1
    (axes,) = drawn.canvas.axes
    (branches,) = axes.collections
    tops = sorted(branch[1][1] for branch in branches.get_segments())
    between = [
        value
        for value, same in zip(
            results.seen_by(spec).column("gap.distance"),
            results.seen_by(spec).column(f"same.{PLACE}"),
            strict=True,
        )
        if not same
    ]
    assert len(tops) == 11
    assert tops[-1] == pytest.approx(np.mean(between), abs=1e-9)
    assert tops[-2] < 0.02
