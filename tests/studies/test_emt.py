"""The demo of Episodic Memory Theory, run whole: its claims hold, its table is the published one.

A minute or two of one core.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from emtkit.execute.engines.local import LocalEngine
from emtkit.execute.monitor import Quiet
from emtkit.execute.run import Options
from emtkit.session import load

pytestmark = pytest.mark.slow
DEMO = Path(__file__).parents[2] / "studies" / "emt_demo.yaml"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    session = load(DEMO, store=tmp_path_factory.mktemp("store") / "emt.sqlite")
    engine = LocalEngine(2, session.registry.loose, None)
    try:
        found = session.run(engine, Quiet(), Options())
    finally:
        engine.close()
    assert found.clean
    return session


def test_no_claim_is_refused(demo):
    verdicts = demo.verdicts()
    assert {verdict.claim.id: verdict.word for verdict in verdicts} == {
        claim.id: "supported" for claim in demo.plan.study.claims.values()
    }


def test_the_table_in_the_published_form(demo):
    table = demo.table("published_form")
    texts = {
        (row, heading.levels[0]): box.text
        for row, line in zip(table.rows, table.body, strict=True)
        for heading, box in zip(table.headings, line, strict=True)
    }
    for width in (8, 16, 32):
        for rule in ("repeat", "diagonal"):
            assert texts[(rule, width), 0.1] == "– (0.50), 0/12"
    for place in (("repeat", 32), ("diagonal", 32)):
        assert texts[place, 0.0].endswith("12/12")
    for place in (("repeat", 8), ("repeat", 16), ("diagonal", 8)):
        assert texts[place, 0.0].startswith("–")
        assert texts[place, 0.0].endswith("0/12")
    # Sixteen units leave the ten modes of the diagonal rule room, but not every network finds it.
    assert not texts[("diagonal", 16), 0.0].startswith("–")


def wide(demo):
    """The trained networks of 32 units without decay."""
    frame = demo.frame()
    return frame[
        (frame["role"] == "study")
        & (frame["architecture.hidden"] == 32)
        & (frame["training.weight_decay"] == 0)
    ]


def test_networks_lie_far_nearer_than_chance(demo):
    trained = wide(demo)
    assert (
        trained["emt_spectrum.angle_error"] < trained["emt_spectrum.null_angle_error"] / 10
    ).all()
    assert (trained["test.accuracy"] > 0.94).all()
    assert (trained["emt_basis.sign_agreement"] > 0.99).all()


def test_only_moduli_keep_the_diagonal_operator_from_being_the_circuits(demo):
    """Its angles are right and its entries are not: trained moduli lie outside the unit circle."""
    errors = wide(demo).groupby("task.rule")["emt_basis.phi_error"].mean()
    assert errors["repeat"] < 0.1
    assert errors["diagonal"] > 0.3
