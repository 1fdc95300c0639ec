"""A study file as records: grids of entries, and their views.

Every mistake is noted with its place and reading continues, so that all are reported together.
Plugins are not known here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar

from emtkit.methods.settings import Count, Settings
from emtkit.study.checked import Given, Problems, shown
from emtkit.study.document import Document
from emtkit.study.entries import (
    Axes,
    Entry,
    ExclusionRule,
    axes,
    merged,
    read_entries,
    read_rules,
    read_tuning,
)
from emtkit.study.roles import CONTROLS, STUDY, Role
from emtkit.study.settings import Evaluation
from emtkit.study.views import Claim, Figure, Table
from emtkit.study.yaml_nodes import Trail

V = TypeVar("V", Table, Figure, Claim)

GRID_KEYS = {
    "tasks": "The tasks, each by name or as a mapping with `use` and parameters.",
    "architectures": "The networks, each by name or as a mapping with `use` and parameters.",
    "analyses": "What is measured on every network.",
    "training": "How every network is trained.",
    "tune": "Settings of training that are tried for every architecture, on seeds of their own.",
    "evaluation": "The fresh sequences on which every network is tested.",
    "seeds": "Number of seeds from 0 on, a mapping with `first` and `count`, or a list of seeds.",
    "exclude": "Rules that leave out combinations of tasks, architectures, training and seeds.",
}
"""Keys of a grid beside its name, with their meaning."""
GRID_NAME = "Name of the grid, shown in the column `grid`."
GRID_ROLE = (
    "Makes the grid a control: `negative` where claims must not hold, `positive` where they must."
)
STUDY_KEYS = {
    "question": "The question that the study answers, printed at the head of its report.",
    "answer": "What the study found; its report begins with it where every claim is supported.",
    "plugins": "Python files with plugins of your own, relative to the study's folder.",
    "grids": "Several grids, each with its own keys; the top level gives their defaults.",
    "comparisons": "What is compared of two networks, of all grids, on one setting of a task.",
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


@dataclass(frozen=True)
class Grid:
    """Tasks x architectures x trainings x seeds, and what is measured on each network."""

    name: str
    tasks: tuple[Entry, ...]
    architectures: tuple[Entry, ...]
    analyses: tuple[Entry, ...]
    training: Axes
    evaluation: Evaluation
    evaluation_path: Trail
    seeds: Sequence[int]
    exclude: tuple[ExclusionRule, ...]
    path: Trail
    role: Role = STUDY


@dataclass(frozen=True)
class Study:
    """What one study file says; `views` know their paths by position (`tables[0]`)."""

    path: Path | None
    name: str
    question: str
    answer: str
    plugins: tuple[Path, ...]
    grids: tuple[Grid, ...]
    comparisons: tuple[Entry, ...]
    tables: Mapping[Trail, Table]
    figures: Mapping[Trail, Figure]
    claims: Mapping[Trail, Claim]
    document: Document = field(repr=False, compare=False)

    @property
    def over_training(self) -> bool:
        """Whether a view shows networks at iterations of their training."""
        tables, figures, claims = self.tables.values(), self.figures.values(), self.claims.values()
        charts = (*(one.over_training for one in tables), *(one.over_training for one in figures))
        return any((*charts, *(one.over_training for one in claims)))


def read_study(document: Document, problems: Problems) -> Study:
    """The study that `document` holds; whatever is wrong goes to `problems`, and is left out."""
    whole = document.value
    if not isinstance(whole, dict):
        problems.say((), "the study is not a mapping", f"its keys are {', '.join(STUDY_KEYS)}")
        whole = {}
    elif not whole:
        problems.say((), "the study is empty", "it needs `tasks:` and `architectures:`")
    given = Given(whole, (), problems)
    given.check_keys(STUDY_KEYS)
    path = document.path
    return Study(
        path=path,
        name=document.name.strip("<>") if path is None else path.stem,
        question=_text(given, "question"),
        answer=_text(given, "answer"),
        plugins=_plugins(given.part("plugins"), Path() if path is None else path.parent),
        grids=_grids(given) if whole else (),
        comparisons=read_entries("comparisons", given.part("comparisons")),
        tables=_views(Table, given.part("tables"), "name"),
        figures=_views(Figure, given.part("figures"), "name"),
        claims=_views(Claim, given.part("claims"), "id"),
        document=document,
    )


def _text(given: Given, key: str) -> str:
    """The text under a key; empty where there is none."""
    found = given.value.get(key)
    if found is None or isinstance(found, str):
        return found or ""
    given.say(f"{shown(found)} is not text", "put it into quotes", (key,))
    return ""


def _plugins(given: Given, folder: Path) -> tuple[Path, ...]:
    found: list[Path] = []
    if given.value is None:
        return ()
    for part in given.parts("a list", "plugins: [./my_task.py]"):
        entry = part.value
        if not isinstance(entry, str) or not entry.endswith(".py"):
            part.say(f"{shown(entry)} is not a Python file", "plugins: [./my_task.py]")
        elif not _is_file(folder / entry):
            hint = "its path is relative to the study's folder"
            part.say(f"the plugin file {shown(entry)} does not exist", hint)
        elif folder / entry in found:
            part.say(f"the plugin file {shown(entry)} appears twice", "keep one of them")
        else:
            found.append(folder / entry)
    return tuple(found)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _grids(whole: Given) -> tuple[Grid, ...]:
    training = axes(whole.part("training"))
    if "grids" not in whole.value:
        return (_grid(ONLY_GRID, whole, replace(whole, value={}), training),)
    hint = "grids: [{name: ..., tasks: ..., architectures: ...}], or no `grids` at all"
    found: list[Grid] = []
    for part in whole.part("grids").parts("a list of grids", hint, least=1):
        if not isinstance(part.value, dict):
            hint = f"a grid is a mapping with the keys name, {', '.join(GRID_KEYS)}"
            part.say(f"{shown(part.value)} is not a grid", hint)
            continue
        part.check_keys(("name", "role", *GRID_KEYS))
        name = part.value.get("name")
        if not isinstance(name, str) or not name.strip() or set(name) & set(",=\n"):
            text = "a grid needs a `name`" if name is None else f"{shown(name)} is not a name"
            part.say(text, "a name is text without `,` and `=`", ("name",))
            name = f"grid{part.path[-1]}"
        elif name in {grid.name for grid in found}:
            part.say(f"the grid '{name}' appears twice", "rename one of them", ("name",))
        found.append(replace(_grid(name, whole, part, training), role=_role(part)))
    if found and all(grid.role != STUDY for grid in found):
        hint = "a control is held against networks of the study: leave out the `role` of these"
        whole.say("every grid is a control", hint, ("grids",))
    return tuple(found)


def _role(grid: Given) -> Role:
    given = grid.value.get("role", STUDY)
    if "role" in grid.value and given not in CONTROLS:
        hint = f"allowed: {', '.join(CONTROLS)}; the study's own networks have no `role`"
        grid.say(f"{shown(given)} is not a role", hint, ("role",))
    return next((role for role in CONTROLS if role == given), STUDY)


def _grid(name: str, whole: Given, own: Given, default: Axes) -> Grid:
    """One grid: each key is its own, else the top level's; training merges key by key."""

    def source(key: str) -> Given:
        return (own if key in own.value else whole).part(key)

    for key in ("tasks", "architectures"):
        if key not in own.value and key not in whole.value:
            own.say(f"'{key}' is missing", f"write for instance `{key}: [name]`")
    evaluation = source("evaluation")
    asked = None if evaluation.value is None else evaluation.read_as(Evaluation)
    # A control is held against networks of the study, and tuned only where it says so itself.
    tuning = read_tuning(own.part("tune") if "role" in own.value else source("tune"))
    architectures = read_entries("architectures", source("architectures"))
    return Grid(
        name=name,
        tasks=read_entries("tasks", source("tasks")),
        architectures=tuple(replace(e, tuning=e.tuning or tuning) for e in architectures),
        analyses=read_entries("analyses", source("analyses")),
        training=merged(default, axes(own.part("training"))),
        evaluation=asked or Evaluation(),
        evaluation_path=evaluation.path,
        seeds=_seeds(source("seeds")),
        exclude=read_rules(source("exclude")),
        path=own.path,
    )


