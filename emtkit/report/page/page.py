"""One report of a study: a self-contained HTML page, and the same in Markdown.

The page loads nothing: style, script and figures are part of it, and a content security policy lets
only that one script run. All text of studies and plugins is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from emtkit.places import CommandOptions
from emtkit.report.data.coverage import coverage, failures, findings_by_status
from emtkit.report.data.links import Link, Links, rows_link
from emtkit.report.data.results import Results, level_text
from emtkit.report.inference.verdict import Verdict
from emtkit.report.page.claims import answer_of, claim_blocks, correction
from emtkit.report.page.data import data_of
from emtkit.report.tables.drawn import DrawnTable, to_html
from emtkit.report.tables.formats.markdown import Markdown, markdown_text
from emtkit.report.tables.numbers import controls_text, numbers_text
from emtkit.study.quantity import Quantity

if TYPE_CHECKING:
    from emtkit.report.inference.tuning import TuningCurve

MOST_LISTED = 1000
"""Cells that the page lists itself; its script adds the others."""

_DOUBT = "#b07a00"
_COLOURS = {
    "supported": "#0b8a5f",
    "unchecked": _DOUBT,
    "no power": "#d03a3a",
    "not supported": "#d03a3a",
    "inconclusive": _DOUBT,
}


@dataclass(frozen=True)
class PageFigure:
    """A figure of the report: `svg` is an element from `inline_svg`, `narrow` that for a phone.

    `how` says over how many networks it is. `cells` are the keys behind it, `file` its place beside
    the Markdown report (empty: none); the `key` figure opens the page.
    """

    name: str
    title: str
    caption: str
    svg: str
    narrow: str = ""
    how: str = ""
    notes: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    file: str = ""
    key: bool = False


@dataclass(frozen=True)
class Citation:
    """What a plugin asks to be cited: who asks, and the BibTeX entry or plain reference."""

    plugin: str
    text: str


@dataclass(frozen=True)
class ReportContent:
    """Everything that a report shows; nothing is computed from other sources.

    `options` are the study with what finds its results, `made` the date as text,
    `remarks` what concerns the report as a whole (stale results, mixed tiers), `glossary` what the
    columns behind tables, figures and claims mean, `meanings` what all columns do.
    """

    options: CommandOptions
    question: str
    results: Results
    answer: str = ""
    made: str = ""
    verdicts: tuple[Verdict, ...] = ()
    tunings: tuple[TuningCurve, ...] = ()
    tables: tuple[DrawnTable, ...] = ()
    figures: tuple[PageFigure, ...] = ()
    remarks: tuple[str, ...] = ()
    glossary: Mapping[str, str] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, str] | None = None
    citations: tuple[Citation, ...] = ()


SCRIPTS = ("report.js", "drawing.js", "explorer.js")
"""What a page runs, in this order."""


@dataclass(frozen=True)
class CellLine:
    """One cell in the list of cells: short key, status, levels on the varying axes."""

    key: str
    status: str
    levels: tuple[str, ...]


def build_page(content: ReportContent, link: Links) -> str:
    """The report as one HTML page; `link` is asked for the address of every number."""
    results, script = (
        content.results,
        "".join(map(_source, ("report.js", "drawing.js", "explorer.js"))),
    )
    axes = _shown_axes(results)
    figures = [
        (one, Markup(one.svg), Markup(one.narrow), link(one.cells)) for one in content.figures
    ]
    key = next((one for one in figures if one[0].key), figures[0] if figures else None)
    figures = [one for one in figures if one is not key]
    own = {
        "tables": [(one, Markup(to_html(one, link, content.glossary))) for one in content.tables],
        "figures": figures,
        "key_figure": key,
        "failures": [(one, rows_link(one.rows)) for one in failures(results)],
        "axes": axes,
        "cells": _cells(results, axes)[:MOST_LISTED],
        "unlisted": max(0, len(results) - MOST_LISTED),
        "data": Markup(data_of(content.results, content.options, content.meanings, axes)),
        "style": Markup(_source("report.css")),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    page = _environment(escape=True).get_template("report.html.j2")
    return page.render(_shared(content, link) | own)


def build_markdown(content: ReportContent) -> str:
    """The report as Markdown, for a repository or a terminal."""
    environment = _environment(escape=False)
    environment.filters["md"] = lambda text: markdown_text(str(text))
    tables = [Markdown().text(table) for table in content.tables]
    own = {"tables": tables, "failures": failures(content.results)}
    page = environment.get_template("report.md.j2")
    return page.render(_shared(content, _no_link) | own)


def _no_link(cells: Sequence[str], quantity: Quantity | None = None) -> str:
    return ""


def summary_html(
    name: str, question: str, results: Results, verdicts: Sequence[Verdict], store: str
) -> str:
    """Question, cells by status, and a line per verdict; readable on light and dark pages."""
    cells = ", ".join(text for text, _ in _summary(results))
    lines = [
        f"<strong>{escape(question or name)}</strong>",
        f"<div>{escape(name)}: {escape(cells)}; store {escape(store)}</div>",
    ]
    rows = [
        f'<tr><td style="color:{_COLOURS.get(one.word, "inherit")}">{escape(one.word)}</td>'
        + "".join(
            f'<td style="text-align:left">{escape(text)}</td>'
            for text in (one.claim.text, one.where, *_found(one), one.cause)
        )
        + "</tr>"
        for one in verdicts
    ]
    if rows:
        heads = "".join(
            f'<th style="text-align:left">{head}</th>'
            for head in ("verdict", "claim", "where", "found", "controls", "reason")
        )
        lines.append(
            f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        )
    return "<div>" + "\n".join(lines) + "</div>"


def _found(one: Verdict) -> tuple[str, str]:
    """What was found, of which cells, and what the controls show."""
    return " ".join(filter(None, (numbers_text(one), one.given))), controls_text(one)


def _shared(content: ReportContent, link: Link) -> dict[str, Any]:
    """What both pages show."""
    blocks = claim_blocks(content.verdicts, link)
    return {
        "answer": answer_of(blocks, content.answer),
        "content": content,
        "summary": _summary(content.results),
        "claims": blocks,
        "corrected": correction(content.verdicts),
        "coverage": coverage(content.results),
        "options": content.options,
    }


def _environment(*, escape: bool) -> Environment:
    return Environment(
        loader=PackageLoader("emtkit.report"),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _source(name: str) -> str:
    return resources.files("emtkit.report").joinpath("templates", name).read_text("utf-8")


_ENDS = ("done", "failed", "lost", "not_applicable", "missing")


def _summary(results: Results) -> list[tuple[str, str]]:
    """`24 cells done` and its kind: how cells ended, and findings that are not done."""
    ends = dict(zip(results.column("cell"), results.column("status"), strict=True))
    cells, findings = Counter(map(str, ends.values())), findings_by_status(results)
    counted = [("cell", end, cells[end]) for end in _ENDS]
    counted += [("finding", end, findings[end]) for end in _ENDS[1:]]
    return [
        (f"{count} {what if count == 1 else what + 's'} {end.replace('_', ' ')}", end)
        for what, end, count in counted
        if count
    ]


def _shown_axes(results: Results) -> list[str]:
    """Task, architecture and seed, the role if some are controls, and what else tells apart."""
    whole = range(len(results))
    distinguishing = results.distinguishing(whole, aside=["seed"])
    role = ["role"] if "role" in results.frame and len(results.groups(whole, ["role"])) > 1 else []
    return list(dict.fromkeys([*role, "task", "architecture", *distinguishing, "seed"]))


def _cells(results: Results, axes: Sequence[str]) -> list[CellLine]:
    columns = [[level_text(value) for value in results.column(axis)] for axis in axes]
    keys, statuses = results.column("cell"), results.column("status")
    return [
        CellLine(str(keys[row]), str(statuses[row]).replace("_", " "), levels)
        for row, levels in enumerate(zip(*columns, strict=True))
    ]
