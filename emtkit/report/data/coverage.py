"""What was measured of which networks, what does not apply and why, and what failed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from emtkit.report.data.results import Results, level_text
from emtkit.report.data.sides import APART, OTHER, SAME

_SHORT = {"not_applicable": "n/a", "missing": "not run"}


@dataclass(frozen=True)
class AnalysisCoverage:
    """One analysis of one pair: how many cells it measured, in words, and numbered reasons."""

    text: str
    kind: str
    notes: tuple[int, ...]


@dataclass(frozen=True)
class PairCoverage:
    """A task and an architecture, and what was measured by each analysis."""

    task: str
    architecture: str
    analyses: tuple[AnalysisCoverage, ...]


@dataclass(frozen=True)
class Coverage:
    """The matrix of pairs and analyses; `reasons` are numbered from 1."""

    labels: tuple[str, ...]
    pairs: tuple[PairCoverage, ...]
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


def coverage(results: Results) -> Coverage:
    """What was measured of every pair of task and architecture, in the order of the study.

    Of a comparison: of how many pairs of networks one or both are of that architecture.
    """
    labels, pairs = results.labels(), results.pairs
    compared = _compared_labels(results)
    notes: dict[str, int] = {}
    groups = results.groups(range(len(results)), ["task", "architecture"])
    theirs = {} if pairs is None else pairs.groups(range(len(pairs)), ["task", "architecture"])
    found = []
    for (task, architecture), rows in groups.items():
        analyses = [_measured_by(results, rows, label, notes) for label in labels]
        if pairs is not None:
            once = _once(pairs, theirs.get((task, architecture), []))
            analyses += [_measured_by(pairs, once, label, notes) for label in compared]
        found.append(PairCoverage(level_text(task), level_text(architecture), tuple(analyses)))
    return Coverage((*labels, *compared), tuple(found), tuple(notes))


def _compared_labels(results: Results) -> list[str]:
    """The comparisons, by their labels."""
    if results.pairs is None:
        return []
    known = {*results.labels(), *(side.rstrip(".") for side in (OTHER, SAME, APART))}
    return [label for label in results.pairs.labels() if label not in known]


def _once(pairs: Results, rows: Iterable[int]) -> list[int]:
    """One row of each pair, which may have one from either side."""
    names = pairs.column("cell")
    return list({names[row]: row for row in rows}.values())


def findings_by_status(results: Results) -> Counter[str]:
    """How many findings of networks, and of two, ended how; each counts once."""
    rows = {str(cell): row for row, cell in enumerate(results.column("cell"))}
    there = [row for row in rows.values() if results.column("status")[row] == "done"]
    labels = [label for label in results.labels() if label != "train"]
    found = Counter[str](
        results.label_cause(row, label).status for label in labels for row in there
    )
    if (pairs := results.pairs) is not None:
        once, compared = _once(pairs, range(len(pairs))), _compared_labels(results)
        there = [row for row in once if pairs.column("status")[row] == "done"]
        found.update(pairs.label_cause(row, label).status for label in compared for row in there)
    del found["not_asked"]
    return found


def failures(results: Results) -> list[Failure]:
    """Every traceback once, the most frequent first."""
    found: dict[tuple[str, str], list[int]] = {}
    labels = {"done": results.labels(), "failed": ["train"], "lost": ["train"]}
    for row, status in enumerate(results.column("status")):
        for label in labels.get(status, ()):
            cause = results.label_cause(row, label)
            if cause.status in ("failed", "lost"):
                what = f"{'training' if label == 'train' else label} {cause.status}"
                found.setdefault((what, cause.reason), []).append(row)
    listed = [Failure(what, text, tuple(rows)) for (what, text), rows in found.items()]
    return sorted(listed, key=lambda failure: -len(failure.rows))


def _measured_by(
    results: Results, rows: list[int], label: str, notes: dict[str, int]
) -> AnalysisCoverage:
    every = (results.label_cause(row, label) for row in rows)
    causes = [cause for cause in every if cause.status != "not_asked"]
    if not causes:
        return AnalysisCoverage("not asked", "not_applicable", ())
    counts = Counter(cause.status for cause in causes)
    absent = [cause for cause in causes if cause.status == "not_applicable"]
    reasons = dict.fromkeys(cause.reason for cause in absent if cause.reason)
    numbers = tuple(notes.setdefault(reason, len(notes) + 1) for reason in reasons)
    if counts["done"] == len(causes):
        return AnalysisCoverage(str(len(causes)), "done", numbers)
    words = [f"{counts['done']}/{len(causes)}"] if counts["done"] else []
    others = [status for status in counts if status != "done"]
    words += [
        _SHORT.get(status, status) + (f" {counts[status]}" if words or others[1:] else "")
        for status in others
    ]
    kind = "not_applicable" if others == ["not_applicable"] and not counts["done"] else "partly"
    return AnalysisCoverage(", ".join(words), kind, numbers)
