"""The results that are committed: their page says what their tables say."""

from __future__ import annotations

import csv
from pathlib import Path

from emtkit.session import load

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"


def lines(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_page_on_table_1_says_what_its_table_says() -> None:
    """Published beside measured: error, accuracy and count, in the order of the cell's parts."""
    page = (RESULTS / "emt_table1_budget.md").read_text(encoding="utf-8")
    found: dict[tuple[str, ...], list[float | None]] = {}
    for line in lines(RESULTS / "emt_table1_budget" / "table1.csv"):
        cell = tuple(line[f"{n}"] for n in list(line)[:3])
        found.setdefault(cell, []).append(float(line["estimate"]) if line["estimate"] else None)
    assert len(found) == 24
    for (rule, units, penalty), (error, accuracy, share) in found.items():
        assert accuracy is not None
        assert share is not None
        measured = f"{'–' if error is None else format(error, '.4f')} ({accuracy:.2f})"
        row = next(
            line
            for line in page.splitlines()
            if line.startswith(f"| {rule} | {units} | {penalty} |")
        )
        assert row.endswith(f"| {measured} | {round(20 * share)}/20 |"), row


def test_committed_tables_are_those_of_their_studies() -> None:
    for folder in sorted(path for path in RESULTS.iterdir() if path.is_dir()):
        session = load(ROOT / "studies" / f"{folder.name}.yaml", store=None)
        tables = {table.name for table in session.plan.study.tables.values()}
        assert {path.stem for path in folder.glob("*.csv")} == tables
        keys = {row.cell.key for row in session.plan.rows}
        for path in folder.glob("*.csv"):
            named = {key for line in lines(path) for key in line["cells"].split()}
            assert named <= keys, f"{path.name} speaks of cells that the study no longer has"


def test_the_page_on_known_mechanisms_says_what_its_table_says() -> None:
    """The share that is named right, and six areas under the curve, of every grid."""
    page = (RESULTS / "membench.md").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for line in lines(RESULTS / "membench" / "nuisances.csv"):
        written = "–" if not line["estimate"] else f"{float(line['estimate']):.2f}"
        if line["value"] == "named right" and line["estimate"]:
            written = f"{float(line['estimate']):.0%}".replace("%", " %")
        found.setdefault(line["grid"], []).append(written)
    assert len(found) == 13
    for grid, cells in found.items():
        assert f"| {grid} | {' | '.join(cells)} |" in page, grid
