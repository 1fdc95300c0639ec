"""What a plan requires of the store, each network and each finding once; proof that it is there."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from emtkit.errors import EmtkitError
from emtkit.plugin.catalogue import Kind
from emtkit.store.store import Store
from emtkit.study.cells import Cell, EvaluationSpec, Measure, Row
from emtkit.study.network_pairs import NetworkPair


@dataclass(frozen=True)
class Required:
    """Distinct `cells` by key, and by cell what is to be measured.

    `compared` are comparisons with other cells, by the first of the two.
    `refused` are the keys of the cells that do not apply, `refused_findings` those of the findings
    that do not apply to a cell which does; they are in none of the others.
    """

    cells: Mapping[str, Cell]
    evaluation_specs: Mapping[str, tuple[EvaluationSpec, ...]]
    measures: Mapping[str, tuple[Measure, ...]]
    refused: frozenset[str]
    refused_findings: frozenset[str]
    compared: Mapping[str, tuple[Measure, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Sequence[Row], pairs: Sequence[NetworkPair] = ()) -> "Required":
        """What a plan requires; a cell that appears twice keeps the snapshots of both rows."""
        cells: dict[str, Cell] = {}
        evaluation_specs: dict[str, dict[str, EvaluationSpec]] = {}
        measures: dict[str, dict[str, Measure]] = {}
        refused: set[str] = set()
        refused_findings: set[str] = set()
        for row in rows:
            key = row.cell.key
            if row.cell.reason is not None:
                refused.add(key)
                continue
            cells[key] = _both(cells[key], row.cell) if key in cells else row.cell
            specs = {one.key: one for one in row.evaluation_specs if one.reason is None}
            evaluation_specs.setdefault(key, {}).update(specs)
            kept = measures.setdefault(key, {})
            kept.update({m.key: m for m in row.measures if m.reason is None})
            refused_findings |= {one.key for one in row.evaluation_specs if one.reason is not None}
            refused_findings |= {one.key for one in row.measures if one.reason is not None}
        compared: dict[str, dict[str, Measure]] = {}
        for pair in pairs:
            kept = compared.setdefault(pair.first.cell.key, {})
            kept.update({m.key: m for m in pair.measures if m.reason is None})
            refused_findings |= {one.key for one in pair.measures if one.reason is not None}
        return cls(
            cells,
            {key: tuple(found.values()) for key, found in evaluation_specs.items()},
            {key: tuple(found.values()) for key, found in measures.items()},
            frozenset(refused - cells.keys()),
            frozenset(refused_findings),
            {key: tuple(found.values()) for key, found in compared.items()},
        )

    @cached_property
    def findings(self) -> Mapping[str, str]:
        """Key of each finding, and the cell that it is of: the first, of a comparison."""
        return {one.key: cell for cell in self.cells for one in self.wanted(cell)}

    @cached_property
    def plugins(self) -> Mapping[str, tuple[Kind, str]]:
        """Key of each finding of an analysis or a comparison, and kind and name of that."""
        found = (m for ms in (*self.measures.values(), *self.compared.values()) for m in ms)
        return {m.key: m.plugin for m in found}

    @cached_property
    def seconds(self) -> Mapping[str, str]:
        """Key of each finding of a comparison, and the other cell that it is of."""
        return {m.key: m.second for found in self.compared.values() for m in found}

    def wanted(self, cell: str) -> tuple[EvaluationSpec | Measure, ...]:
        """What is to be found of one cell, alone and with others."""
        return (*self.own(cell), *self.compared.get(cell, ()))

    def own(self, cell: str) -> tuple[EvaluationSpec | Measure, ...]:
        """What is to be found of one cell alone."""
        return (*self.evaluation_specs.get(cell, ()), *self.measures.get(cell, ()))

    def of_cell(self, cell: str) -> tuple[str, ...]:
        """Keys of every finding of one cell alone."""
        return tuple(one.key for one in self.own(cell))


@dataclass(frozen=True)
class RunSummary:
    """Where every cell and every finding of the plan ended.

    `expected` cells are the sum of `done`, `failed`, `lost` and `not_applicable`; `findings` that
    of those done, failed (or lost), not applicable and without a network, whose cell has none.
    """

    expected: int
    done: int
    failed: int
    lost: int
    not_applicable: int
    findings: int
    findings_done: int
    findings_failed: int
    findings_not_applicable: int
    findings_without_network: int

    @property
    def clean(self) -> bool:
        """Whether nothing failed and nothing was lost."""
        return not (self.failed or self.lost or self.findings_failed)


def run_summary(rows: Sequence[Row], store: Store, pairs: Sequence[NetworkPair] = ()) -> RunSummary:
    """How every cell of the plan ended; a cell or a finding without an end is an error.

    Raises:
        EmtkitError: some have no end; the first of them are named.
    """
    required = Required.of(rows, pairs)
    status = store.status_of(required.cells)
    ends = Counter(status.values())
    missing = [key for key in required.cells if status.get(key) not in ("done", "failed", "lost")]
    found = store.findings_of(required.findings)
    unfound = [
        f"{finding} of {cell}"
        for finding, cell in required.findings.items()
        if finding not in found
        and all(status.get(one) == "done" for one in (cell, required.seconds.get(finding, cell)))
    ]
    for what, lacking in (("cells", missing), ("findings", unfound)):
        if lacking:
            more = ", ..." if len(lacking) > 3 else ""
            raise EmtkitError(
                f"{len(lacking)} {what} of the plan have no result ({', '.join(lacking[:3])}"
                f"{more}); run the study again"
            )
    of_findings = Counter(finding.status for finding in found.values())
    refused_findings = len(required.refused_findings)
    return RunSummary(
        expected=len(required.cells) + len(required.refused),
        done=ends["done"],
        failed=ends["failed"],
        lost=ends["lost"],
        not_applicable=len(required.refused),
        findings=len(required.findings) + refused_findings,
        findings_done=of_findings["done"],
        findings_failed=of_findings["failed"] + of_findings["lost"],
        findings_not_applicable=of_findings["not_applicable"] + refused_findings,
        findings_without_network=len(required.findings) - len(found),
    )


def _both(one: Cell, other: Cell) -> Cell:
    """One network with the snapshots of both rows that ask for it."""
    steps = {*one.training.snapshots, *other.training.snapshots}
    if steps == set(one.training.snapshots):
        return one
    training = one.training.model_copy(update={"snapshots": tuple(sorted(steps))})
    return replace(one, training=training)
