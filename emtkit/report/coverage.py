"""What was measured of which networks, what does not apply and why, and what failed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from emtkit.report.evidence import Evidence, level_text

_SHORT = {"not_applicable": "n/a", "missing": "not run"}


@dataclass(frozen=True)
class Spot:
    """One analysis of one pair: how many cells it measured, in words, and numbered reasons."""

    text: str
    kind: str
    notes: tuple[int, ...]


@dataclass(frozen=True)
class Pair:
    """A task and an architecture, with a spot per analysis."""

    task: str
    architecture: str
    spots: tuple[Spot, ...]


@dataclass(frozen=True)
class Coverage:
    """The matrix of pairs and analyses; `reasons` are numbered from 1."""

    labels: tuple[str, ...]
    pairs: tuple[Pair, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """One traceback with the rows (positions in the frame) that raised it."""

    what: str
    text: str
    rows: tuple[int, ...]

    @property
    def headline(self) -> str:
        """The last line of the traceback, which says what went wrong."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        return lines[-1].strip() if lines else "no reason was recorded"


def coverage(evidence: Evidence) -> Coverage:
    """What was measured of every pair of task and architecture, in the order of the study."""
    labels = evidence.labels()
    notes: dict[str, int] = {}
    pairs = []
    groups = evidence.groups(range(len(evidence)), ["task", "architecture"])
    for (task, architecture), rows in groups.items():
        spots = tuple(_spot(evidence, rows, label, notes) for label in labels)
        pairs.append(Pair(level_text(task), level_text(architecture), spots))
    return Coverage(tuple(labels), tuple(pairs), tuple(notes))


def failures(evidence: Evidence) -> list[Failure]:
    """Every traceback once, the most frequent first."""
    found: dict[tuple[str, str], list[int]] = {}
    labels = evidence.labels()
    for row in range(len(evidence)):
        status = str(evidence.column("status")[row])
        if status in ("failed", "lost"):
            text = evidence.label_cause(row, "train").reason
            found.setdefault((f"training {status}", text), []).append(row)
            continue
        if status != "done":
            continue
        for label in labels:
            cause = evidence.label_cause(row, label)
            if cause.standing in ("failed", "lost"):
                found.setdefault((f"{label} {cause.standing}", cause.reason), []).append(row)
    listed = [Failure(what, text, tuple(rows)) for (what, text), rows in found.items()]
    return sorted(listed, key=lambda failure: -len(failure.rows))


def _spot(evidence: Evidence, rows: list[int], label: str, notes: dict[str, int]) -> Spot:
    causes = [evidence.label_cause(row, label) for row in rows]
    counts = Counter(cause.standing for cause in causes)
    absent = [cause for cause in causes if cause.standing == "not_applicable"]
    reasons = dict.fromkeys(cause.reason for cause in absent if cause.reason)
    numbers = tuple(notes.setdefault(reason, len(notes) + 1) for reason in reasons)
    if counts["done"] == len(rows):
        return Spot(str(len(rows)), "done", numbers)
    words = [f"{counts['done']}/{len(rows)}"] if counts["done"] else []
    others = [standing for standing in counts if standing != "done"]
    words += [
        _SHORT.get(standing, standing) + (f" {counts[standing]}" if words or others[1:] else "")
        for standing in others
    ]
    kind = "not_applicable" if others == ["not_applicable"] and not counts["done"] else "partly"
    return Spot(", ".join(words), kind, numbers)
