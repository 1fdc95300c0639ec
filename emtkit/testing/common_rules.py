"""Rules that every plugin keeps: parameters a study can write, a docstring that can be trusted."""

import ast
import inspect
import json
import random
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

from emtkit.errors import EmtkitError
from emtkit.plugin import params
from emtkit.plugin.registry import Plugin
from emtkit.testing import bench
from emtkit.testing.rule import RuleOutcome, failed, ok

T = TypeVar("T")

HIDDEN_INPUTS = frozenset(
    {"datetime", "os", "pathlib", "random", "secrets", "socket", "tempfile", "time", "uuid"}
)


def json_parameters(plugin: Plugin) -> RuleOutcome:
    """Every default is JSON and is valid under its own annotation."""
    tried = "wrote the defaults as JSON and read them back under the annotations"
    try:
        given = {p.name: p.default for p in params.parameters(plugin.cls) if not p.required}
        again = bench.resolved(plugin.cls, given)
        json.dumps(again)
    except (TypeError, ValueError, EmtkitError) as error:
        change = "use int, float, bool, str, None, Literal, or tuples of them, valid by default"
        return failed(tried, str(error), change)
    return ok(tried)


def parameters_are_described(plugin: Plugin) -> RuleOutcome:
    """Every parameter says in a sentence what it means."""
    tried = "read the description of every parameter"
    bare = [p.name for p in params.parameters(plugin.cls) if not p.description.strip()]
    if not bare:
        return ok(tried)
    change = f"write `{bare[0]}: Annotated[<type>, Field(description='What it is, and its unit.')]`"
    return failed(tried, f"none for {', '.join(bare)}", change)


def docstring_states_what_holds(plugin: Plugin) -> RuleOutcome:
    """One line, then the equation or the shapes."""
    tried = "looked for a first line, and for an equation or shapes after it"
    first, _, rest = inspect.cleandoc(plugin.cls.__doc__ or "").partition("\n")
    if not first.strip():
        return failed(tried, "there is no docstring", "begin with one line that says what it is")
    if "=" not in first + rest and "Shapes:" not in rest:
        change = "write the equation (`h_t = ...`), or a paragraph `Shapes:` with B T I O H"
        return failed(tried, "neither an equation (a `=`) nor `Shapes:`", change)
    return ok(tried)


def docstring_cites_its_source(plugin: Plugin) -> RuleOutcome:
    """A paragraph `References:` that is not empty."""
    tried = "looked for a paragraph `References:`"
    _, found, cited = inspect.cleandoc(plugin.cls.__doc__ or "").partition("References:")
    if found and cited.strip():
        return ok(tried)
    change = "add `References:` with a DOI or arXiv number, or `References: none (own work)`"
    return failed(tried, "there is none, or it is empty", change)


def no_clock_paths_or_environment(plugin: Plugin) -> RuleOutcome:
    """The plugin's file imports nothing that lets it see time, files or the machine."""
    tried = "read the imports of the plugin's file"
    source = inspect.getsource(sys.modules[plugin.cls.__module__])
    seen: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            seen |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            seen.add(node.module.split(".")[0])
    if wrong := sorted(seen & HIDDEN_INPUTS):
        change = (
            "take randomness from the stream (a model: from torch, in its constructor); "
            "the clock, paths and the environment belong to the core"
        )
        return failed(tried, f"it imports {', '.join(wrong)}", change)
    return ok(tried)


def under_global_seed(seed: int, work: Callable[[], T]) -> tuple[T, tuple[str, ...]]:
    """Do `work` with every global generator seeded; also the names of those that it moved."""
    kept = (torch.get_rng_state(), np.random.get_state(), random.getstate())  # noqa: NPY002
    try:
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  the global generator is what is being watched
        random.seed(seed)
        before = _states()
        value = work()
        after = _states()
    finally:
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002
        random.setstate(kept[2])
    return value, tuple(name for name in before if before[name] != after[name])


def _states() -> dict[str, object]:
    numpy_state: tuple[str, Any, int, int, float] = np.random.get_state()  # type: ignore[assignment]  # noqa: NPY002
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy.random": (numpy_state[1].tobytes(), numpy_state[2]),
        "random": random.getstate(),
    }


COMMON_RULES = (
    json_parameters,
    parameters_are_described,
    docstring_states_what_holds,
    docstring_cites_its_source,
    no_clock_paths_or_environment,
)
