"""Writing a report: the page, its tables, its figures, and what they rest on."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from emtkit.errors import EmtkitError
from emtkit.places import CommandOptions
from emtkit.report.data.links import Links
from emtkit.report.data.results import Results
from emtkit.report.figures.captions import caption_of
from emtkit.report.figures.drawn import Drawn, inline_svg, save
from emtkit.report.inference.tuning import TuningCurve
from emtkit.report.inference.verdict import Verdict
from emtkit.report.page.glossary import glossary, meanings
from emtkit.report.page.networks import Drawings, with_networks
from emtkit.report.page.page import (
    Citation,
    PageFigure,
    ReportContent,
    build_markdown,
    build_page,
)
from emtkit.report.tables.drawn import DrawnTable
from emtkit.report.tables.format import FORMATS, Format
from emtkit.store.records import CellResult
from emtkit.study.plan import Plan
from emtkit.study.views import Figure


@dataclass(frozen=True)
class Views:
    """What a report shows of a plan: `table` and `figure` draw the one of a name.

    `figure(name, True)` is that for a phone. `drawings` gives those of the networks in these rows.
    """

    results: Results
    verdicts: tuple[Verdict, ...]
    tunings: tuple[TuningCurve, ...]
    table: Callable[[str], DrawnTable]
    figure: Callable[[str, bool], Drawn]
    drawings: Drawings


def write_report(
    plan: Plan,
    views: Views,
    stored: Mapping[str, CellResult],
    folder: Path,
    options: CommandOptions,
) -> tuple[Path, ...]:
    """Write a report, its tables and its figures into `folder`; returns the files, page first.

    `stored` are the cells of the plan that its store holds, by key.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    tables: list[DrawnTable] = []
    figures: list[PageFigure] = []
    remarks: list[str] = []
    columns = [str(name) for name in views.results.frame.columns]
    means, infos = meanings(plan, columns), map(plan.scalars.info, columns)
    better = {name: info.better for name, info in zip(columns, infos, strict=True) if info}
    link = Links(views.results, better)
    formats = [FORMATS.load(name, Format) for name in FORMATS.names]
    for table_spec in plan.study.tables.values():
        with remarked(f"table '{table_spec.name}'", remarks):
            table = views.table(table_spec.name)
            for one in formats:
                if one.suffix:
                    path = folder / "tables" / f"{table.name}.{one.suffix}"
                    files.append(_write(path, one.text(table)))
            tables.append(table)
    for spec in plan.study.figures.values():
        with remarked(f"figure '{spec.name}'", remarks):
            figures.append(_figure(spec, views, link, means, folder))
            files.append(folder / figures[-1].file)
    content = ReportContent(
        options=options,
        question=plan.study.question,
        answer=plan.study.answer,
        results=views.results,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        verdicts=views.verdicts,
        tunings=views.tunings,
        tables=tuple(tables),
        figures=tuple(figures),
        remarks=(*remarks, *_remarks(plan, stored)),
        glossary=glossary(plan),
        meanings=means,
        provenance=_provenance(stored, options.store),
        citations=citations(plan),
    )
    text = with_networks(build_page(content, link), link, views.drawings)
    page = _write(folder / "report.html", text)
    return (page, _write(folder / "report.md", build_markdown(content)), *files)


def _figure(
    spec: Figure, views: Views, link: Links, means: Mapping[str, str], folder: Path
) -> PageFigure:
    """A figure of the page, whose file is written beside it."""
    drawn, narrow = views.figure(spec.name, False), views.figure(spec.name, True)
    (folder / "figures").mkdir(exist_ok=True)
    place = f"figures/{spec.name}.svg"
    save(drawn, folder / place)
    return PageFigure(
        name=spec.name,
        title=drawn.title,
        caption=caption_of(spec, drawn.account, means),
        svg=inline_svg(drawn, link),
        narrow=inline_svg(narrow, link, name=f"{spec.name}-narrow"),
        how=drawn.account.how,
        notes=drawn.notes,
        cells=drawn.cells,
        file=place,
        key=spec.key,
    )


@contextmanager
def remarked(view: str, remarks: list[str]) -> Iterator[None]:
    """Draw one view: what it raises becomes a remark, and the other views are drawn all the same.

    A disk that cannot be written is no fault of the view, and is raised.
    """
    try:
        yield
    except OSError:
        raise
    except EmtkitError as error:
        remarks.append(str(error))
    except Exception as error:  # a plugin's drawing, or a value that no chart can show
        remarks.append(f"{view} cannot be drawn: {type(error).__name__}: {error}")


def citations(plan: Plan) -> tuple[Citation, ...]:
    """The references of every plugin that the study uses, from their docstrings."""
    found = []
    for plugin in plan.registry.all():
        text = (plugin.cls.__doc__ or "").partition("References:")[2]
        if text.strip() and (plugin.kind, plugin.name) in plan.used:
            found.append(Citation(f"{plugin.kind} {plugin.name}", " ".join(text.split())))
    return tuple(found)


def _remarks(plan: Plan, stored: Mapping[str, CellResult]) -> list[str]:
    """What concerns the report as a whole: results of older sources."""
    found = []
    plugins = plan.registry
    pairs = {key: (cell.task.name, cell.architecture.name) for key, cell in plan.cells.items()}
    now = {}
    for task, architecture in set(pairs.values()):
        both = plugins.get("task", task), plugins.get("architecture", architecture)
        now[task, architecture] = "+".join(one.digest for one in both if one is not None)
    if stale := sum(stored[key].digest not in ("", now[pairs[key]]) for key in stored):
        found.append(
            f"{stale} cells are stale: the sources of their plugins have changed since, while "
            "their versions have not; raise `version` where the numbers changed"
        )
    return found


def _provenance(stored: Mapping[str, CellResult], store: Path) -> dict[str, str]:
    merged: dict[str, set[str]] = {}
    for cell in stored.values():
        if cell.tier not in ("", "constructed"):
            merged.setdefault("tier", set()).add(cell.tier)
        for name, value in cell.provenance.items():
            merged.setdefault(name, set()).add(str(value))
    seconds = sum(cell.seconds for cell in stored.values())
    return {
        **{name: ", ".join(sorted(v - {""})) for name, v in merged.items() if v - {""}},
        "seconds of training": f"{seconds:.0f}",
        "store": str(store),
    }


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    try:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
        return draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
