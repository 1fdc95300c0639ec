"""Entries of a study: a plugin by name, its fixed parameters, and the axes it spans."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from emtkit.errors import did_you_mean
from emtkit.study.checked import Problems, shown
from emtkit.study.yaml_nodes import Trail

Family = Literal["tasks", "architectures", "analyses"]

RESERVED_KEYS = {
    "use": "Name of the plugin.",
    "grid": "Parameters with a list of values each; every combination of them is one setting.",
    "zip": "Parameters with lists of equal length, walked through side by side as one axis.",
    "label": "What columns call this entry; without it, the name after `use`.",
    "at": "Whether the analysis measures the trained network (`end`) or every snapshot of it.",
}
"""Keys of an entry that are not parameters of its plugin, with their meaning."""
RESERVED_LABELS = (
    "task",
    "architecture",
    "training",
    "evaluation",
    "train",
    "test",
    "grid",
    "cell",
    "seed",
    "status",
)
RULE_KEYS = {
    "grid": "Names of grids.",
    "tasks": "A task's name, or its parameters, `use` or `label` with the values left out.",
    "architectures": "An architecture's name, or its parameters, `use` or `label` with values.",
    "training": "Training settings with the values left out.",
    "seeds": "Seeds left out.",
}
"""Keys of a rule of `exclude`, with their meaning; a rule holds where all of its keys match."""


@dataclass(frozen=True)
class Axes:
    """Parameters that are fixed, crossed (`grid`) and paired (`zip`).

    `paths` has the place of each one's value, or list of values.
    """

    fixed: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    zip: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    paths: Mapping[str, Trail] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of settings that `expand` gives."""
        total = 1
        for values in self.grid.values():
            total *= len(values)
        return total * len(next(iter(self.zip.values()), (None,)))


NO_AXES = Axes()


@dataclass(frozen=True)
class Entry:
    """One entry of a list of tasks, architectures or analyses."""

    use: str
    label: str
    axes: Axes
    at: Literal["end", "snapshots"]
    path: Trail


@dataclass(frozen=True)
class ExclusionRule:
    """What is left out of the grid: all its conditions hold at once.

    Each condition is the family (`tasks`, `architectures`, `training`, `grid`, `seeds`), a key
    within it, and the value wanted, or a tuple of values any of which will do.
    """

    conditions: tuple[tuple[str, str, Any], ...]
    path: Trail


def read_entries(family: Family, raw: object, path: Trail, problems: Problems) -> tuple[Entry, ...]:
    """The entries of one list; a string is short for `{use: ...}`."""
    if raw is None and family == "analyses":
        return ()
    if not isinstance(raw, list) or (not raw and family != "analyses"):
        if raw is not None or problems.document.has(path):
            problems.say(
                path, f"{shown(raw)} is not a list of {family}", f"write `{family}: [name]`"
            )
        return ()
    found: list[Entry] = []
    for position, item in enumerate(raw):
        entry = _entry(family, item, (*path, position), problems)
        if entry is None:
            continue
        twin = next((other for other in found if other.label == entry.label), None)
        if twin is not None:
            where = problems.document.place(twin.path)
            hint = f"it appears first at {where}; give one of them its own `label`"
            problems.say(entry.path, f"the label '{entry.label}' appears twice", hint)
        found.append(entry)
    return tuple(found)


