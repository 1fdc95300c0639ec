"""The pages that the code writes about itself: settings, plugins, commands.

Nothing here is typed twice: fields, types and defaults come from the records that check a study,
plugin pages from the classes themselves, the commands from click.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from emtkit.cli.main import cli
from emtkit.errors import EmtkitError
from emtkit.methods.curricula.base import Curriculum
from emtkit.methods.method import Method
from emtkit.methods.optimisers.base import Optimiser
from emtkit.methods.schedules.base import Schedule
from emtkit.plugin.catalogue import FAMILIES
from emtkit.plugin.describe import page
from emtkit.plugin.params import parameters
from emtkit.plugin.registry import Plugin, Registry
from emtkit.plugin.statistic import STATISTICS, statistic_named
from emtkit.report.tables.format import FORMATS
from emtkit.study.entries import RESERVED_KEYS, RESERVED_LABELS, RULE_KEYS
from emtkit.study.file import GRID_KEYS, STUDY_KEYS, Seeds
from emtkit.study.pair_choice import PairChoice
from emtkit.study.quantity import Quantity, Scale, Value
from emtkit.study.rows import MAX_CELLS
from emtkit.study.settings import Check, Elsewhere, Evaluation, Training
from emtkit.study.tuning import Objective, TuneSettings
from emtkit.study.views import (
    FIGURE_KINDS,
    OF_NETWORKS,
    CellChoice,
    Claim,
    EachShare,
    Expect,
    Figure,
    Table,
)
from emtkit.study.wanted import Criterion, ShareOf

METHODS: tuple[type[Method], ...] = (Optimiser, Schedule, Curriculum)
PARTS: Mapping[str, tuple[type[BaseModel], ...]] = {
    "training": (
        Training,
        *(method for base in METHODS for method in base.known().values()),
        Check,
    ),
    "tuning": (TuneSettings, Objective),
    "evaluation": (Evaluation, Elsewhere, Seeds),
    "tables": (Table, Value, Scale, Quantity, ShareOf, Criterion),
    "comparisons": (PairChoice,),
    "figures": (Figure, CellChoice),
    "claims": (Claim, Expect, EachShare),
}
RECORDS = {model.__name__ for models in PARTS.values() for model in models}
WIDTH = 92


def write(folder: Path) -> None:
    """Write every generated page into `folder`; what is unchanged is not touched."""
    pages = {**_parts(), **_plugins(Registry.installed()), "cli.md": _commands(cli)}
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.rglob("*.md"):
        if path.relative_to(folder).as_posix() not in pages:
            path.unlink()


def _parts() -> dict[str, str]:
    """What `study-file.md` includes."""
    pages = {
        f"parts/{name}.md": "\n".join(_model(model) for model in models)
        for name, models in PARTS.items()
    }
    keys = {
        "Keys of a study": STUDY_KEYS,
        "Keys of an entry, beside the plugin's parameters": RESERVED_KEYS,
        "Keys of a rule of `exclude`": RULE_KEYS,
    }
    lists = [
        ("Keys of a grid", ("name", "role", *GRID_KEYS)),
        ("Words that cannot be a label", RESERVED_LABELS),
        ("Kinds of figure", (*FIGURE_KINDS, *OF_NETWORKS, "<analysis label>.<drawing>")),
        ("Formats of a table (`emtkit table --format`)", FORMATS.names),
    ]
    rows = [(title, ", ".join(f"`{word}`" for word in words)) for title, words in lists]
    rows.append(("Most networks of a grid", f"{MAX_CELLS:,}"))
    tables = [
        _table((title, "meaning"), [(f"`{key}`", meaning) for key, meaning in meanings.items()])
        for title, meanings in keys.items()
    ]
    methods = [(f"`{name}`", _plain(type(statistic_named(name)))) for name in STATISTICS.names]
    pages["parts/statistics.md"] = _table(("`stat`", "what it is"), methods)
    pages["parts/words.md"] = "\n".join([*tables, _table(("what", "which"), rows)])
    return pages


def _plain(cls: type) -> str:
    """A docstring as one line, without its references."""
    return " ".join(inspect.cleandoc(cls.__doc__ or "").partition("References:")[0].split())


def _model(model: type[BaseModel]) -> str:
    """One record as a section: what it is, and a row per field."""
    schema = model.model_json_schema(by_alias=True)
    needed = set(schema.get("required", ()))
    rows = [
        (
            f"`{name}`",
            _type(field),
            _default(field, required=name in needed),
            field.get("description", ""),
        )
        for name, field in schema.get("properties", {}).items()
    ]
    docstring = inspect.cleandoc(model.__doc__ or "")
    table = _table(("key", "type", "default", "meaning"), rows)
    return f"### {model.__name__}\n\n{docstring}\n\n{table}"


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})" if name in RECORDS else name
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(dict.fromkeys(_type(part) for part in schema[union]))
    match schema.get("type"):
        case "array" if isinstance(schema.get("items"), Mapping):
            return f"list of {_type(schema['items'])}"
        case "array":
            return "list"
        case "object":
            return "mapping"
        case "string":
            return "text"
        case "boolean":
            return "`true`, `false`"
        case "null":
            return "`null`"
        case "integer" | "number" as kind:
            return f"{kind}{_range(schema)}"
    return "any value"


def _range(schema: Mapping[str, Any]) -> str:
    signs = (
        ("minimum", "≥"),
        ("exclusiveMinimum", ">"),
        ("maximum", "≤"),
        ("exclusiveMaximum", "<"),
    )
    bounds = [f"{sign} {schema[key]:g}" for key, sign in signs if key in schema]
    return f" {' and '.join(bounds)}" if bounds else ""


def _default(schema: Mapping[str, Any], *, required: bool) -> str:
    if required:
        return "required"
    return f"`{json.dumps(schema['default'])}`" if "default" in schema else "empty"


def _plugins(registry: Registry) -> dict[str, str]:
    """A page for each plugin, and one that lists them."""
    if registry.broken:
        reasons = "; ".join(f"{broken.module}: {broken.reason}" for broken in registry.broken)
        raise EmtkitError(f"the pages of plugins need every plugin to load: {reasons}")
    pages: dict[str, str] = {}
    overview = [
        "# Plugins\n",
        "Made from the installed classes; `emtkit list` and `emtkit show NAME` say the same.\n",
    ]
    for family, kind in FAMILIES.items():
        found = sorted((p for p in registry.all() if p.kind == kind), key=lambda p: p.name)
        overview += [f"## {family.capitalize()}\n"]
        rows = [(f"[{p.name}](plugins/{kind}-{p.name}.md)", p.summary) for p in found]
        overview += [_table(("name", "what it is"), rows)]
        overview += [_toctree(f"plugins/{kind}-{plugin.name}" for plugin in found)]
        for plugin in found:
            pages[f"plugins/{kind}-{plugin.name}.md"] = _plugin(plugin, family)
    return {**pages, "plugins.md": "\n".join(overview)}


def _plugin(plugin: Plugin, family: str) -> str:
    text = page(plugin)
    given = {p.name: p.default for p in parameters(plugin.cls) if not p.required}
    entry = json.dumps({"use": plugin.name, **given}).replace('"', "")
    return "\n".join(
        [
            f"# {plugin.name}\n",
            f"{plugin.summary}\n" if not _has_markup(plugin.summary) else "",
            f"```text\n{text}\n```\n",
            "In a study, with every default written out:\n",
            f"```text\n{family}:\n  - {entry}\n```\n",
        ]
    )


def _has_markup(text: str) -> bool:
    """Whether Markdown would read an equation's signs as its own."""
    return bool(set(text) & set("*_|<>^[]`"))


def _commands(group: click.Group) -> str:
    lines = [
        "# Commands\n",
        "Exit codes, the same for all: 0 all good; 1 some cells failed or were lost, or a tuning",
        "chose nothing; 2 a mistake in a study or in the command; 3 a plugin's error; 4 the store",
        "is locked or damaged; 5 a claim is not supported (`--check-claims`); 129, 130 and 143",
        "interrupted: run again to go on.\n",
    ]
    for name, command in sorted(group.commands.items()):
        context = click.Context(
            command, info_name=f"emtkit {name}", terminal_width=WIDTH, max_content_width=WIDTH
        )
        lines += [f"## {name}\n", f"```text\n{command.get_help(context)}\n```\n"]
    return "\n".join(lines)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    bar = "\\|"
    return "".join(f"| {' | '.join(cell.replace('|', bar) for cell in line)} |\n" for line in lines)


def _toctree(pages: Iterable[str]) -> str:
    return "\n".join(["```{toctree}", ":hidden:", "", *pages, "```\n"])
