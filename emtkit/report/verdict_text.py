"""Verdicts as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emtkit.report.claims import Verdict
from emtkit.report.numbers import interval_text, number_text, p_text


def verdict_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """One line per verdict: the claim, the word, where, estimate, interval, p and n."""
    for one in verdicts:
        parts = [f"{one.word:<13} {one.claim.id}", one.where, numbers_text(one), one.cause]
        yield "  ".join(part for part in parts if part)


def numbers_text(one: Verdict) -> str:
    """What was found: estimate, what it is compared with, interval, p and n."""

    def text(value: float | str | None) -> str:
        return number_text(value) if isinstance(value, float) else (value or "")

    parts = [text(one.value)]
    if one.compared is not None:
        parts.append(f"against {text(one.compared)}")
    if one.estimate is not None and one.estimate.n > 1:
        parts.append(interval_text(one.estimate))
    if one.p is not None:
        parts.append(p_text(one.p))
    if one.total:
        parts.append(f"n {one.n} of {one.total}")
    return " ".join(part for part in parts if part)
