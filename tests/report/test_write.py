"""A report is written whatever one of its views does."""

from __future__ import annotations

import shutil

import pytest

from emtkit.errors import EmtkitError
from emtkit.report.page.write import remarked
from emtkit.session import Session, load
from tests.conftest import Smoke


@pytest.fixture
def session(smoke: Smoke, tmp_path, monkeypatch) -> Session:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    shutil.copy(smoke.terminal.folder / "results" / "emtkit.sqlite", tmp_path / "results")
    return load(smoke.study)


def test_one_bad_view_leaves_the_others_and_the_report(session, monkeypatch):
    whole = {path.name for path in session.write_report()}
    figure = next(iter(session.plan.study.figures.values())).name
    table = next(iter(session.plan.study.tables.values())).name
    draw = Session.figure

    def failing(self: Session, name: str, *, narrow: bool = False):
        if name == figure:
            raise ValueError("Unknown symbol: \\rhoo")
        return draw(self, name, narrow=narrow)

    def no_table(self: Session, name: str):
        raise ZeroDivisionError(name)

    monkeypatch.setattr(Session, "figure", failing)
    monkeypatch.setattr(Session, "table", no_table)
    files = session.write_report()
    lost = {f"{figure}.svg"} | {f"{table}.{end}" for end in ("csv", "md", "tex")}
    assert {path.name for path in files} == whole - lost
    page = files[0].read_text()
    assert f"figure '{figure}' cannot be drawn: ValueError: Unknown symbol" in page.replace(
        "&#x27;", "'"
    ).replace("&#39;", "'")
    assert "ZeroDivisionError" in page


def test_a_disk_that_cannot_be_written_is_no_remark():
    remarks: list[str] = []
    with pytest.raises(OSError, match="full"), remarked("figure 'f'", remarks):
        raise OSError("full")
    with remarked("figure 'f'", remarks):
        raise EmtkitError("no network to show")
    assert remarks == ["no network to show"]
