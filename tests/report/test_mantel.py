"""The permutation of networks behind a statistic of pairs, where the truth is known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from emtkit.execute.monitor import Quiet
from emtkit.execute.run import Options, run
from emtkit.plugin.statistic import statistic_named
from emtkit.report.data.frame import read_results
from emtkit.report.data.pairs import with_pairs
from emtkit.report.data.results import Results
from emtkit.report.inference.claims import verdicts_of
from emtkit.report.inference.mantel import Paired
from emtkit.store.store import Store
from emtkit.study.views import Claim
from tests.comparisons import REGISTRY, plan
from tests.inline_engine import InlineEngine

RANKS = statistic_named("rank_correlation")


def paired(at: np.ndarray, by: np.ndarray) -> Paired:
    """The distances of points, and of other points of the same networks."""
    pairs = np.array(list(combinations(range(len(at)), 2)))
    first, second = pairs.T
    return Paired(abs(at[first] - at[second]), abs(by[first] - by[second]), pairs)


def p_of(one: Paired) -> float:
    reached = np.abs(one.reached(RANKS))
    return float((reached >= reached[0] - 1e-12).mean())


def test_the_permutation_of_networks_is_exact_where_that_of_pairs_is_not(monkeypatch) -> None:
    """Unrelated places of 8 networks: p < 0.1 in a tenth of draws; with pairs permuted, more."""
    monkeypatch.setattr("emtkit.report.inference.mantel.PERMUTATIONS", 199)
    rng = np.random.default_rng(0)
    mine, naive = [], []
    for _ in range(300):
        one = paired(*rng.standard_exponential((2, 8)) ** 2)
        mine.append(p_of(one))
        orders = rng.permuted(np.tile(one.by, (199, 1)), axis=1)
        drawn = np.abs(RANKS(np.broadcast_to(one.values, orders.shape), orders))
        naive.append((1 + (drawn >= abs(RANKS(one.values, one.by))).sum()) / 200)
    found, wrong = (np.mean(np.array(ps) <= 0.1) for ps in (mine, naive))
    assert abs(found - 0.1) < 3 * np.sqrt(0.09 / 300)
    assert wrong > found + 3 * np.sqrt(0.09 / 300)


def test_networks_are_exchanged_within_their_groups_only() -> None:
    """Two groups of two networks: only one pair each, so nothing can change."""
    one = Paired(np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([[0, 1], [2, 3]]))
    assert np.all(one.reached(RANKS) == 1.0)


def test_without_a_pair_nothing_is_exchanged() -> None:
    one = Paired(np.ones(2), np.ones(2), np.array([[0, 1], [1, 2]]))
    assert "not every two" in str(one.reached(RANKS))


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """Whether the gap of two points goes with how far apart a number of them is."""
    planned = plan("gap", seeds=6)
    with Store.open(tmp_path_factory.mktemp("mantel") / "s.sqlite", writer=True) as store:
        engine = InlineEngine(REGISTRY)
        run(planned.known, REGISTRY, store, engine, Quiet(), Options(), planned.pairs)
        read = read_results(planned.rows, store)
        place = read.frame["architecture.place"].astype(float)
        noise = np.random.default_rng(1).normal(size=(2, len(place)))
        told = {"it.follows": place + 0.1 * noise[0], "it.other": noise[1]}
        results = with_pairs(Results(read.frame.assign(**told), read.reasons), planned, store)
    claims = [
        Claim.model_validate(
            {
                "id": name,
                "text": "It explains how far apart two networks are",
                "expect": {
                    "value": "gap.distance",
                    "stat": "rank_correlation",
                    "by": f"apart.it.{name}",
                    "above": 0,
                    "over": ["architecture.place", "seed"],
                },
            }
        )
        for name in ("follows", "other")
    ]
    return verdicts_of(results, claims)


def test_a_claim_that_a_number_explains_the_distance(verdicts) -> None:
    follows, other = verdicts
    assert follows.word == "supported"
    assert follows.value > 0.5
    assert follows.p < 0.01
    assert other.word == "inconclusive"
    assert other.p > 0.05
