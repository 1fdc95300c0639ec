"""What a plan requires of the store: each network once, each finding once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from emtkit.study.cells import Cell, EvaluationSpec, Measure, Row


@dataclass(frozen=True)
class Required:
    """Distinct `cells` by key, and by cell what is to be measured.

    `refused` are the keys of the cells that do not apply; they are in none of the others.
    """

    cells: Mapping[str, Cell]
    evaluation_specs: Mapping[str, tuple[EvaluationSpec, ...]]
    measures: Mapping[str, tuple[Measure, ...]]
    refused: frozenset[str]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Required":
        """What the plan `rows` requires; a cell that appears twice keeps the snapshots of both."""
        cells: dict[str, Cell] = {}
        evaluation_specs: dict[str, dict[str, EvaluationSpec]] = {}
        measures: dict[str, dict[str, Measure]] = {}
        refused: set[str] = set()
        for row in rows:
            key = row.cell.key
            if row.cell.reason is not None:
                refused.add(key)
                continue
            cells[key] = _both(cells[key], row.cell) if key in cells else row.cell
            evaluation_specs.setdefault(key, {})[row.evaluation_spec.key] = row.evaluation_spec
            kept = measures.setdefault(key, {})
            kept.update({m.key: m for m in row.measures if m.reason is None})
        return cls(
            cells,
            {key: tuple(found.values()) for key, found in evaluation_specs.items()},
            {key: tuple(found.values()) for key, found in measures.items()},
            frozenset(refused - cells.keys()),
        )

    @cached_property
    def findings(self) -> Mapping[str, str]:
        """Key of each finding, and the cell that it is of."""
        return {finding: cell for cell in self.cells for finding in self.of_cell(cell)}

    @cached_property
    def analyses(self) -> Mapping[str, str]:
        """Key of each finding of an analysis, and the analysis's name."""
        return {m.key: m.analysis.name for found in self.measures.values() for m in found}

    def wanted(self, cell: str) -> tuple[EvaluationSpec | Measure, ...]:
        """What is to be found of one cell."""
        return (*self.evaluation_specs.get(cell, ()), *self.measures.get(cell, ()))

    def of_cell(self, cell: str) -> tuple[str, ...]:
        """Keys of every finding of one cell."""
        return tuple(one.key for one in self.wanted(cell))


def _both(one: Cell, other: Cell) -> Cell:
    """One network with the snapshots of both rows that ask for it."""
    steps = {*one.training.snapshots, *other.training.snapshots}
    if steps == set(one.training.snapshots):
        return one
    training = one.training.model_copy(update={"snapshots": tuple(sorted(steps))})
    return replace(one, training=training)
