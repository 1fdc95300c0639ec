"""Plugin code run in a process of its own, with a time limit, before it is trusted with ours.

A study that brings plugin files is planned there first: what ends or hangs that process is the
plugin's failure, and no command dies of it. The shapes of networks are found there too.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emtkit.errors import PluginError
from emtkit.execute.engines.engine import JobResult
from emtkit.execute.engines.local import LocalEngine
from emtkit.execute.messages import PlanJob, ShapeJob, encode
from emtkit.execute.queue import loose_files
from emtkit.execute.worker import CALLING
from emtkit.plugin.index import cache_folder, write_whole
from emtkit.plugin.installation import installation
from emtkit.plugin.registry import Registry
from emtkit.study.cells import Cell
from emtkit.train.grouping import Shape, pair_of

PLAN_SECONDS = 120.0
SHAPE_SECONDS = 60.0
SCALAR_SECONDS = 30.0
KEPT = 200


@dataclass(frozen=True)
class Shapes:
    """Shapes by pair of task and architecture, and why those of other pairs are unknown."""

    known: Mapping[str, Shape]
    unknown: Mapping[str, str]


@dataclass(frozen=True)
class _Rehearsed:
    """What a plan in another process found, and digests of the files that it had loaded."""

    scalars: Mapping[str, Sequence[str]]
    files: Mapping[str, str]

    def is_current(self) -> bool:
        """Whether every file has the content that it had."""
        try:
            now = {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in self.files}
        except OSError:
            return False
        return now == self.files


def rehearse(
    study: Path | Mapping[str, Any], plugins: Sequence[Path], seconds: float = PLAN_SECONDS
) -> Mapping[str, Sequence[str]]:
    """Plan a study in another process, once for the bytes of it, of its plugins and their imports.

    Returns the names of the scalars of plugins that declare none, by the prefix of their columns,
    as untrained networks give them.

    Raises:
        PluginError: a plugin ends that process, or hangs.
    """
    path = cache_folder() / "rehearsed.json"
    digest = _digest(study, plugins)
    known = _kept(path)
    if digest in known and known[digest].is_current():
        return known[digest].scalars
    job = PlanJob(str(study) if isinstance(study, Path) else study, os.getcwd())
    outcome = _planned(job, seconds)
    if outcome.answer is None:
        calls = [line for line in outcome.lost.splitlines() if line.startswith(CALLING)]
        listed = ", ".join(map(str, plugins))
        what = calls[-1].removeprefix(CALLING) if calls else f"one of the plugin files {listed}"
        lines = [line for line in outcome.lost.splitlines() if not line.startswith(CALLING)]
        raise PluginError(f"{what}: it ended or blocked its process: " + "\n".join(lines))
    known.pop(digest, None)
    found = outcome.answer.scalars
    if found:
        # What ends or blocks a measurement here ends it again in a worker, and is told of there.
        measured = _planned(replace(job, measured=True), SCALAR_SECONDS).answer
        found = {} if measured is None else measured.scalars
    now = _Rehearsed(found, outcome.answer.digests)
    last = dict([*known.items()][-KEPT:])
    write_whole(path, {name: vars(one) for name, one in {**last, digest: now}.items()})
    return found


def find_shapes(cells: Iterable[Cell], registry: Registry) -> Shapes:
    """The shapes of all pairs of task and architecture among cells that train."""
    pairs = {pair_of(cell): cell for cell in cells if cell.trains and cell.training.steps}
    known: dict[str, Shape] = {}
    unknown: dict[str, str] = {}
    with closing(LocalEngine(1, registry.loose, timeout=SHAPE_SECONDS)) as engine:
        by_files = [(sorted(loose_files(registry, [c])), pair, c) for pair, c in pairs.items()]
        for files, pair, cell in sorted(by_files, key=lambda one: one[0]):
            loose = frozenset(files)
            outcome = _outcome(engine, encode(ShapeJob((cell,)), loose), loose)
            if outcome.answer is None:
                unknown[pair] = outcome.lost
            else:
                known.update({shape.pair: shape for shape in outcome.answer.shapes})
                unknown.update(outcome.answer.failures)
    return Shapes({p: s for p, s in known.items() if p not in unknown}, unknown)


def _planned(job: PlanJob, seconds: float) -> JobResult:
    with closing(LocalEngine(1, timeout=seconds)) as engine:
        return _outcome(engine, encode(job), frozenset())


def _outcome(engine: LocalEngine, data: bytes, loose: frozenset[str]) -> JobResult:
    while not engine.takes(loose):
        if engine.idle:
            engine.renew()
        engine.wait(1.0)
    engine.submit(1, data, loose)
    while not (found := engine.wait(1.0)):
        pass
    return found[0]


def _digest(study: Path | Mapping[str, Any], plugins: Sequence[Path]) -> str:
    total = hashlib.sha256(installation().digest.encode())
    total.update(
        study.read_bytes() if isinstance(study, Path) else json.dumps(study, default=str).encode()
    )
    for path in plugins:
        total.update(str(path.resolve()).encode() + path.read_bytes())
    return total.hexdigest()


def _kept(path: Path) -> dict[str, _Rehearsed]:
    try:
        stored = json.loads(path.read_bytes())
        return {digest: _Rehearsed(one["scalars"], one["files"]) for digest, one in stored.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
