"""A signature is the schema: keyword-only constructor parameters are what a study may set."""

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from emtkit.errors import PluginError, did_you_mean
from emtkit.methods.settings import Since

_BOUNDS = {
    "ge": "at least",
    "gt": "above",
    "le": "at most",
    "lt": "below",
    "min_length": "length from",
}
Json = None | bool | int | float | str | list[Any] | dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a plugin as a reader sees it; `description` is empty where it has none."""

    name: str
    type: str
    default: Json
    required: bool
    description: str


@dataclass(frozen=True)
class Mistake:
    """One wrong parameter: the path to it (names and positions), what is wrong, what to do."""

    path: tuple[str | int, ...]
    text: str
    hint: str


@dataclass(frozen=True)
class Resolved:
    """Parameters with defaults filled in and numbers in one form, or the mistakes found.

    `silent` are those that came later (`Since.LATER`) and have their default: they enter no key.
    """

    values: Mapping[str, Json]
    mistakes: tuple[Mistake, ...]
    silent: tuple[str, ...] = ()


def check_positional(plugin: type, supplied: int) -> None:
    """A constructor takes no more before its `*` than the `supplied` arguments of the core.

    Raises:
        PluginError: a parameter stands there, where no study can set it.
    """
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = [p for p in inspect.signature(plugin).parameters.values() if p.kind in kinds]
    if extra := [p.name for p in found[supplied:]]:
        own = ", ".join(["self", *(p.name for p in found[:supplied]), "*", f"{extra[0]}=..."])
        raise PluginError(
            f"{plugin.__qualname__}: the parameter '{extra[0]}' stands before the `*`, where no "
            f"study can set it; write `def __init__({own})`"
        )


@cache
def schema(plugin: type) -> type[BaseModel]:
    """The pydantic model of `plugin`'s keyword-only constructor parameters.

    Raises:
        PluginError: the constructor takes `**kwargs`, or a parameter lacks its annotation.
    """
    hints = get_type_hints(plugin.__init__, include_extras=True)  # type: ignore[misc]
    fields: dict[str, Any] = {}
    for name, parameter in _keywords(plugin).items():
        if name not in hints:
            raise PluginError(
                f"{plugin.__qualname__}: parameter '{name}' has no annotation; write its type"
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints[name], default)
    strict = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())
    return create_model(plugin.__name__, __config__=strict, **fields)


def parameters(plugin: type) -> tuple[Parameter, ...]:
    """Every parameter of `plugin`, in the order of its signature."""
    hints = get_type_hints(plugin.__init__, include_extras=True)  # type: ignore[misc]
    return tuple(
        Parameter(
            name,
            _spelled(hints[name]),
            None if field.is_required() else json.loads(json.dumps(field.default)),
            field.is_required(),
            field.description or "",
        )
        for name, field in schema(plugin).model_fields.items()
    )


def resolve(plugin: type, given: Mapping[str, Json]) -> Resolved:
    """Check `given` in JSON's strict sense and fill in the defaults.

    `true` is not an integer, `'3'` not a number; a list is a tuple; an integer given for a float
    becomes that float, so that `1` and `1.0` are one setting.
    """
    model = schema(plugin)
    try:
        # Through JSON: pydantic's strict mode then takes a list for a tuple, and nothing else.
        checked = model.model_validate_json(json.dumps(dict(given)), strict=True)
    except ValidationError as error:
        return Resolved({}, tuple(_mistake(plugin, item) for item in _telling(error.errors())))
    silent = (
        name
        for name, field in model.model_fields.items()
        if Since.LATER in field.metadata and getattr(checked, name) == field.default
    )
    return Resolved(json.loads(checked.model_dump_json()), (), tuple(silent))


def build_arguments(plugin: type, values: Mapping[str, Json]) -> dict[str, Any]:
    """Resolved `values` as the Python arguments that the constructor expects (lists as tuples)."""
    checked = schema(plugin).model_validate_json(json.dumps(dict(values)), strict=True)
    return {name: getattr(checked, name) for name in type(checked).model_fields}


def _keywords(plugin: type) -> dict[str, inspect.Parameter]:
    found = {}
    for name, parameter in inspect.signature(plugin).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            raise PluginError(
                f"{plugin.__qualname__} takes **{name}; name every parameter, so that a typo in a "
                "study is found"
            )
        if parameter.kind is parameter.KEYWORD_ONLY:
            found[name] = parameter
    return found


def _telling(errors: Sequence[Any]) -> list[Any]:
    """Of a parameter that may be one value or a list, what is wrong with it as what it is."""
    by_parameter: dict[Any, list[Any]] = {}
    for item in errors:
        by_parameter.setdefault(item["loc"][:1], []).append(item)
    found: list[Any] = []
    for items in by_parameter.values():
        inside = [item for item in items if len(_path(item)) > 1]
        value = [item for item in items if not item["type"].endswith("_type")]
        single = [item for item in items if item["type"] != "tuple_type"]
        found += inside or value or single or items
    return found


def _path(item: Any) -> tuple[str | int, ...]:
    return tuple(part for part in item["loc"] if not _is_branch(part))


def _mistake(plugin: type, item: Any) -> Mistake:
    path = _path(item)
    known = [parameter.name for parameter in parameters(plugin)]
    label = getattr(plugin, "name", plugin.__name__)
    name = ".".join(str(part) for part in path)
    if item["type"] == "extra_forbidden":
        return Mistake(path, f"{label} has no parameter '{name}'", did_you_mean(name, known))
    if item["type"] == "missing":
        return Mistake(path, f"{label} needs '{name}'", f"allowed: {', '.join(known)}")
    declared = next((p for p in parameters(plugin) if p.name == path[0]), None) if path else None
    hint = f"'{declared.name}' is {declared.type}" if declared else ""
    return Mistake(
        path, f"{label}.{name} = {json.dumps(item['input'], default=str)}: {item['msg']}", hint
    )


def _is_branch(part: str | int) -> bool:
    # pydantic puts the tried member of a union into the path; a study's path has no such step.
    return isinstance(part, str) and (
        part in {"int", "float", "str", "bool", "none"} or "[" in part or "-" in part
    )


def _spelled(annotation: Any) -> str:
    """A type as a reader says it: `int, at least 1`, `tanh | relu`, `int | null`."""
    kind = get_origin(annotation)
    if kind is Annotated:
        base, *marks = get_args(annotation)
        bounds = [
            f"{words} {getattr(limit, name)}"
            for mark in marks
            for limit in getattr(mark, "metadata", [mark])
            for name, words in _BOUNDS.items()
            if getattr(limit, name, None) is not None
        ]
        return ", ".join([_spelled(base), *bounds])
    if kind is Literal:
        return " | ".join(str(choice) for choice in get_args(annotation))
    if kind in (Union, UnionType):
        return " | ".join(_spelled(part) for part in get_args(annotation))
    if kind is not None:
        inner = [_spelled(part) for part in get_args(annotation) if part is not Ellipsis]
        return f"list of {', '.join(dict.fromkeys(inner))}"
    if annotation is type(None):
        return "null"
    return str(getattr(annotation, "__name__", annotation))
