"""What architectures warn of before anything is trained."""

from collections import Counter
from collections.abc import Iterator

from emtkit.errors import PluginError
from emtkit.plugin.guard import ForbiddenError, Guard
from emtkit.study.cells import Cell, digest
from emtkit.study.plan import Plan
from emtkit.train.build import build_task


def network_warnings(plan: Plan) -> Iterator[str]:
    """A sentence for each warning, and how many networks that train it concerns.

    Raises:
        PluginError: an architecture fails in `warns`.
    """
    concerned: Counter[tuple[str, str]] = Counter()
    known: dict[str, str | None] = {}
    guard = Guard()  # one for all: to make one looks at every function of torch
    labels = {row.cell.key: row.architecture for row in plan.rows}
    for key, cell in plan.cells.items():
        if cell.reason is not None or not (cell.trains and cell.training.steps):
            continue
        pair = digest([cell.task.identity(), cell.architecture.identity()])
        if pair not in known:
            known[pair] = _warning(plan, cell, guard)
        if warning := known[pair]:
            concerned[labels[key], warning] += 1
    for (label, warning), count in concerned.items():
        yield f"{count} networks '{label}': {warning}"


def _warning(plan: Plan, cell: Cell, guard: Guard) -> str | None:
    cls = plan.registry.architectures[cell.architecture.name]
    owner = plan.registry.described("architecture", cell.architecture.name)
    task = build_task(plan.registry, cell.task)
    try:
        with guard.calling(f"{owner}, `warns`"):
            return cls.warns(task, cell.architecture.parameters)
    except ForbiddenError as error:
        raise PluginError(f"{owner}, `warns`: {error}") from error
    except Exception as error:
        why = f"({type(error).__name__}: {error})"
        raise PluginError(f"{owner} could not answer `warns` {why}; tell its author") from error
