"""Rules that every plugin keeps: parameters a study can write, a docstring that can be trusted."""

import ast
import inspect
import json
import random
import sys
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, TypeVar

import numpy as np
import torch

from emtkit.errors import EmtkitError, NotApplicable
from emtkit.plugin import params
from emtkit.plugin.registry import Plugin
from emtkit.testing import values
from emtkit.testing.bench import DRAWS, ModelBench, TaskBench, resolved, spoken
from emtkit.testing.rule import Mistake, Steps

T = TypeVar("T")

HIDDEN_INPUTS = frozenset(
    {"datetime", "os", "pathlib", "random", "secrets", "socket", "tempfile", "time", "uuid"}
)


def json_parameters(plugin: Plugin) -> Steps:
    """Every default is JSON and is valid under its own annotation."""
    yield "wrote the defaults as JSON and read them back under the annotations"
    try:
        given = {p.name: p.default for p in params.parameters(plugin.cls) if not p.required}
        json.dumps(resolved(plugin.cls, given))
    except (TypeError, ValueError, EmtkitError) as error:
        change = "use int, float, bool, str, None, Literal, or tuples of them, valid by default"
        yield Mistake(str(error), change)


def parameters_are_described(plugin: Plugin) -> Steps:
    """Every parameter says in a sentence what it means."""
    yield "read the description of every parameter"
    if bare := [p.name for p in params.parameters(plugin.cls) if not p.description.strip()]:
        example = f"{bare[0]}: Annotated[<type>, Field(description='What it is, and its unit.')]"
        yield Mistake(f"none for {', '.join(bare)}", f"write `{example}`")


def docstring_states_what_holds(plugin: Plugin) -> Steps:
    """One line, then the equation or the shapes."""
    yield "looked for a first line, and for an equation or shapes after it"
    first, _, rest = inspect.cleandoc(plugin.cls.__doc__ or "").partition("\n")
    if not first.strip():
        yield Mistake("there is no docstring", "begin with one line that says what it is")
    if "=" not in first + rest and "Shapes:" not in rest:
        change = "write the equation (`h_t = ...`), or a paragraph `Shapes:` with B T I O H"
        yield Mistake("neither an equation (a `=`) nor `Shapes:`", change)


def docstring_cites_its_source(plugin: Plugin) -> Steps:
    """A paragraph `References:` that is not empty."""
    yield "looked for a paragraph `References:`"
    _, _, cited = inspect.cleandoc(plugin.cls.__doc__ or "").partition("References:")
    if not cited.strip():
        change = "add `References:` with a DOI or arXiv number, or `References: none (own work)`"
        yield Mistake("there is none, or it is empty", change)


def no_clock_paths_or_environment(plugin: Plugin) -> Steps:
    """The plugin's file imports nothing that lets it see time, files or the machine."""
    yield "read the imports of the plugin's file"
    source = inspect.getsource(sys.modules[plugin.cls.__module__])
    seen: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            seen |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            seen.add(node.module.split(".")[0])
    if wrong := sorted(seen & HIDDEN_INPUTS):
        yield Mistake(
            f"it imports {', '.join(wrong)}",
            "take randomness from the stream (a model: from torch, in its constructor); "
            "the clock, paths and the environment belong to the core",
        )


COMMON_RULES: tuple[Callable[[Plugin], Steps], ...] = (
    json_parameters,
    parameters_are_described,
    docstring_states_what_holds,
    docstring_cites_its_source,
    no_clock_paths_or_environment,
)


def facts_are_answered(bench: TaskBench | ModelBench) -> Steps:
    """Every offered fact is answered by a record of that type, or does not apply, with a reason."""
    kinds = bench.cls.offers
    yield f"asked for every fact of `offers`: {', '.join(k.__name__ for k in kinds) or 'none'}"
    for setting, owner in bench.settings():
        for kind in kinds:
            try:
                fact: object = owner.facts(kind)
            except NotApplicable:
                continue
            if not isinstance(fact, kind):
                found = f"{setting} answers {kind.__name__} with a {type(fact).__name__}"
                yield Mistake(found, "answer every type of `offers` in `facts`")


def built_at_random(cls: type[Any]) -> Iterator[tuple[str, Any]]:
    """Settings drawn from the annotations, each with what it builds or the mistake in that."""
    for given in values.draws(cls, Random(1), DRAWS):
        setting = spoken(cls.name, given)
        arguments = params.build_arguments(cls, resolved(cls, given))
        try:
            built = cls(**arguments)
        except (ValueError, EmtkitError) as refusal:
            if not str(refusal):
                change = "say why, and what to do"
                yield setting, Mistake(f"{setting} is refused in silence", change)
        except Exception as error:
            change = "narrow the annotation (Field(ge=...)), or raise ValueError with the reason"
            yield setting, Mistake(f"{setting} raised {type(error).__name__}: {error}", change)
        else:
            yield setting, built


def globally_drawn(
    work: Callable[[], T], same: Callable[[T, T], bool], what: str, change: str
) -> Steps:
    """The mistake of work that reads or moves a global generator, by which `what` differ."""
    (first, moved), (second, _) = (under_global_seed(seed, work) for seed in (0, 1))
    if moved:
        yield Mistake(f"it moved the global generator of {', '.join(moved)}", change)
    if not same(first, second):
        yield Mistake(f"the {what} differ with the global generators", change)


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
