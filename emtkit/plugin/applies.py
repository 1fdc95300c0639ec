"""Whether an analysis or a comparison applies to the networks of an architecture on a task."""

from typing import Any

from emtkit.errors import NotApplicable
from emtkit.plugin.analysis import Analysis
from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.comparison import Comparison
from emtkit.plugin.task import Task

Measuring = type[Analysis] | type[Comparison[Any]]
"""What looks at networks."""


def refusal(analysis: Measuring, task: type[Task], architecture: type[SequenceModel]) -> str | None:
    """None, or the reason why `analysis` cannot measure `architecture` trained on `task`."""
    if not issubclass(architecture, analysis.models):
        return (
            f"{analysis.name} looks at a {analysis.models.__name__}; {architecture.name} is none; "
            f"use an architecture that is one, or an analysis of any {SequenceModel.__name__}"
        )
    missing = [
        kind.__name__
        for kind in analysis.requires
        if kind not in task.offers and kind not in architecture.offers
    ]
    if missing:
        return (
            f"{analysis.name} needs {', '.join(missing)}, which neither {task.name} nor "
            f"{architecture.name} offers; offer it in one of them (`facts`)"
        )
    return None


def unanswered(analysis: Measuring, task: Task) -> str | None:
    """None, or why a fact that `analysis` requires is not one of this setting of the task."""
    for kind in analysis.requires:
        if kind in task.offers:
            try:
                task.facts(kind)
            except NotApplicable as reason:
                return f"{analysis.name} needs {kind.__name__}: {reason}"
    return None
