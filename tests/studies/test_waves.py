"""The studies of traveling waves, run whole or in their selected part: no claim is left open.

What a part does not cover is not testable; everything else must be supported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emtkit.execute.engines.local import LocalEngine
from emtkit.execute.monitor import Quiet
from emtkit.execute.run import Options
from emtkit.session import Session, load

pytestmark = pytest.mark.slow
STUDIES = Path(__file__).parents[2] / "studies"


@contextmanager
def ran(study: str, folder: Path, only: str | None = None) -> Iterator[Session]:
    session = load(STUDIES / f"{study}.yaml", store=folder / "waves.sqlite", only=only)
    engine = LocalEngine(2, session.registry.loose, None)
    try:
        found = session.run(engine, Quiet(), Options())
    finally:
        engine.close()
    assert found.clean
    yield session


def open_claims(session: Session) -> dict[str, str]:
    """Every claim that the results refute or cannot decide, with its cause."""
    return {
        verdict.claim.id: f"{verdict.word}: {verdict.value} {verdict.cause}"
        for verdict in session.verdicts()
        if verdict.word in ("not supported", "inconclusive", "no power")
    }


def supported(session: Session) -> set[str]:
    return {verdict.claim.id for verdict in session.verdicts() if verdict.word == "supported"}


def test_the_quick_comparison_supports_all_its_claims(tmp_path):
    with ran("boundaries_quick", tmp_path) as session:
        assert open_claims(session) == {}
        assert supported(session) == {claim.id for claim in session.plan.study.claims.values()}
        (frame, table) = session.frame(), session.table("boundaries")
        assert len(table.rows) == 2 * frame["architecture"].nunique()
        assert frame["history_decoding.mean_r2"].notna().all()


def test_linear_recurrences_stay_above_their_ceiling(tmp_path):
    part = "architecture=linear_rnn,architecture=twm_linear"  # the second is the first's control
    with ran("boundaries", tmp_path, only=part) as session:
        assert open_claims(session) == {}
        assert supported(session) >= {"linear-recurrence-has-a-ceiling", "linear-recurrence-copies"}
        frame = session.frame().query("architecture == 'linear_rnn'")
        assert (frame["test.loss"] > frame["linear_ceiling.least_loss"] - 0.01).all()


def test_the_figures_of_traveling_waves(tmp_path):
    with ran("twm_figures", tmp_path) as session:
        assert open_claims(session) == {}
        assert supported(session) == {claim.id for claim in session.plan.study.claims.values()}
        for name in ("fig3", "fig4", "fig5a", "fig5b", "fig6", "fig7", "fig11_hidden"):
            assert session.figure(name).cells


def test_learning_supports_its_claims(tmp_path):
    with ran("learning", tmp_path) as session:
        assert open_claims(session) == {}
        assert supported(session) == {claim.id for claim in session.plan.study.claims.values()}


def test_every_architecture_has_its_place_under_all_three_theories(tmp_path):
    with ran("three_theories", tmp_path, only="grid=delays") as session:
        assert open_claims(session) == {}
        frame = session.frame()
        assert frame["history_decoding.mean_r2"].notna().all()
        assert frame["twm_waves.history_r2"].notna().all()
        assert frame["twm_waves.boundary_residual"].isna().all()
        for row in session.plan.rows:
            projections = session.tables_of(row.cell.key, "history_decoding")["projections"]
            assert projections["value"].notna().all()
            reasons = {m.label: m.reason for m in row.measures}
            assert all(reasons[label] for label in ("emt_spectrum", "emt_basis", "intervene"))
