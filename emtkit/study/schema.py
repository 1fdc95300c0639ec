"""The JSON Schema of study files, made from the plugins that are installed; editors use it.

A study that begins with this line is completed and checked while it is written:

    # yaml-language-server: $schema=study.schema.json
"""

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from emtkit.plugin import params
from emtkit.plugin.catalogue import Kind
from emtkit.plugin.registry import Plugin, Registry
from emtkit.study.entries import RESERVED_KEYS, RULE_KEYS
from emtkit.study.file import GRID_KEYS, GRID_NAME, GRID_ROLE, STUDY_KEYS, Seeds
from emtkit.study.pair_choice import PairChoice
from emtkit.study.roles import CONTROLS
from emtkit.study.settings import Evaluation, Training
from emtkit.study.tuning import TuneSettings
from emtkit.study.views import Claim, Figure, Table
from emtkit.study.weight_files import WeightFiles

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
SAID_OUTSIDE = ("default", "title", "description")
"""What a schema says beside `anyOf`, not in one of its members."""


def study_schema(registry: Registry) -> Schema:
    """The schema (draft 2020-12) of a study file that uses the plugins of `registry`."""
    shared: Schema = {}
    views: Schema = {}
    families: dict[str, Schema] = {
        "tasks": _entries("task", registry, shared),
        "architectures": _entries("architecture", registry, shared),
        "analyses": _entries("analysis", registry, shared),
        "training": _training(shared),
        "evaluation": _of(Evaluation, shared),
        "tune": {"anyOf": [{"type": "null"}, _of(TuneSettings, shared)]},
        "seeds": {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
                _of(Seeds, shared),
            ]
        },
        "exclude": {"type": "array", "items": _mapping(_described(RULE_KEYS, {}), least=1)},
    }
    grid = _mapping(
        {
            "name": {**TEXT, "description": GRID_NAME},
            "role": {"enum": list(CONTROLS), "description": GRID_ROLE},
            **_described(GRID_KEYS, families),
        }
    )
    own: Schema = {
        "question": TEXT,
        "plugins": {"type": "array", "items": {**TEXT, "pattern": r"\.py$"}},
        "grids": {"type": "array", "minItems": 1, "items": {**grid, "required": ["name"]}},
        "comparisons": _entries("comparison", registry, shared),
        "tables": {"type": "array", "items": _short(_of(Table, views))},
        "figures": {"type": "array", "items": _short(_of(Figure, views))},
        "claims": {"type": "array", "items": _short(_of(Claim, views))},
    }
    whole = _mapping(_described(STUDY_KEYS, {**own, **families}))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "emtkit study",
        **whole,
        "$defs": {**shared, **_short(views)},
    }


def _entries(kind: Kind, registry: Registry, shared: Schema) -> Schema:
    """A list of plugins: each a name alone, or a mapping with its own parameters."""
    plugins = [plugin for plugin in registry.all() if plugin.kind == kind]
    for plugin in plugins:
        shared[f"{kind}.{plugin.name}"] = _entry(plugin, shared)
    names: Schema = {"enum": [plugin.name for plugin in plugins]}
    refs = [{"$ref": f"#/$defs/{kind}.{plugin.name}"} for plugin in plugins]
    least = {} if kind in ("analysis", "comparison") else {"minItems": 1}
    return {"type": "array", **least, "items": {"anyOf": [names, *refs]}}


def _entry(plugin: Plugin, shared: Schema) -> Schema:
    name = f"{plugin.kind}.{plugin.name}"
    own = _of(params.schema(plugin.cls), shared, prefix=f"{name}.")["properties"]
    known: Schema = {"use": {"const": plugin.name}, "label": {**TEXT, "maxLength": 80}}
    if plugin.kind == "analysis":
        known["at"] = {"enum": ["end", "snapshots"], "default": "end"}
    elif plugin.kind == "comparison":
        names = {"type": "array", "items": TEXT}
        known["pairs"] = {"anyOf": [{"const": "all"}, names, _short(_of(PairChoice, shared))]}
    else:
        known |= _axes(own)
    if plugin.kind == "architecture":
        paths = {"type": "array", "items": TEXT, "minItems": 1}
        known["checkpoint"] = {"anyOf": [TEXT, paths, _of(WeightFiles, shared)]}
        known["tune"] = {"anyOf": [{"type": "null"}, _of(TuneSettings, shared)]}
    docstring = inspect.cleandoc(plugin.cls.__doc__ or "")
    known = _described({key: RESERVED_KEYS[key] for key in known}, known)
    return {**_mapping({**known, **own}), "required": ["use"], "description": docstring}


def _training(shared: Schema) -> Schema:
    settings = _of(Training, shared)
    own, axes = settings["properties"], _axes(settings["properties"])
    axes = _described({key: RESERVED_KEYS[key] for key in axes}, axes)
    return {**_mapping({**own, **axes}), "description": settings["description"]}


def _axes(parameters: Schema) -> Schema:
    """`grid` and `zip`: for each parameter a list of its values."""
    meanings = {name: one.get("description", "") for name, one in parameters.items()}
    lists = _described(
        meanings,
        {name: {"type": "array", "minItems": 1, "items": one} for name, one in parameters.items()},
    )
    return {"grid": _mapping(lists), "zip": _mapping(lists)}


def _described(meanings: Mapping[str, str], schemas: Mapping[str, Schema]) -> Schema:
    """The schema of each key (any value, where there is none) with the key's meaning."""
    return {
        key: {**schemas.get(key, {}), "description": meaning} for key, meaning in meanings.items()
    }


def _of(model: type[BaseModel], shared: Schema, prefix: str = "") -> Schema:
    """The schema of a pydantic model; what it refers to moves into `shared`."""
    made = model.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
    for name, inner in made.pop("$defs", {}).items():
        shared[f"{prefix}{name}"] = inner
    return made


def _mapping(properties: Schema, least: int = 0) -> Schema:
    closed = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**closed, "minProperties": least} if least else closed


def _short(schema: Any) -> Any:
    """Views take a text for a list of texts, and a column's name for a value."""
    if isinstance(schema, list):
        return [_short(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _short(part) for key, part in schema.items()}
    if inner.get("type") == "array" and inner.get("items") == TEXT:
        kept = {key: inner.pop(key) for key in SAID_OUTSIDE if key in inner}
        return {**kept, "anyOf": [TEXT, inner]}
    if inner == {"$ref": "#/$defs/Value"}:
        return {"anyOf": [TEXT, inner]}
    return inner