def axes(raw: object, path: Trail, problems: Problems, *, family: str = "training") -> Axes:
    """Fixed values, `grid` and `zip` of an entry or of `training`."""
    if raw is None:
        return NO_AXES
    if not isinstance(raw, dict):
        problems.say(path, f"{shown(raw)} is not a mapping", "write `key: value` pairs")
        return NO_AXES
    fixed = {key: value for key, value in raw.items() if key not in RESERVED_KEYS}
    paths: dict[str, Trail] = {key: (*path, key) for key in fixed}
    if family == "training":
        for key in ("use", "label", "at"):
            if key in raw:
                problems.say((*path, key), f"`{key}` has no meaning here", "remove it", key=True)
    grid = _axis_lists(raw, "grid", path, paths, problems)
    for key, values in grid.items():
        _check_repeats(values, paths[key], problems)
    paired = _axis_lists(raw, "zip", path, paths, problems)
    lengths = {key: len(values) for key, values in paired.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        hint = "`zip` pairs values position by position; use `grid` to cross them"
        problems.say((*path, "zip"), f"`zip` has lists of unequal length: {counts}", hint)
        shortest = min(lengths.values())
        paired = {key: values[:shortest] for key, values in paired.items()}
    return Axes(fixed, grid, paired, paths)


def merged(default: Axes, own: Axes) -> Axes:
    """`own` over `default`, key by key; a `zip` of its own replaces the default's as a whole."""
    taken = {*own.fixed, *own.grid, *own.zip}

    def kept(values: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in values.items() if key not in taken}

    return Axes(
        {**kept(default.fixed), **own.fixed},
        {**kept(default.grid), **own.grid},
        dict(own.zip) if own.zip else kept(default.zip),
        {**default.paths, **own.paths},
    )


def read_rules(raw: object, path: Trail, problems: Problems) -> tuple[ExclusionRule, ...]:
    """The rules of `exclude`."""
    if raw is None:
        return ()
    hint = "exclude: [{tasks: {delay: 5}, architectures: {use: elman}}]"
    if not isinstance(raw, list):
        problems.say(path, f"{shown(raw)} is not a list of rules", hint)
        return ()
    found: list[ExclusionRule] = []
    for position, item in enumerate(raw):
        here: Trail = (*path, position)
        if not isinstance(item, dict) or not item:
            problems.say(here, f"{shown(item)} is not a rule", hint)
            continue
        conditions: list[tuple[str, str, Any]] = []
        for family, wanted in item.items():
            if family not in RULE_KEYS:
                text = f"unknown key '{family}'"
                problems.say((*here, family), text, did_you_mean(family, RULE_KEYS), key=True)
            elif family in {"grid", "seeds"}:
                conditions.append((family, "", _frozen(wanted)))
            elif isinstance(wanted, str) and family != "training":
                conditions.append((family, "use", wanted))
            elif isinstance(wanted, dict) and wanted:
                conditions.extend((family, key, _frozen(value)) for key, value in wanted.items())
            else:
                text = f"{shown(wanted)} is not a condition on {family}"
                problems.say((*here, family), text, hint)
        if conditions:
            found.append(ExclusionRule(tuple(conditions), here))
    return tuple(found)


def _entry(family: Family, raw: object, path: Trail, problems: Problems) -> Entry | None:
    if isinstance(raw, str):
        raw = {"use": raw}
    if not isinstance(raw, dict):
        hint = "an entry is a name, or {use: name, parameter: value}"
        problems.say(path, f"{shown(raw)} is not an entry of {family}", hint)
        return None
    use = raw.get("use")
    if not isinstance(use, str):
        text = "'use' is missing" if use is None else f"use: {shown(use)} is not a name"
        problems.say((*path, "use"), text, "`use` names the plugin")
        return None
    at = _at(family, raw, path, problems)
    label = _label(family, raw, use, path, problems)
    if family == "analyses":
        for key in ("grid", "zip"):
            if key in raw:
                hint = "write one entry for each setting, each with its own `label`"
                problems.say((*path, key), f"an analysis has no `{key}`", hint, key=True)
        raw = {key: value for key, value in raw.items() if key not in {"grid", "zip"}}
    return Entry(use, label, axes(raw, path, problems, family=family), at, path)


def _at(
    family: Family, raw: Mapping[str, Any], path: Trail, problems: Problems
) -> Literal["end", "snapshots"]:
    at = raw.get("at", "end")
    if family != "analyses" and "at" in raw:
        problems.say((*path, "at"), "`at` belongs to analyses", "remove it here", key=True)
    elif at not in ("end", "snapshots"):
        problems.say((*path, "at"), f"at: {shown(at)} is unknown", "allowed: end, snapshots")
    elif at == "snapshots":
        return "snapshots"
    return "end"


def _label(
    family: Family, raw: Mapping[str, Any], use: str, path: Trail, problems: Problems
) -> str:
    label = raw.get("label", use)
    here = (*path, "label" if "label" in raw else "use")
    if not isinstance(label, str) or not label.strip() or len(label) > 80:
        problems.say(here, f"{shown(label)} is not a label", "a label is a short text")
        return use
    if label in RESERVED_LABELS:
        hint = f"these words name columns: {', '.join(RESERVED_LABELS)}"
        problems.say(here, f"the label '{label}' is reserved", hint)
    elif family == "analyses" and not re.fullmatch(r"\w[\w-]*", label):
        hint = "its label begins the names of its columns: letters, digits, `_` and `-`"
        problems.say(here, f"{shown(label)} cannot label an analysis", hint)
    elif set(label) & set(",=\n"):
        problems.say(here, f"{shown(label)} holds `,` or `=`", "`--only` splits at these")
    return label


def _axis_lists(
    raw: Mapping[str, Any],
    kind: Literal["grid", "zip"],
    path: Trail,
    paths: dict[str, Trail],
    problems: Problems,
) -> dict[str, tuple[Any, ...]]:
    """The axes under `grid` or `zip`; their places are added to `paths`."""
    if kind not in raw:
        return {}
    given = raw[kind]
    if not isinstance(given, dict) or not given:
        hint = f"write `{kind}: {{parameter: [value, value]}}`"
        problems.say((*path, kind), f"{shown(given)} does not name an axis", hint)
        return {}
    found: dict[str, tuple[Any, ...]] = {}
    for key, values in given.items():
        here: Trail = (*path, kind, key)
        if key in RESERVED_KEYS:
            problems.say(here, f"`{key}` is not a parameter", "only parameters span axes", key=True)
        elif not isinstance(values, list):
            hint = f"write a list, `{key}: [{shown(values)}]`, or fix it outside `{kind}`"
            problems.say(here, f"{shown(values)} is not a list", hint)
        elif not values:
            problems.say(here, f"the axis '{key}' is empty", "an axis has at least one value")
        elif key in paths:
            where = problems.document.place(paths[key], key=True)
            hint = f"it appears first at {where}; keep one of them"
            problems.say(here, f"the parameter '{key}' appears twice", hint, key=True)
        else:
            found[key] = tuple(values)
            paths[key] = here
    return found


def _check_repeats(values: tuple[Any, ...], path: Trail, problems: Problems) -> None:
    seen: set[str] = set()
    for position, value in enumerate(values):
        # 1 and 1.0 are one value; true is another.
        small = type(value) is int and abs(value) < 2**53
        spelling = json.dumps(float(value) if small else value, sort_keys=True)
        if spelling in seen:
            text = f"the value {shown(value)} appears twice on this axis"
            problems.say((*path, position), text, "keep one of them")
        seen.add(spelling)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(entry) for entry in value) if isinstance(value, list) else value
