"""Training a sample of stored networks again, and comparing every byte."""

import hashlib
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emtkit.execute.engines.engine import Engine
from emtkit.execute.monitor import Monitor
from emtkit.execute.required import Required
from emtkit.execute.run import Options, run
from emtkit.plugin.registry import Registry
from emtkit.store.maintenance import differing
from emtkit.store.store import Store
from emtkit.study.cells import Row
from emtkit.study.network_pairs import NetworkPair


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
    pairs: Sequence[NetworkPair] = (),
) -> Audit:
    """Make `share` (0 to 1) of the stored cells anew, each in its own tier, in a store beside.

    Of `pairs` those are compared again of which both cells are made, in one tier.

    Which ones follows from their keys: as good as drawn, and the same for everyone. Weights,
    histories, snapshots, scalars, tables and arrays are compared; the stored ones are not touched.
    """
    required = Required.of(rows)
    done = _done(store.cells_of(required.cells))
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
                cells = {row.cell.key: done[row.cell.key] for row in alike}
                both = [p for p in pairs if {p.first.cell.key, p.second.cell.key} <= set(cells)]
                run(alike, registry, again, engine, monitor, Options(tier=tier), both)
                changed += _differing(store, cells, again, again.cells_of(cells))
                found = _done(store.findings_of(Required.of(alike, both).findings))
                changed += _differing(store, found, again, again.findings_of(found))
                findings += len(found)
    return Audit(len(chosen), findings, tuple(changed))


def _done(results: Mapping[str, Any]) -> dict[str, Any]:
    """Of stored cells or findings those that are done."""
    return {key: result for key, result in results.items() if result.status == "done"}


def _differing(
    store: Store, known: Mapping[str, Any], again: Store, made: Mapping[str, Any]
) -> list[str]:
    """Keys of what was made `again` with other scalars or other bytes, or not at all."""
    sound = _done(made)
    return [
        key
        for key, result in known.items()
        if key not in sound
        or repr(result.scalars) != repr(sound[key].scalars)
        or differing(store, again, [key])
    ]
