"""From pydantic's errors to problems with a place, a path and what is allowed."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from inspect import isabstract
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from emtkit.errors import Problem, did_you_mean
from emtkit.methods.method import Method
from emtkit.study.document import Document
from emtkit.study.yaml_nodes import Trail, spelled

M = TypeVar("M", bound=BaseModel)

# Types of pydantic's errors about mappings; all others are about plain values.
_OF_MAPPING = {"missing", "value_error", "union_tag_invalid", "union_tag_not_found"}
_WORDS = {
    "Input should be an object": "it should be a mapping",
    "Input should be a valid array": "it should be a list",
    "Input should be": "it should be",
    "Tuple should": "the list should",
    "String should": "the text should",
    " after validation": "",
}


class Problems:
    """The mistakes found in one document, each with its place; equal ones count once."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._found: dict[Problem, None] = {}

    @property
    def found(self) -> tuple[Problem, ...]:
        """All of them, in the order in which they were found."""
        return tuple(self._found)

    def say(self, path: Trail, text: str, hint: str = "", *, key: bool = False) -> None:
        """Add a mistake at `path`: at its value or, for `key`, at its key."""
        problem = Problem(self.document.place(path, key=key), spelled(path), text, hint)
        self._found[problem] = None


@dataclass(frozen=True)
class Given:
    """A value of the document with its path; mistakes in it are noted there."""

    value: Any
    path: Trail
    problems: Problems

    def say(self, text: str, hint: str = "", at: Trail = (), *, key: bool = False) -> None:
        """Add a mistake `at` a path inside: at its value or, for `key`, at its key."""
        self.problems.say((*self.path, *at), text, hint, key=key)

    def part(self, key: str) -> "Given":
        """What a mapping has under `key`, or null."""
        return Given(self.value.get(key), (*self.path, key), self.problems)

    def parts(self, what: str, hint: str, *, least: int = 0) -> list["Given"]:
        """The members of a list that has at least so many; anything else is not `what`."""
        if not isinstance(self.value, list) or len(self.value) < least:
            self.say(f"{shown(self.value)} is not {what}", hint)
            return []
        return [
            Given(part, (*self.path, position), self.problems)
            for position, part in enumerate(self.value)
        ]

    def check_keys(self, allowed: Collection[str]) -> None:
        """Note every key of a mapping that is not allowed."""
        for key in self.value:
            if key not in allowed:
                self.say(f"unknown key '{key}'", did_you_mean(key, allowed), (key,), key=True)

    def read_as(self, model: type[M]) -> M | None:
        """The value as a `model`, or None and the mistakes."""
        return checked(model, self.value, self.problems, lambda inner: (*self.path, *inner))


def checked(
    model: type[M], raw: object, problems: Problems, trail: Callable[[Trail], Trail]
) -> M | None:
    """`raw` as a `model`, or None and the mistakes, `trail` turning inner paths into outer ones."""
    if not isinstance(raw, dict):
        problems.say(trail(()), f"{shown(raw)} is not a mapping", _allowed([model]))
        return None
    try:
        # Through JSON: lists are then taken for tuples in strict mode, and nothing else is.
        return model.model_validate_json(json.dumps(raw), strict=True)
    except ValidationError as error:
        for item in _per_place(error, raw):
            _report(model, raw, item, problems, trail)
        return None