def _seeds(given: Given) -> Sequence[int]:
    raw, one = given.value, range(1)
    if raw is None:
        return one
    if isinstance(raw, dict):
        span = given.read_as(Seeds) or Seeds()
        found: Sequence[int] = range(span.first, span.first + span.count)
    elif _is_seed(raw) and raw >= 1:
        found = range(raw)
    elif isinstance(raw, list) and raw and all(map(_is_seed, raw)) and len({*raw}) == len(raw):
        found = tuple(sorted(raw))
    else:
        hint = "seeds: 16, or seeds: {first: 0, count: 16}, or a list of different ones: [3, 5, 8]"
        given.say(f"{shown(raw)} is not a number of seeds, nor a list of them", hint)
        return one
    if found[0] < 0 or found[-1] > 2**32 - 2:
        given.say(f"the seeds {found[0]} to {found[-1]} leave 0 ... 2^32 - 2", "choose others")
        return one
    return found


def _is_seed(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _views(model: type[V], given: Given, title: Literal["name", "id"]) -> Mapping[Trail, V]:
    if given.value is None:
        return {}
    (key,) = given.path
    parts = given.parts("a list", f"write `{key}: [{{{title}: ...}}]`")
    titles = [shown(part.value.get(title)) for part in parts if isinstance(part.value, dict)]
    found: dict[Trail, V] = {}
    for part in parts:
        view = part.read_as(model)
        if view is not None:
            found[part.path] = view
            name = part.value[title]
            if titles.count(shown(name)) > 1:
                text = f"'{name}' names more than one of the {key}"
                part.say(text, "each needs a name of its own", (title,))
    return found
