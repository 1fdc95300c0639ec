"""Proof that a run left nothing out: every cell and every finding of a plan has an end."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from emtkit.errors import EmtkitError
from emtkit.execute.required import Required
from emtkit.store.store import Store
from emtkit.study.cells import Row


@dataclass(frozen=True)
class RunSummary:
    """Where every cell of the plan ended; the last four of the five add up to `expected`."""

    expected: int
    done: int
    failed: int
    lost: int
    not_applicable: int
    findings_failed: int

    @property
    def clean(self) -> bool:
        """Whether nothing failed and nothing was lost."""
        return not (self.failed or self.lost or self.findings_failed)


def run_summary(rows: Sequence[Row], store: Store) -> RunSummary:
    """How every cell of the plan ended; a cell or a finding without an end is an error.

    Raises:
        EmtkitError: some have no end; the first of them are named.
    """
    required = Required.of(rows)
    status = store.status_of(required.cells)
    ends = Counter(status.values())
    missing = [key for key in required.cells if status.get(key) not in ("done", "failed", "lost")]
    found = store.findings_of(required.findings)
    unfound = [
        f"{finding} of {cell}"
        for finding, cell in required.findings.items()
        if finding not in found and status.get(cell) == "done"
    ]
    for what, lacking in (("cells", missing), ("findings", unfound)):
        if lacking:
            more = ", ..." if len(lacking) > 3 else ""
            raise EmtkitError(
                f"{len(lacking)} {what} of the plan have no result ({', '.join(lacking[:3])}"
                f"{more}); run the study again"
            )
    failed = sum(finding.status in ("failed", "lost") for finding in found.values())
    expected = len(required.cells) + len(required.refused)
    return RunSummary(
        expected, ends["done"], ends["failed"], ends["lost"], len(required.refused), failed
    )
