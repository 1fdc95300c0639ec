"""Whether a claim was stated before the first of its results, as the store remembers it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf

from emtkit.report.data.sides import networks_of
from emtkit.report.inference.verdict import Verdict
from emtkit.store.records import Statement
from emtkit.study.cells import digest
from emtkit.study.file import Study
from emtkit.study.roles import CONTROLS
from emtkit.study.views import Claim

BEFORE = "stated before results"
CHANGED = "changed after results"
AFTER = "stated after results"


def statements_of(study: Study, now: float) -> list[Statement]:
    """The study's claims as they are now."""
    claims = study.claims.values()
    return [Statement(study.name, one.id, _digest(study, one), now) for one in claims]


def unknown_to(stored: Iterable[Statement], claims: Sequence[Statement]) -> list[Statement]:
    """Those of `claims` that were not stored in this very form."""
    known = {(one.study, one.claim, one.digest) for one in stored}
    return [one for one in claims if (one.study, one.claim, one.digest) not in known]


def with_times(
    verdicts: Iterable[Verdict],
    study: Study,
    stored: Sequence[Statement],
    done_at: Mapping[str, float],
) -> list[Verdict]:
    """The verdicts with what is known of when their claims were stated.

    `done_at` is when each cell that is done was done first. Before results: in its present form the
    claim was seen before any of the cells that its verdict rests on. Changed after: in another
    form it was.
    """
    now = {one.id: _digest(study, one) for one in study.claims.values()}
    seen = {one.digest: one.seen for one in sorted(stored, key=lambda one: -one.seen)}
    forms: dict[str, float] = {}
    for one in stored:
        if one.study == study.name:
            forms[one.claim] = min(one.seen, forms.get(one.claim, inf))
    found = []
    for verdict in verdicts:
        keys = (key for cell in verdict.cells for key in networks_of(cell))
        first = min((done_at[key] for key in keys if key in done_at), default=None)
        if first is None:
            found.append(verdict)
            continue
        stated = AFTER
        if seen.get(now[verdict.claim.id], inf) <= first:
            stated = BEFORE
        elif forms.get(verdict.claim.id, inf) <= first:
            stated = CHANGED
        found.append(replace(verdict, stated=stated))
    return found


def _digest(study: Study, claim: Claim) -> str:
    """Of what a claim says: all but its name, its source, and what does not differ by it."""
    said = claim.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude={"id", "source"}
    )
    controls = {
        role: [grid.name for grid in study.grids if grid.role == role]
        for role in CONTROLS
        if claim.controls(role) is None
    }
    return digest(["claim", said, controls])
