"""A study in a few lines of HTML, as a notebook shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from emtkit.report.claims import Verdict
from emtkit.report.evidence import Evidence
from emtkit.report.verdict_text import numbers_text

_COLOURS = {"supported": "#0b8a5f", "not supported": "#d03a3a", "inconclusive": "#b07a00"}


def summary_html(
    name: str, question: str, evidence: Evidence, verdicts: Sequence[Verdict], store: str
) -> str:
    """Question, cells by status, and a line per verdict; readable on light and dark pages."""
    statuses = dict(zip(evidence.column("cell"), evidence.column("status"), strict=True))
    counts = Counter(str(status).replace("_", " ") for status in statuses.values())
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
    lines = [
        f"<strong>{escape(question or name)}</strong>",
        f"<div>{escape(name)}: {escape(told)}; store {escape(store)}</div>",
    ]
    rows = [
        f'<tr><td style="color:{_COLOURS.get(one.word, "inherit")}">{escape(one.word)}</td>'
        + "".join(
            f'<td style="text-align:left">{escape(text)}</td>'
            for text in (one.claim.text, one.where, numbers_text(one), one.cause)
        )
        + "</tr>"
        for one in verdicts
    ]
    if rows:
        heads = "".join(
            f'<th style="text-align:left">{head}</th>'
            for head in ("verdict", "claim", "where", "found", "because")
        )
        lines.append(
            f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        )
    return "<div>" + "\n".join(lines) + "</div>"
