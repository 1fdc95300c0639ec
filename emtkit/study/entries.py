"""Entries of a study: a plugin by name, its fixed parameters, and the axes it spans."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Literal

from emtkit.study.checked import Given, shown
from emtkit.study.pair_choice import PairChoice
from emtkit.study.tuning import TuneSettings, Tuning
from emtkit.study.wanted import frozen
from emtkit.study.weight_files import WeightFiles, read_weight_files
from emtkit.study.yaml_nodes import Trail

Family = Literal["tasks", "architectures", "analyses", "comparisons"]
MEASURING = ("analyses", "comparisons")
"""Families that a study may do without; each entry is one setting, whose label names columns."""

RESERVED_KEYS = {
    "use": "Name of the plugin.",
    "grid": "Parameters with a list of values each; every combination of them is one setting.",
    "zip": "Parameters with lists of equal length, walked through side by side as one axis.",
    "label": "What columns call this entry; without it, the name after `use`.",
    "tune": "What is tuned for this architecture, in place of the grid's `tune`; null: nothing.",
    "checkpoint": "Files of networks that are trained already, one for each seed.",
    "pairs": "Which networks are compared: `all`, columns in which two may differ, or a mapping.",
    "at": "Whether the analysis measures the trained network (`end`) or every snapshot of it.",
}
"""Keys of an entry that are not parameters of its plugin (`pairs`: of a comparison), and why."""
RESERVED_LABELS = (
    "task",
    "architecture",
    "training",
    "evaluation",
    "train",
    "test",
    "grid",
    "role",
    "cell",
    "seed",
    "status",
    "other",
    "same",
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
        paired = list(self.zip.values())[:1]
        return prod(map(len, [*self.grid.values(), *paired]))


NO_AXES = Axes()


@dataclass(frozen=True)
class Entry:
    """One entry of a list of tasks, architectures, analyses or comparisons.

    `tuning` None: an architecture says nothing of its own, and its grid's tuning holds.
    """

    use: str
    label: str
    axes: Axes
    at: Literal["end", "snapshots"]
    path: Trail
    tuning: Tuning | None = None
    weights: WeightFiles | None = None
    pairs: PairChoice | None = None


@dataclass(frozen=True)
class ExclusionRule:
    """What is left out of the grid: all its conditions hold at once.

    Each condition is the family (`tasks`, `architectures`, `training`, `grid`, `seeds`), a key
    within it, and the value wanted, or a tuple of values any of which will do.
    """

    conditions: tuple[tuple[str, str, Any], ...]
    path: Trail


def read_entries(family: Family, given: Given) -> tuple[Entry, ...]:
    """The entries of one list; a string is short for `{use: ...}`."""
    problems, optional = given.problems, family in MEASURING
    if given.value is None and (optional or not problems.document.has(given.path)):
        return ()
    found: list[Entry] = []
    for part in given.parts(
        f"a list of {family}", f"write `{family}: [name]`", least=0 if optional else 1
    ):
        entry = _entry(family, part)
        if entry is None:
            continue
        twin = next((other for other in found if other.label == entry.label), None)
        if twin is not None:
            where = problems.document.place(twin.path)
            hint = f"it appears first at {where}; give one of them its own `label`"
            part.say(f"the label '{entry.label}' appears twice", hint)
        found.append(entry)
    return tuple(found)


def axes(given: Given, *, family: str = "training") -> Axes:
    """Fixed values, `grid` and `zip` of an entry or of `training`."""
    raw = given.value
    if raw is None:
        return NO_AXES
    if not isinstance(raw, dict):
        given.say(f"{shown(raw)} is not a mapping", "write `key: value` pairs")
        return NO_AXES
    reserved = {*RESERVED_KEYS} - (set() if family == "comparisons" else {"pairs"})
    fixed = {key: value for key, value in raw.items() if key not in reserved}
    paths: dict[str, Trail] = {key: (*given.path, key) for key in fixed}
    if family == "training":
        for key in ("use", "label", "at", "tune", "checkpoint"):
            if key in raw:
                given.say(f"`{key}` has no meaning here", "remove it", (key,), key=True)
    grid = _axis_lists(given, "grid", paths, reserved)
    for key, values in grid.items():
        _check_repeats(Given(values, paths[key], given.problems))
    paired = _axis_lists(given, "zip", paths, reserved)
    lengths = {key: len(values) for key, values in paired.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        hint = "`zip` pairs values position by position; use `grid` to cross them"
        given.say(f"`zip` has lists of unequal length: {counts}", hint, ("zip",))
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


def read_rules(given: Given) -> tuple[ExclusionRule, ...]:
    """The rules of `exclude`."""
    if given.value is None:
        return ()
    hint = "exclude: [{tasks: {delay: 5}, architectures: {use: elman}}]"
    found: list[ExclusionRule] = []
    for part in given.parts("a list of rules", hint):
        if not isinstance(part.value, dict) or not part.value:
            part.say(f"{shown(part.value)} is not a rule", hint)
            continue
        part.check_keys(RULE_KEYS)
        conditions: list[tuple[str, str, Any]] = []
        for family, wanted in part.value.items():
            if family not in RULE_KEYS:
                continue
            if family in {"grid", "seeds"}:
                conditions.append((family, "", frozen(wanted)))
            elif isinstance(wanted, str) and family != "training":
                conditions.append((family, "use", wanted))
            elif isinstance(wanted, dict) and wanted:
                conditions.extend((family, key, frozen(value)) for key, value in wanted.items())
            else:
                part.say(f"{shown(wanted)} is not a condition on {family}", hint, (family,))
        if conditions:
            found.append(ExclusionRule(tuple(conditions), part.path))
    return tuple(found)


def _entry(family: Family, given: Given) -> Entry | None:
    raw = {"use": given.value} if isinstance(given.value, str) else given.value
    if not isinstance(raw, dict):
        hint = "an entry is a name, or {use: name, parameter: value}"
        given.say(f"{shown(raw)} is not an entry of {family}", hint)
        return None
    use = raw.get("use")
    if not isinstance(use, str):
        text = "'use' is missing" if use is None else f"use: {shown(use)} is not a name"
        given.say(text, "`use` names the plugin", ("use",))
        return None
    given = replace(given, value=raw)
    at, label = _at(family, given), _label(family, given, use)
    if family in MEASURING:
        for key in ("grid", "zip"):
            if key in raw:
                hint = "write one entry for each setting, each with its own `label`"
                given.say(f"{_one_of(family)} has no `{key}`", hint, (key,), key=True)
        kept = {key: value for key, value in raw.items() if key not in {"grid", "zip"}}
        given = replace(given, value=kept)
    own = given.part("tune") if "tune" in raw else None
    if own is not None and family != "architectures":
        own.say("`tune` belongs to architectures, grids and the study", "remove it here", key=True)
        own = None
    tuning = None if own is None else read_tuning(own)
    files = read_weight_files(given.part("checkpoint")) if "checkpoint" in raw else None
    if files is not None and family != "architectures":
        given.say("`checkpoint` belongs to architectures", "remove it", ("checkpoint",), key=True)
        files = None
    pairs = _pairs(family, given)
    return Entry(use, label, axes(given, family=family), at, given.path, tuning, files, pairs)


def read_tuning(given: Given) -> Tuning:
    """`tune:` of a study, a grid or an architecture; null tunes nothing."""
    settings = None if given.value is None else given.read_as(TuneSettings)
    for name, values in () if settings is None else settings.over.items():
        _check_repeats(Given(list(values), (*given.path, "over", name), given.problems))
    return Tuning(settings, given.path)


def _at(family: Family, given: Given) -> Literal["end", "snapshots"]:
    at = given.value.get("at", "end")
    if family != "analyses" and "at" in given.value:
        given.say("`at` belongs to analyses", "remove it here", ("at",), key=True)
    elif at not in ("end", "snapshots"):
        given.say(f"at: {shown(at)} is unknown", "allowed: end, snapshots", ("at",))
    elif at == "snapshots":
        return "snapshots"
    return "end"


def _pairs(family: Family, given: Given) -> PairChoice | None:
    if family != "comparisons":  # a plugin of another kind may have a parameter of this name
        return None
    asked = given.part("pairs")
    if isinstance(asked.value, str | list):
        asked = replace(asked, value={"differ": asked.value})
    return PairChoice() if asked.value is None else asked.read_as(PairChoice) or PairChoice()


def _one_of(family: Family) -> str:
    return "an analysis" if family == "analyses" else "a comparison"


def _label(family: Family, given: Given, use: str) -> str:
    label = given.value.get("label", use)
    here = ("label" if "label" in given.value else "use",)
    if not isinstance(label, str) or not label.strip() or len(label) > 80:
        given.say(f"{shown(label)} is not a label", "a label is a short text", here)
        return use
    if label in RESERVED_LABELS:
        hint = f"these words name columns: {', '.join(RESERVED_LABELS)}"
        given.say(f"the label '{label}' is reserved", hint, here)
    elif family in MEASURING and not re.fullmatch(r"\w[\w-]*", label):
        hint = "its label begins the names of its columns: letters, digits, `_` and `-`"
        given.say(f"{shown(label)} cannot label {_one_of(family)}", hint, here)
    elif set(label) & set(",=\n"):
        given.say(f"{shown(label)} holds `,` or `=`", "`--only` splits at these", here)
    return label


def _axis_lists(
    given: Given,
    kind: Literal["grid", "zip"],
    paths: dict[str, Trail],
    reserved: Collection[str],
) -> dict[str, tuple[Any, ...]]:
    """The axes under `grid` or `zip`; their places are added to `paths`."""
    if kind not in given.value:
        return {}
    lists = given.value[kind]
    if not isinstance(lists, dict) or not lists:
        hint = f"write `{kind}: {{parameter: [value, value]}}`"
        given.say(f"{shown(lists)} does not name an axis", hint, (kind,))
        return {}
    found: dict[str, tuple[Any, ...]] = {}
    for key, values in lists.items():
        here: Trail = (kind, key)
        if key in reserved:
            given.say(f"`{key}` is not a parameter", "only parameters span axes", here, key=True)
        elif not isinstance(values, list):
            hint = f"write a list, `{key}: [{shown(values)}]`, or fix it outside `{kind}`"
            given.say(f"{shown(values)} is not a list", hint, here)
        elif not values:
            given.say(f"the axis '{key}' is empty", "an axis has at least one value", here)
        elif key in paths:
            where = given.problems.document.place(paths[key], key=True)
            hint = f"it appears first at {where}; keep one of them"
            given.say(f"the parameter '{key}' appears twice", hint, here, key=True)
        else:
            found[key] = tuple(values)
            paths[key] = (*given.path, *here)
    return found


def _check_repeats(axis: Given) -> None:
    seen: set[str] = set()
    for position, value in enumerate(axis.value):
        # 1 and 1.0 are one value; true is another.
        small = type(value) is int and abs(value) < 2**53
        spelling = json.dumps(float(value) if small else value, sort_keys=True)
        if spelling in seen:
            text = f"the value {shown(value)} appears twice on this axis"
            axis.say(text, "keep one of them", (position,))
        seen.add(spelling)
