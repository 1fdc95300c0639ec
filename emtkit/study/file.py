"""A study file as records: grids of entries, and their views.

Every mistake is noted with its place and reading continues, so that all are reported together.
Plugins are not known here.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from emtkit.errors import did_you_mean
from emtkit.methods.settings import Count, Settings
from emtkit.study.checked import Problems, checked, shown
from emtkit.study.document import Document
from emtkit.study.entries import (
    NO_AXES,
    Axes,
    Entry,
    ExclusionRule,
    axes,
    merged,
    read_entries,
    read_rules,
)
from emtkit.study.settings import Evaluation
from emtkit.study.views import Claim, Figure, Table
from emtkit.study.yaml_nodes import Trail

V = TypeVar("V", Table, Figure, Claim)

GRID_KEYS = {
    "tasks": "The tasks, each by name or as a mapping with `use` and parameters.",
    "architectures": "The networks, each by name or as a mapping with `use` and parameters.",
    "analyses": "What is measured on every network.",
    "training": "How every network is trained.",
    "evaluation": "The fresh sequences on which every network is tested.",
    "seeds": "Number of seeds from 0 on, or a mapping with `first` and `count`.",
    "exclude": "Rules that leave out combinations of tasks, architectures, training and seeds.",
}
"""Keys of a grid beside its name, with their meaning."""
GRID_NAME = "Name of the grid, shown in the column `grid`."
STUDY_KEYS = {
    "question": "The question that the study answers, printed at the head of its report.",
    "plugins": "Python files with plugins of your own, relative to the study's folder.",
    "grids": "Several grids, each with its own keys; the top level gives their defaults.",
    "tables": "Tables of the report.",
    "figures": "Figures of the report.",
    "claims": "Sentences whose expectation the report tests.",
    **GRID_KEYS,
}
"""Keys of a study, with their meaning."""
ONLY_GRID = "main"
"""What the grid of a study without `grids:` is called."""


class Seeds(Settings):
    """The seeds `first`, `first` + 1, ..., `count` of them."""

    first: int = 0
    """The first seed."""
    count: Count = 1
    """Number of seeds."""

    def all(self) -> range:
        """Every seed."""
        return range(self.first, self.first + self.count)


@dataclass(frozen=True)
class Grid:
    """Tasks x architectures x trainings x seeds, and what is measured on each network."""

    name: str
    tasks: tuple[Entry, ...]
    architectures: tuple[Entry, ...]
    analyses: tuple[Entry, ...]
    training: Axes
    evaluation: Evaluation
    seeds: Seeds
    exclude: tuple[ExclusionRule, ...]
    path: Trail


@dataclass(frozen=True)
class Study:
    """What one study file says; `views` know their paths by position (`tables[0]`)."""

    path: Path | None
    name: str
    question: str
    plugins: tuple[Path, ...]
    grids: tuple[Grid, ...]
    tables: Mapping[Trail, Table]
    figures: Mapping[Trail, Figure]
    claims: Mapping[Trail, Claim]
    document: Document = field(repr=False, compare=False)


def read_study(document: Document, problems: Problems) -> Study:
    """The study that `document` holds; whatever is wrong goes to `problems`, and is left out."""
    whole = document.value
    if not isinstance(whole, dict):
        problems.say((), "the study is not a mapping", f"its keys are {', '.join(STUDY_KEYS)}")
        whole = {}
    elif not whole:
        problems.say((), "the study is empty", "it needs `tasks:` and `architectures:`")
    check_keys(whole, STUDY_KEYS, (), problems)
    path = document.path
    return Study(
        path=path,
        name=document.name.strip("<>") if path is None else path.stem,
        question=_text(whole, "question", problems),
        plugins=_plugins(whole, path, problems),
        grids=_grids(whole, problems) if whole else (),
        tables=_views(Table, whole, "tables", "name", problems),
        figures=_views(Figure, whole, "figures", "name", problems),
        claims=_views(Claim, whole, "claims", "id", problems),
        document=document,
    )


def check_keys(
    mapping: Mapping[str, Any], allowed: Collection[str], path: Trail, problems: Problems
) -> None:
    """Note every key of `mapping` that is not allowed."""
    for key in mapping:
        if key not in allowed:
            text = f"unknown key '{key}'"
            problems.say((*path, key), text, did_you_mean(key, allowed), key=True)


def _text(whole: Mapping[str, Any], key: str, problems: Problems) -> str:
    value = whole.get(key)
    if value is None or isinstance(value, str):
        return value or ""
    problems.say((key,), f"{shown(value)} is not text", "put it into quotes")
    return ""


def _plugins(whole: Mapping[str, Any], path: Path | None, problems: Problems) -> tuple[Path, ...]:
    folder = Path() if path is None else path.parent
    listed = whole.get("plugins")
    if listed is None:
        return ()
    found: list[Path] = []
    if not isinstance(listed, list):
        problems.say(("plugins",), f"{shown(listed)} is not a list", "plugins: [./my_task.py]")
        return ()
    for position, entry in enumerate(listed):
        here: Trail = ("plugins", position)
        if not isinstance(entry, str) or not entry.endswith(".py"):
            problems.say(here, f"{shown(entry)} is not a Python file", "plugins: [./my_task.py]")
        elif not _is_file(folder / entry):
            hint = "its path is relative to the study's folder"
            problems.say(here, f"the plugin file {shown(entry)} does not exist", hint)
        elif folder / entry in found:
            problems.say(here, f"the plugin file {shown(entry)} appears twice", "keep one of them")
        else:
            found.append(folder / entry)
    return tuple(found)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _grids(whole: Mapping[str, Any], problems: Problems) -> tuple[Grid, ...]:
    training = axes(whole.get("training"), ("training",), problems)
    if "grids" not in whole:
        return (_grid(ONLY_GRID, whole, {}, training, (), problems),)
    listed = whole["grids"]
    if not isinstance(listed, list) or not listed:
        hint = "grids: [{name: ..., tasks: ..., architectures: ...}], or no `grids` at all"
        problems.say(("grids",), f"{shown(listed)} is not a list of grids", hint)
        return ()
    found: list[Grid] = []
    for position, raw in enumerate(listed):
        path: Trail = ("grids", position)
        if not isinstance(raw, dict):
            hint = f"a grid is a mapping with the keys name, {', '.join(GRID_KEYS)}"
            problems.say(path, f"{shown(raw)} is not a grid", hint)
            continue
        check_keys(raw, ("name", *GRID_KEYS), path, problems)
        name = raw.get("name")
        if not isinstance(name, str) or not name.strip() or set(name) & set(",=\n"):
            text = "a grid needs a `name`" if name is None else f"{shown(name)} is not a name"
            problems.say((*path, "name"), text, "a name is text without `,` and `=`")
            name = f"grid{position}"
        elif name in {grid.name for grid in found}:
            problems.say((*path, "name"), f"the grid '{name}' appears twice", "rename one of them")
        found.append(_grid(name, whole, raw, training, path, problems))
    return tuple(found)


def _grid(
    name: str,
    whole: Mapping[str, Any],
    own: Mapping[str, Any],
    default: Axes,
    path: Trail,
    problems: Problems,
) -> Grid:
    """One grid: each key is its own, else the top level's; training merges key by key."""

    def source(key: str) -> tuple[object, Trail]:
        return (own[key], (*path, key)) if key in own else (whole.get(key), (key,))

    for key in ("tasks", "architectures"):
        if key not in own and key not in whole:
            problems.say(path, f"'{key}' is missing", f"write for instance `{key}: [name]`")
    training = default
    if "training" in own:
        training = merged(default, axes(own["training"], (*path, "training"), problems))
    return Grid(
        name=name,
        tasks=read_entries("tasks", *source("tasks"), problems),
        architectures=read_entries("architectures", *source("architectures"), problems),
        analyses=read_entries("analyses", *source("analyses"), problems),
        training=training,
        evaluation=_evaluation(*source("evaluation"), problems),
        seeds=_seeds(*source("seeds"), problems),
        exclude=read_rules(*source("exclude"), problems),
        path=path,
    )


