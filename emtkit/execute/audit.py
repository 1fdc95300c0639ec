"""Training a sample of stored networks again, and comparing every byte."""

import hashlib
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emtkit.execute.engines.engine import Engine
from emtkit.execute.monitor import Monitor
from emtkit.execute.required import Required
from emtkit.execute.run import Options, run
from emtkit.plugin.registry import Registry
from emtkit.store.maintenance import differing
from emtkit.store.store import Store
from emtkit.study.cells import Row


@dataclass(frozen=True)
class Audit:
    """How many cells and findings were computed again, and the keys that differ."""

    cells: int
    findings: int
    differing: tuple[str, ...]


def audit(
    rows: Sequence[Row],
    registry: Registry,
    store: Store,
    engine: Engine,
    monitor: Monitor,
    share: float,
) -> Audit:
    """Make `share` (0 to 1) of the stored cells anew, each in its own tier, in a store beside.

    Which ones follows from their keys: as good as drawn, and the same for everyone. Weights,
    histories, snapshots, scalars, tables and arrays are compared; the stored ones are not touched.
    """
    required = Required.of(rows)
    done = {k: c for k, c in store.cells_of(required.cells).items() if c.status == "done"}
    ordered = sorted(done, key=lambda key: hashlib.sha256(key.encode()).digest())
    chosen = set(ordered[: math.ceil(share * len(ordered))])
    by_tier: dict[str | None, list[Row]] = {}
    for row in rows:
        if row.cell.key in chosen:
            made_in = done[row.cell.key].tier
            by_tier.setdefault(None if made_in == "constructed" else made_in, []).append(row)
    changed: list[str] = []
    findings = 0
    with tempfile.TemporaryDirectory(prefix="emtkit-audit-") as folder:
        for number, (tier, alike) in enumerate(by_tier.items()):
            path = Path(folder) / f"{number}.sqlite"
            with Store.open(path, writer=True) as again:
                run(alike, registry, again, engine, monitor, Options(tier=tier))
                keys = [row.cell.key for row in alike]
                changed += [key for key in dict.fromkeys(keys) if _cell_differs(store, again, key)]
                known = _done_findings(store, alike)
                changed += [key for key in known if _finding_differs(store, again, key)]
                findings += len(known)
    return Audit(len(chosen), findings, tuple(changed))


def _done_findings(store: Store, rows: Sequence[Row]) -> list[str]:
    found = store.findings_of(Required.of(rows).findings)
    return [key for key, finding in found.items() if finding.status == "done"]


def _cell_differs(one: Store, two: Store, key: str) -> bool:
    first, second = one.cells_of([key])[key], two.cells_of([key]).get(key)
    if second is None or second.status != "done":
        return True
    return repr(first.scalars) != repr(second.scalars) or bool(differing(one, two, [key]))


def _finding_differs(one: Store, two: Store, key: str) -> bool:
    first, second = one.findings_of([key])[key], two.findings_of([key]).get(key)
    if second is None or second.status != "done":
        return True
    return repr(first.scalars) != repr(second.scalars) or bool(differing(one, two, [key]))
