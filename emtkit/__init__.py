"""emtkit: a comparative study toolkit for working memory in sequence models.

Shapes everywhere, in this order: B batch, T time, I and O input and output channels, H state,
M models of a stack (leading). `import emtkit` loads nothing heavy; each name loads on first use.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "emtkit.dynamics.cycles": ["Cycles", "find_cycles"],
    "emtkit.dynamics.fixed_points": ["FixedPoints", "FixedPointSearch", "find_fixed_points"],
    "emtkit.dynamics.linearise": ["StateMap", "row_jacobians", "state_jacobians", "state_map_of"],
    "emtkit.errors": ["EmtkitError", "NotApplicable", "PluginError", "StoreError", "StudyError"],
    "emtkit.execute.foreign": ["analyze"],
    "emtkit.methods.settings": ["MAX_STEPS", "Since"],
    "emtkit.plugin.analysis": [
        "Analysis",
        "Control",
        "Draw",
        "Findings",
        "History",
        "Scalar",
        "Subject",
    ],
    "emtkit.plugin.architecture": [
        "Recognised",
        "RecurrentModel",
        "SequenceModel",
        "SimpleRecurrence",
        "Trace",
    ],
    "emtkit.plugin.comparison": ["Change", "Comparison"],
    "emtkit.plugin.drawing": [
        "Area",
        "Bars",
        "Drawing",
        "Label",
        "Line",
        "Mark",
        "Matrix",
        "Plot",
        "Points",
        "Rule",
        "Style",
    ],
    "emtkit.plugin.hookspecs": ["hookimpl"],
    "emtkit.plugin.kernel": ["StackedKernel", "Unrolled"],
    "emtkit.plugin.registry": ["Registry"],
    "emtkit.plugin.scalars": ["ScalarInfo", "Scalars"],
    "emtkit.notebook": ["run"],
    "emtkit.session": ["load"],
    "emtkit.plugin.strata": ["SparseDraw", "Strata", "Stratified", "sparse_uniform_strata"],
    "emtkit.plugin.stream": ["Stream", "StreamKey", "signs_rows", "sparse_uniform_rows"],
    "emtkit.plugin.task": ["Batch", "Channels", "Fact", "Recipe", "Task"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'emtkit' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