def _evaluation(raw: object, path: Trail, problems: Problems) -> Evaluation:
    if raw is None:
        return Evaluation()
    return checked(Evaluation, raw, problems, lambda inner: (*path, *inner)) or Evaluation()


def _seeds(raw: object, path: Trail, problems: Problems) -> Seeds:
    if raw is None:
        return Seeds()
    if isinstance(raw, dict):
        seeds = checked(Seeds, raw, problems, lambda inner: (*path, *inner))
    elif isinstance(raw, int) and not isinstance(raw, bool) and raw >= 1:
        seeds = Seeds(count=raw)
    else:
        hint = "seeds: 16, or seeds: {first: 0, count: 16}"
        problems.say(path, f"{shown(raw)} is not a number of seeds", hint)
        return Seeds()
    if seeds is not None and not 0 <= seeds.first <= 2**32 - 1 - seeds.count:
        problems.say(path, f"the seeds from {seeds.first} on leave 0 ... 2^32 - 2", "choose others")
        return Seeds()
    return seeds or Seeds()


def _views(
    model: type[V],
    whole: Mapping[str, Any],
    key: Literal["tables", "figures", "claims"],
    title: Literal["name", "id"],
    problems: Problems,
) -> Mapping[Trail, V]:
    listed = whole.get(key)
    if listed is None:
        return {}
    if not isinstance(listed, list):
        problems.say((key,), f"{shown(listed)} is not a list", f"write `{key}: [{{{title}: ...}}]`")
        return {}
    found: dict[Trail, V] = {}
    for position, raw in enumerate(listed):
        path: Trail = (key, position)

        def trail(inner: Trail, path: Trail = path) -> Trail:
            return (*path, *inner)

        view = checked(model, raw, problems, trail)
        if view is not None:
            found[path] = view
    titles = [raw.get(title) for raw in listed if isinstance(raw, dict)]
    twice = {name for name, count in Counter(map(shown, titles)).items() if count > 1}
    for path, view in found.items():
        name = view.id if isinstance(view, Claim) else view.name
        if shown(name) in twice:
            text = f"'{name}' names more than one of the {key}"
            problems.say((*path, title), text, "each needs a name of its own")
    return found


__all__ = ["NO_AXES", "Axes", "Entry", "ExclusionRule", "Grid", "Seeds", "Study", "read_study"]