def shown(value: object) -> str:
    """A value as the file would spell it, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _report(
    model: type[BaseModel],
    raw: Mapping[str, Any],
    item: Mapping[str, Any],
    problems: Problems,
    trail: Callable[[Trail], Trail],
) -> None:
    path = _path(item["loc"], raw)
    message = _reworded(item)
    last = str(path[-1]) if path else ""
    if item["type"] == "extra_forbidden":
        known = _keys(_models(model, path[:-1], raw))
        problems.say(trail(path), f"unknown key '{last}'", did_you_mean(last, known), key=True)
    elif item["type"] == "missing":
        hint = _allowed(_models(model, path, raw))
        problems.say(trail(path), f"'{item['loc'][-1]}' is missing", hint)
    elif item["type"] == "value_error":
        problems.say(trail(path), message)
    else:
        value, models = _at(raw, path), _models(model, path, raw)
        hint = _meant(value, models) or _near(item) or _allowed(models, alternatives=True)
        problems.say(trail(path), f"{shown(value)} is wrong: {message}", hint)


def _near(item: Mapping[str, Any]) -> str:
    """Which of the words that are allowed was meant, if one is near."""
    if item["type"] != "literal_error" or not isinstance(item["input"], str):
        return ""
    words = re.findall("'([^']*)'", str(item["msg"]))
    return did_you_mean(item["input"], words).partition(" allowed:")[0].partition("allowed:")[0]


def _reworded(item: Mapping[str, Any]) -> str:
    """pydantic's sentence in the words of YAML."""
    if item["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return "it needs a known `kind`"
    message = str(item["msg"]).removeprefix("Value error, ")
    for word, ours in _WORDS.items():
        message = message.replace(word, ours)
    return message


def _per_place(error: ValidationError, raw: Mapping[str, Any]) -> list[Any]:
    """One error per place: of a union's failed branches, the one that fits the value."""
    by_path: dict[Trail, list[Any]] = {}
    for item in error.errors(include_url=False, include_context=False):
        by_path.setdefault(_path(item["loc"], raw), []).append(item)
    kept: list[Any] = []
    for path, items in by_path.items():
        mapping = isinstance(_at(raw, path), dict)
        fitting = [item for item in items if mapping == (item["type"] in _OF_MAPPING)]
        below = any(len(other) > len(path) and other[: len(path)] == path for other in by_path)
        if fitting:
            kept.extend(fitting if mapping else fitting[:1])
        elif not below:
            kept.append(items[0])
    return kept


def _path(location: tuple[Any, ...], raw: object) -> Trail:
    """pydantic's location without the names of tried branches and of what is missing."""
    path: list[str | int] = []
    here = raw
    for part in location:
        inside_list = isinstance(here, list) and isinstance(part, int) and part < len(here)
        if not (inside_list or (isinstance(here, dict) and part in here)):
            continue
        here = here[part]  # type: ignore[index]
        path.append(part)
    return tuple(path)


def _at(raw: object, path: Trail) -> object:
    for part in path:
        raw = raw[part]  # type: ignore[index]
    return raw


def _models(annotation: Any, path: Trail, raw: object) -> list[type[BaseModel]]:
    """The models allowed at `path` below `annotation`, those of another `kind` left out."""
    models = _inside(annotation)
    if isinstance(raw, dict):
        kinds = {model: model.model_fields.get("kind") for model in models}
        fitting = [
            model
            for model, kind in kinds.items()
            if kind is None or "kind" not in raw or raw["kind"] in get_args(kind.annotation)
        ]
        models = fitting or models
    if not path:
        return models
    inner = raw[path[0]] if isinstance(raw, list | dict) else None  # type: ignore[index]
    if isinstance(path[0], int):
        return _models(annotation, path[1:], inner)
    fields = [
        field.annotation if field.annotation is not None else field
        for model in models
        for name, field in model.model_fields.items()
        if (field.alias or name) == path[0]
    ]
    fields += _values(annotation)
    return [found for field in fields for found in _models(field, path[1:], inner)]


def _inside(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if issubclass(annotation, Method) and isabstract(annotation):
            return list(annotation.known().values())
        return [annotation]
    if get_origin(annotation) is Mapping:
        return []
    return [model for part in get_args(annotation) for model in _inside(part)]


def _values(annotation: Any) -> list[Any]:
    """What the values of a mapping with free keys may be."""
    if get_origin(annotation) is Mapping:
        return [get_args(annotation)[1]]
    return [found for part in get_args(annotation) for found in _values(part)]


def _keys(models: list[type[BaseModel]]) -> list[str]:
    return [field.alias or name for model in models for name, field in model.model_fields.items()]


def _meant(value: object, models: list[type[BaseModel]]) -> str:
    """What the unknown name of a method probably means."""
    kinds = [model.model_fields["kind"].default for model in models if issubclass(model, Method)]
    name = value.get("kind") if isinstance(value, dict) else value
    is_unknown = kinds and isinstance(name, str) and name not in kinds
    return did_you_mean(str(name), kinds) if is_unknown else ""


def _allowed(models: list[type[BaseModel]], *, alternatives: bool = False) -> str:
    if not models:
        return ""
    kinds = [
        str(value)
        for model in models
        if "kind" in model.model_fields
        for value in get_args(model.model_fields["kind"].annotation)
    ]
    if kinds and alternatives:
        return f"or a mapping {{kind: {' | '.join(kinds)}, ...}}"
    keys = ", ".join(sorted(set(_keys(models))))
    return f"or a mapping with the keys {keys}" if alternatives else f"allowed keys: {keys}"
