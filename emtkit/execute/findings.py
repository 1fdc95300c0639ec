"""Results of evaluations and analyses as they are stored: found, failed, or not applicable."""

import traceback
from dataclasses import replace

from emtkit.errors import NotApplicable
from emtkit.execute.measure import Asked, Outcome
from emtkit.execute.messages import Subjects
from emtkit.execute.provenance import provenance
from emtkit.plugin.guard import ForbiddenError
from emtkit.store.content import pack
from emtkit.store.records import FindingResult, finding_identity
from emtkit.study.cells import EvaluationSpec, Measure


def unknown_finding(subject: Subjects, of: EvaluationSpec | Measure) -> FindingResult:
    """The result of an evaluation or an analysis before anything is known of it."""
    identity = finding_identity(of)
    return FindingResult(of.key, subject.cell.key, identity, "done", provenance=provenance())


def failed_finding(subject: Subjects, of: EvaluationSpec | Measure, error: str) -> FindingResult:
    """The result of one that raised."""
    return replace(unknown_finding(subject, of), status="failed", error=error)


def analysed_finding(asked: Asked, outcome: Outcome, suspects: str, digest: str) -> FindingResult:
    """What an analysis found, or why it did not; `digest` is of its sources."""
    said, result = outcome.said, unknown_finding(asked.subject, asked.measure)
    if isinstance(said, NotApplicable):
        return replace(result, status="not_applicable", error=str(said))
    if isinstance(said, Exception):
        return replace(result, status="failed", error=reason_of(said, suspects))
    return replace(
        result,
        scalars=said.scalars,
        reasons=said.reasons,
        content=pack(said.tables, said.arrays),
        seconds=outcome.seconds,
        digest=digest,
    )


def reason_of(error: Exception, suspects: str) -> str:
    """The traceback, its end where it is long: a plugin may put anything into its message."""
    if isinstance(error, ForbiddenError):
        return f"{suspects}: {error}"
    return "".join(traceback.format_exception(error))[-20_000:]
