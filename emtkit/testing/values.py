"""Random valid parameters of a plugin, drawn from the schema of its signature."""

import json
import math
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from emtkit.plugin import params

NEAR = 4
"""Integers are drawn from their lower bound to this much above it, or stay at their default."""


def draws(plugin: type, random: Random, count: int) -> Iterator[dict[str, Any]]:
    """`count` settings: each parameter stays at its default or takes another valid value."""
    fields = _fields(plugin)
    for _ in range(count):
        yield {
            name: _value(field, random)
            for name, field in fields.items()
            if "default" not in field or random.random() < 0.5
        }


def one_by_one(
    plugin: type, given: Mapping[str, Any], random: Random, tries: int
) -> Iterator[dict[str, Any]]:
    """`given` with a single parameter changed, `tries` times for every parameter."""
    for name, field in _fields(plugin).items():
        seen = {json.dumps(given.get(name))}
        for _ in range(tries):
            value = _value(field, random)
            if json.dumps(value) not in seen:
                seen.add(json.dumps(value))
                yield {**given, name: value}


def required(plugin: type, random: Random) -> dict[str, Any]:
    """Values for the parameters that have no default."""
    fields = _fields(plugin)
    return {name: _value(field, random) for name, field in fields.items() if "default" not in field}


def _fields(plugin: type) -> dict[str, dict[str, Any]]:
    whole = params.schema(plugin).model_json_schema()
    known = whole.get("$defs", {})
    fields: dict[str, dict[str, Any]] = whole.get("properties", {})
    return {
        name: {**known.get(str(field["$ref"]).split("/")[-1], {}), **field}
        if "$ref" in field
        else field
        for name, field in fields.items()
    }


def _value(field: Mapping[str, Any], random: Random) -> Any:
    """One valid value of a parameter; its default where the schema says too little."""
    if "anyOf" in field:
        options = [option for option in field["anyOf"] if _drawable(option)]
        return _value(random.choice(options), random) if options else field.get("default")
    if "enum" in field:
        return random.choice(field["enum"])
    if "const" in field:
        return field["const"]
    kind = field.get("type")
    if kind == "boolean":
        return random.random() < 0.5
    if kind == "integer":
        return _integer(field, random)
    if kind == "number":
        return _number(field, random)
    return field.get("default")


def _drawable(option: Mapping[str, Any]) -> bool:
    simple = {"boolean", "integer", "number", "null"}
    return "enum" in option or "const" in option or option.get("type") in simple


def _integer(field: Mapping[str, Any], random: Random) -> int:
    default = field.get("default")
    low = field.get("minimum", field.get("exclusiveMinimum", -1) + 1)
    low = max(low, 1) if default is None else low
    high = field.get("maximum", field.get("exclusiveMaximum", low + NEAR + 1) - 1)
    near = random.randint(low, max(low, min(high, low + NEAR)))
    return default if default is not None and random.random() < 0.2 else near


def _number(field: Mapping[str, Any], random: Random) -> float:
    default = field.get("default")
    low = field.get("minimum", field.get("exclusiveMinimum", -math.inf))
    high = field.get("maximum", field.get("exclusiveMaximum", math.inf))
    if math.isfinite(low) and math.isfinite(high):
        return float(low + (high - low) * random.uniform(0.1, 0.9))
    centre = float(default) if isinstance(default, int | float) else 1.0
    drawn = (centre or 1.0) * random.uniform(0.5, 1.5)  # what is off by default is tried too
    return drawn if low < drawn < high else centre
