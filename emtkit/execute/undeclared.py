"""The scalars of plugins that declare none, found on untrained networks before any training."""

import contextlib
from collections.abc import Iterator

import numpy as np

from emtkit.execute.measure import measure_model
from emtkit.plugin.analysis import History
from emtkit.plugin.params import build_arguments
from emtkit.plugin.registry import Registry
from emtkit.plugin.stream import Stream
from emtkit.study.cells import Cell, Measure
from emtkit.study.plan import Plan
from emtkit.train.build import build_model, build_task

TRIED = 4
"""Networks that are measured for each prefix, at most; one for each pair of task and network."""


def undeclared_scalars(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Names by the prefix of their columns (metrics under `test`, and labels of analyses).

    A prefix stays open, and is left out, where an analysis fails on a network, or does not apply.
    """
    found: dict[str, tuple[str, ...]] = {}
    for prefix in sorted(plan.scalars.open):
        with contextlib.suppress(Exception):
            found[prefix] = tuple(dict.fromkeys(_names(plan, prefix)))
    return found


def _names(plan: Plan, prefix: str) -> Iterator[str]:
    pairs: dict[tuple[str, str], Cell] = {}
    for row in plan.rows:
        if row.cell.reason is None:
            pairs.setdefault((row.task, "" if prefix == "test" else row.architecture), row.cell)
    measures = {row.cell.key: row.measures for row in plan.rows}
    for cell in [*pairs.values()][:TRIED]:
        if prefix == "test":
            yield from _metrics(plan.registry, cell)
        for measure in measures[cell.key]:
            if (measure.label, measure.reason, measure.at) == (prefix, None, "end"):
                yield from _findings(plan.registry, cell, measure)


def _metrics(registry: Registry, cell: Cell) -> Iterator[str]:
    task = build_task(registry, cell.task)
    batch = task.sample(2, Stream(None, "test"))
    yield from task.metrics(batch.targets, batch)


def _findings(registry: Registry, cell: Cell, measure: Measure) -> Iterator[str]:
    cls = registry.analyses[measure.analysis.name]
    analysis = cls(**build_arguments(cls, measure.analysis.parameters))
    task = build_task(registry, cell.task)
    model = build_model(registry, cell, task).eval().requires_grad_(False)
    yield from measure_model(analysis, cell, task, model, History(np.zeros(0), 0, "")).scalars
