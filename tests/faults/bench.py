"""What every fault test needs: small studies, the way to run them, and all bytes of a store."""

from __future__ import annotations

from pathlib import Path

from emtkit.execute.monitor import Quiet
from emtkit.execute.run import Options, run
from emtkit.plugin.registry import Registry
from emtkit.store.store import Store
from emtkit.study.cells import (
    Cell,
    Measure,
    PluginConfig,
    Row,
    cell_key,
    evaluation_spec,
    finding_key,
)
from emtkit.study.settings import Evaluation
from tests.faults import mishaps
from tests.inline_engine import InlineEngine
from tests.train import fakes

FILES = (Path(fakes.__file__), Path(mishaps.__file__))
REGISTRY = Registry.installed(FILES)


def row(one: Cell, looks: tuple[str, ...] = ("none",)) -> Row:
    measures = []
    for mishap in looks:
        look = PluginConfig("mishap_look", 1, {"mishap": mishap})
        measures.append(Measure(finding_key(one.key, look, "end", ()), mishap, look, "end", ()))
    asked = evaluation_spec(one.key, Evaluation(sequences=32), 8, 4)
    return Row("", "repeat_fake", one.architecture.name, one, asked, tuple(measures))


def mishap_cell(seed: int, mishap: str, gain: float) -> Cell:
    plain = fakes.cell(seed, task={"gain": gain})
    network = PluginConfig("mishap_fake", 1, {"hidden": 6, "mishap": mishap})
    key = cell_key(plain.task, network, plain.training, seed, True)
    return Cell(key, plain.task, network, plain.training, seed, True)


def study(seeds: int = 4, steps: int = 40) -> list[Row]:
    """Healthy networks in two stacks, in segments long enough to be interrupted."""
    rows = [row(fakes.cell(seed, steps=steps)) for seed in range(seeds)]
    return rows + [row(fakes.cell(seed, "branching_fake", steps=steps)) for seed in range(2)]


def contents(path: Path, rows: list[Row]) -> dict[str, object]:
    """Every byte that a study made, by key."""
    with Store.open(path) as store:
        found: dict[str, object] = {}
        for key, cell in store.cells_of(r.cell.key for r in rows).items():
            found[key] = (cell.status, dict(cell.scalars), store.digests([key]))
        keys = [key for r in rows for key in (r.evaluation_spec.key, *(m.key for m in r.measures))]
        for key, finding in store.findings_of(keys).items():
            found[key] = (finding.status, repr(finding.scalars), store.digests([key]))
        every = store.keys()
    assert len(every[0]) == len(set(every[0]))
    assert len(every[1]) == len(set(every[1]))
    return found


def finish(path: Path, rows: list[Row], **options: object):
    """Run the study to its end in this process."""
    with Store.open(path, writer=True) as store:
        chosen = Options(**options)
        return run(rows, REGISTRY, store, InlineEngine(REGISTRY), Quiet(), chosen)
