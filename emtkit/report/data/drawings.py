"""What analyses stored of a network, and the drawings that they have of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING

from emtkit.errors import EmtkitError, NotApplicable, PluginError
from emtkit.plugin.analysis import Draw, Findings
from emtkit.plugin.drawing import Drawing
from emtkit.plugin.guard import Guard, guarded
from emtkit.plugin.over_training import at_step

if TYPE_CHECKING:
    from emtkit.plugin.registry import Registry
    from emtkit.store.records import FindingResult
    from emtkit.store.store import Store
    from emtkit.study.cells import Measure, Row

_AT_ONCE = 200
"""Networks of which a store is asked at once."""


@dataclass(frozen=True)
class StoredDrawing:
    """A drawing that an analysis, by its label, has of one network; `load` reads what it draws."""

    label: str
    name: str
    draw: Draw
    load: Callable[[], Findings]

    @property
    def title(self) -> str:
        """How it is called: `spectrum, eigenvalues`."""
        return f"{self.label}, {self.name.replace('_', ' ')}"

    def drawn(self) -> Drawing:
        """What it shows.

        Raises:
            NotApplicable: there is nothing to show.
            EmtkitError: it cannot be drawn.
        """
        return drawing_of(self.draw, self.load())


def drawing_of(draw: Draw, findings: Findings) -> Drawing:
    """What an analysis draws of its findings.

    Raises:
        NotApplicable: there is nothing to show.
        EmtkitError: it cannot be drawn.
    """
    try:
        drawn = draw(findings)
    except (EmtkitError, NotApplicable):
        raise
    except Exception as error:  # a plugin's code
        raise PluginError(f"cannot be drawn: {type(error).__name__}: {error}") from error
    if not isinstance(drawn, Drawing):
        raise PluginError(f"cannot be drawn: it gave a {type(drawn).__name__}, not a Drawing")
    return drawn


def load_findings(
    measure: Measure, store: Store, step: int | None = None, known: FindingResult | None = None
) -> Findings:
    """What an analysis found of a network that it has measured; `known` is its record if at hand.

    Of one that looks at snapshots: all that it found, or what it found at `step`.
    """
    known = known or store.findings_of([measure.key])[measure.key]
    held = store.content(measure.key)
    found = Findings(known.scalars, held.tables, held.arrays, known.reasons)
    return found if step is None or measure.at != "snapshots" else at_step(found, step)


def is_done(measure: Measure, store: Store) -> bool:
    """Whether an analysis has measured a network."""
    found = store.findings_of([measure.key]).get(measure.key) if measure.reason is None else None
    return found is not None and found.status == "done"


def drawings_of(
    rows: Iterable[Row], store: Store, registry: Registry, guard: Guard
) -> Iterator[list[StoredDrawing]]:
    """Every drawing of each of these networks, in the order of the study's analyses."""
    asked = iter(rows)
    while part := list(islice(asked, _AT_ONCE)):
        drawn = {m.key for row in part for m in row.measures if m.reason is None}
        known = store.findings_of(drawn)
        done = {key: found for key, found in known.items() if found.status == "done"}
        for row in part:
            yield [
                one
                for measure in row.measures
                if measure.key in done
                for one in _drawings_of(measure, done[measure.key], store, registry, guard)
            ]


def _drawings_of(
    measure: Measure, known: FindingResult, store: Store, registry: Registry, guard: Guard
) -> Iterator[StoredDrawing]:
    analysis = measure.analysis.name
    last = measure.steps[-1] if measure.steps else None
    load = cache(partial(load_findings, measure, store, last, known))
    for name, draw in registry.analyses[analysis].drawings.items():
        what = f"{registry.described('analysis', analysis)}, {measure.label}.{name}"
        yield StoredDrawing(measure.label, name, guarded(draw, what, guard), load)
