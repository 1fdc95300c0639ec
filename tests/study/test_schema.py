"""The schema takes what the reader takes, and points at what it refuses."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emtkit import Registry
from emtkit.plugin import params
from emtkit.study.document import read_document
from emtkit.study.schema import study_schema
from tests.study import fakes
from tests.study.json_schema import mistakes

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))


@pytest.fixture(scope="module")
def installed() -> Registry:
    return Registry.installed()


@pytest.fixture(scope="module")
def schema(installed: Registry) -> dict[str, Any]:
    # As an editor would read it: through JSON.
    return json.loads(json.dumps(study_schema(installed)))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_published_study_is_valid(schema: dict[str, Any], path: Path) -> None:
    assert mistakes(schema, read_document(path).value, schema) == []


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    wanted = {ref.removeprefix("#/$defs/") for ref in references(schema)}
    assert wanted == wanted & schema["$defs"].keys()


def test_every_parameter_of_every_plugin_is_there(
    schema: dict[str, Any], installed: Registry
) -> None:
    for plugin in installed.all():
        entry = schema["$defs"][f"{plugin.kind}.{plugin.name}"]
        for parameter in params.parameters(plugin.cls):
            assert parameter.name in entry["properties"]
            if plugin.kind not in ("analysis", "comparison"):
                assert parameter.name in entry["properties"]["grid"]["properties"]


def test_every_key_has_a_description_of_one_sentence(schema: dict[str, Any]) -> None:
    keys = dict(properties(schema))
    assert len(keys) > 300
    bare = [path for path, one in keys.items() if not one.get("description")]
    assert bare == []
    broken = [
        one["description"]
        for one in keys.values()
        if not one["description"].endswith(".") or ". " in one["description"]
    ]
    assert broken == []


SMALL: dict[str, Any] = {
    "tasks": [
        "echo",
        {"use": "echo", "label": "sparse", "grid": {"delay": [1, 2]}, "density": 0.5},
    ],
    "architectures": [{"use": "plain", "hidden": 3}],
    "analyses": ["radius", {"use": "delays", "at": "snapshots"}],
    "training": {
        "steps": 3,
        "grid": {"lr": [0.1, 0.01]},
        "schedule": {"kind": "cosine", "from": 0},
    },
    "seeds": {"first": 1, "count": 2},
    "tables": [{"name": "t", "rows": "task", "values": ["test.loss"], "over": ["seed"]}],
    "claims": [
        {"id": "c", "text": "x", "expect": {"value": "test.loss", "below": {"stat": "best"}}}
    ],
}


def test_shorthands_are_valid() -> None:
    schema = study_schema(fakes.registry())
    assert mistakes(schema, SMALL, schema) == []


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("tasks", 1, "densty"), 0.5),
        (("tasks", 1, "density"), 1.5),
        (("tasks", 1, "density"), "0.5"),
        (("tasks", 1, "grid", "delay"), 3),
        (("tasks", 1, "use"), "ech"),
        (("tasks", 1, "at"), "end"),
        (("architectures",), []),
        (("analyses", 1, "at"), "start"),
        (("training", "lr"), 0),
        (("training", "schedule"), {"kind": "linear"}),
        (("seeds",), 0),
        (("tables", 0, "valuess"), ["test.loss"]),
        (("claims", 0, "expect", "below"), "low"),
        (("question",), 3),
        (("plugins",), ["mine.txt"]),
        (("grids",), [{"tasks": ["echo"]}]),
    ],
)
def test_mistakes_are_refused(where: tuple[Any, ...], value: Any) -> None:
    schema, study = study_schema(fakes.registry()), copy.deepcopy(SMALL)
    here: Any = study
    for part in where[:-1]:
        here = here[part]
    here[where[-1]] = value
    assert mistakes(schema, study, schema)


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key of every mapping in a schema, by its path."""
    if isinstance(schema, dict):
        found = schema.get("properties", {})
        for name, one in found.items():
            yield f"{path}.{name}", one
        for key, part in {**schema, **found}.items():
            if part is not found:
                yield from properties(part, f"{path}.{key}")
    elif isinstance(schema, list):
        for position, part in enumerate(schema):
            yield from properties(part, f"{path}[{position}]")


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, part in schema.items():
            if key == "$ref":
                yield part
            else:
                yield from references(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from references(part)
