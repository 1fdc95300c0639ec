"""What analyses stored of a network, and the drawings that they have of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from emtkit.plugin.analysis import Drawing, Findings
from emtkit.plugin.guard import Guard, guarded
from emtkit.plugin.over_training import at_step

if TYPE_CHECKING:
    from emtkit.plugin.registry import Registry
    from emtkit.store.store import Store
    from emtkit.study.cells import Measure, Row


@dataclass(frozen=True)
class StoredDrawing:
    """A drawing that an analysis, by its label, has of one network; `load` reads what it draws."""

    label: str
    name: str
    draw: Drawing
    load: Callable[[], Findings]

    @property
    def title(self) -> str:
        """How it is called: `spectrum, eigenvalues`."""
        return f"{self.label}, {self.name.replace('_', ' ')}"


def load_findings(measure: Measure, store: Store, step: int | None = None) -> Findings:
    """What an analysis found of a network that it has measured.

    Of one that looks at snapshots: all that it found, or what it found at `step`.
    """
    known, held = store.findings_of([measure.key])[measure.key], store.content(measure.key)
    found = Findings(known.scalars, held.tables, held.arrays, known.reasons)
    return found if step is None or measure.at != "snapshots" else at_step(found, step)


def is_done(measure: Measure, store: Store) -> bool:
    """Whether an analysis has measured a network."""
    found = store.findings_of([measure.key]).get(measure.key) if measure.reason is None else None
    return found is not None and found.status == "done"


def drawings_of(
    row: Row, store: Store, registry: Registry, guard: Guard
) -> Iterator[StoredDrawing]:
    """Every drawing of a network, in the order of the study's analyses."""
    for measure in row.measures:
        analysis = measure.analysis.name
        drawings = registry.analyses[analysis].drawings
        if drawings and is_done(measure, store):
            last = measure.steps[-1] if measure.steps else None
            load = partial(load_findings, measure, store, last)
            for name, draw in drawings.items():
                what = f"{registry.described('analysis', analysis)}, {measure.label}.{name}"
                yield StoredDrawing(measure.label, name, guarded(draw, what, guard), load)
