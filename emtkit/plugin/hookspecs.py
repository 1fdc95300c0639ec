"""The hooks a plugin module may implement; this is the whole gate."""

from typing import Any

import pluggy

from emtkit.plugin.analysis import Analysis
from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.comparison import Comparison
from emtkit.plugin.task import Task

hookspec = pluggy.HookspecMarker("emtkit")
hookimpl = pluggy.HookimplMarker("emtkit")


@hookspec
def emtkit_tasks() -> list[type[Task]]:
    """Task classes that this module offers."""
    return []


@hookspec
def emtkit_architectures() -> list[type[SequenceModel]]:
    """Architecture classes that this module offers."""
    return []


@hookspec
def emtkit_analyses() -> list[type[Analysis]]:
    """Analysis classes that this module offers."""
    return []


@hookspec
def emtkit_comparisons() -> list[type[Comparison[Any]]]:
    """Comparison classes that this module offers."""
    return []
