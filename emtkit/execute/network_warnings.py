"""What architectures warn of before anything is trained."""

from collections import Counter
from collections.abc import Iterator

from emtkit.errors import PluginError
from emtkit.plugin.guard import guarded
from emtkit.study.cells import PluginConfig, digest
from emtkit.study.plan import Plan
from emtkit.train.build import build_task


def network_warnings(plan: Plan) -> Iterator[str]:
    """A sentence for each warning, and how many networks that train it concerns.

    Raises:
        PluginError: an architecture fails in `warns`.
    """
    concerned: Counter[tuple[str, str]] = Counter()
    known: dict[str, str | None] = {}
    labels = {row.cell.key: row.architecture for row in plan.rows}
    for key, cell in plan.cells.items():
        if cell.reason is not None or not (cell.trains and cell.training.steps):
            continue
        pair = digest([cell.task.identity(), cell.architecture.identity()])
        if pair not in known:
            known[pair] = _warning(plan, cell.task, cell.architecture)
        if warning := known[pair]:
            concerned[labels[key], warning] += 1
    for (label, warning), count in concerned.items():
        yield f"{count} networks '{label}': {warning}"


def _warning(plan: Plan, task: PluginConfig, architecture: PluginConfig) -> str | None:
    cls = plan.registry.architectures[architecture.name]
    owner = plan.registry.described("architecture", architecture.name)
    ask = guarded(cls.warns, f"{owner}, `warns`")
    try:
        return ask(build_task(plan.registry, task), architecture.parameters)
    except PluginError:
        raise
    except Exception as error:
        why = f"({type(error).__name__}: {error})"
        raise PluginError(f"{owner} could not answer `warns` {why}; tell its author") from error
