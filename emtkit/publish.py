"""Writing a session's report: the page, its tables, its figures, and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emtkit.errors import EmtkitError
from emtkit.report.figures import inline_svg, save
from emtkit.report.formats import to_csv, to_markdown
from emtkit.report.latex import to_latex
from emtkit.report.page import Citation, PageFigure, ReportContent, build_markdown, build_page
from emtkit.session import Session


def write_report(session: Session) -> tuple[Path, ...]:
    """Write the report of a session, its tables and its figures; returns the files, page first."""
    study, folder = session.plan.study, session.folder
    folder.mkdir(parents=True, exist_ok=True)
    tables = tuple(session.table(spec.name) for spec in study.tables.values())
    files: list[Path] = []
    for table_spec, table in zip(study.tables.values(), tables, strict=True):
        texts = {"csv": to_csv(table), "md": to_markdown(table), "tex": to_latex(table)}
        files += [
            _write(folder / "tables" / f"{table_spec.name}.{end}", text)
            for end, text in texts.items()
        ]
    figures, remarks = [], []
    for spec in study.figures.values():
        try:
            drawn = session.figure(spec.name)
        except EmtkitError as error:
            remarks.append(str(error))
            continue
        path = folder / "figures" / f"{spec.name}.svg"
        path.parent.mkdir(exist_ok=True)
        save(drawn, path)
        files.append(path)
        figures.append(
            PageFigure(
                name=spec.name,
                title=drawn.title,
                caption=spec.caption or "",
                svg=inline_svg(drawn),
                notes=drawn.notes,
                cells=drawn.cells,
                file=f"figures/{spec.name}.svg",
            )
        )
    content = ReportContent(
        study=session.source,
        question=study.question,
        evidence=session.evidence,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        verdicts=tuple(session.verdicts()),
        tables=tables,
        figures=tuple(figures),
        remarks=(*remarks, *_remarks(session)),
        provenance=_provenance(session),
        citations=citations(session),
    )
    page = _write(folder / "report.html", build_page(content))
    return (page, _write(folder / "report.md", build_markdown(content)), *files)


def citations(session: Session) -> tuple[Citation, ...]:
    """The references of every plugin that the study uses, from their docstrings."""
    found = []
    for plugin in _used(session):
        text = (plugin.cls.__doc__ or "").partition("References:")[2]
        if text.strip():
            found.append(Citation(f"{plugin.kind} {plugin.name}", " ".join(text.split())))
    return tuple(found)


def _used(session: Session) -> list[Any]:
    names = {("task", row.cell.task.name) for row in session.plan.rows}
    names |= {("architecture", row.cell.architecture.name) for row in session.plan.rows}
    names |= {("analysis", m.analysis.name) for row in session.plan.rows for m in row.measures}
    return [plugin for plugin in session.registry.all() if (plugin.kind, plugin.name) in names]


def _remarks(session: Session) -> list[str]:
    """What concerns the report as a whole: results of older sources, tiers that differ."""
    with session.read() as store:
        stored = store.cells_of(session.plan.cells)
    tiers = sorted({cell.tier for cell in stored.values()} - {"", "constructed"})
    found = []
    if len(tiers) > 1:
        found.append(f"the networks were trained in different tiers: {', '.join(tiers)}")
    if stale := stale_cells(session, stored):
        found.append(
            f"{len(stale)} cells are stale: the sources of their plugins have changed since, while "
            "their versions have not; raise `version` where the numbers changed"
        )
    return found


def stale_cells(session: Session, stored: Mapping[str, Any]) -> list[str]:
    """Keys of stored cells whose plugins' sources are no longer what made them."""
    now: dict[tuple[str, str], str] = {}
    found = []
    for key, cell in session.plan.cells.items():
        pair = (cell.task.name, cell.architecture.name)
        if pair not in now:
            plugins = (
                session.registry.get("task", pair[0]),
                session.registry.get("architecture", pair[1]),
            )
            now[pair] = "+".join(plugin.digest for plugin in plugins if plugin is not None)
        if key in stored and stored[key].digest not in ("", now[pair]):
            found.append(key)
    return found


def _provenance(session: Session) -> dict[str, str]:
    with session.read() as store:
        stored = store.cells_of(session.plan.cells)
    merged: dict[str, set[str]] = {}
    for cell in stored.values():
        for name, value in cell.provenance.items():
            merged.setdefault(name, set()).add(str(value))
    seconds = sum(cell.seconds for cell in stored.values())
    facts = {name: ", ".join(sorted(values - {""})) for name, values in merged.items()}
    return {
        **{name: value for name, value in facts.items() if value},
        "seconds of training": f"{seconds:.0f}",
        "store": str(session.store),
    }


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    draft.write_text(text, encoding="utf-8")
    return draft.replace(path)
