"""As much of JSON Schema (draft 2020-12) as `emtkit schema` writes; refuses other keywords."""

from __future__ import annotations

import re
from typing import Any

IGNORED = {"$schema", "$defs", "title", "description", "default", "discriminator"}
TYPES = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}


def mistakes(schema: Any, value: Any, root: Any, path: str = "") -> list[str]:
    """What of `value` the schema does not allow."""
    if schema is True:
        return []
    found: list[str] = []
    for key, rule in schema.items():
        if key not in IGNORED and not _holds(key, rule, schema, value, root, path, found):
            found.append(f"{path}: {value!r} breaks {key}: {str(rule)[:80]}")
    return found


def _holds(
    key: str, rule: Any, schema: Any, value: Any, root: Any, path: str, found: list[str]
) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key == "$ref":
        found += mistakes(root["$defs"][rule.removeprefix("#/$defs/")], value, root, path)
    elif key == "type":
        return isinstance(value, TYPES[rule]) and (not isinstance(value, bool) or rule == "boolean")
    elif key == "enum":
        return value in rule
    elif key == "const":
        return bool(value == rule)
    elif key in {"anyOf", "oneOf"}:
        fitting = sum(not mistakes(one, value, root, path) for one in rule)
        return fitting == 1 if key == "oneOf" else fitting > 0
    elif key in {"properties", "additionalProperties", "required", "minProperties"}:
        return not isinstance(value, dict) or _of_mapping(
            key, rule, schema, value, root, path, found
        )
    elif key in {"items", "prefixItems", "minItems", "maxItems"}:
        return not isinstance(value, list) or _of_list(key, rule, value, root, path, found)
    elif key in {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}:
        bounds = {
            "minimum": lambda: value >= rule,
            "maximum": lambda: value <= rule,
            "exclusiveMinimum": lambda: value > rule,
            "exclusiveMaximum": lambda: value < rule,
        }
        return not number or bounds[key]()
    elif key == "maxLength":
        return not isinstance(value, str) or len(value) <= rule
    elif key == "pattern":
        return not isinstance(value, str) or re.search(rule, value) is not None
    else:
        raise NotImplementedError(f"the test's validator does not know '{key}'")
    return True


def _of_mapping(
    key: str, rule: Any, schema: Any, value: Any, root: Any, path: str, found: list[str]
) -> bool:
    if key == "properties":
        for name in value.keys() & rule.keys():
            found += mistakes(rule[name], value[name], root, f"{path}.{name}")
    elif key == "additionalProperties":
        for name in value.keys() - schema.get("properties", {}).keys():
            if rule is False:
                found.append(f"{path}.{name} is unknown")
            else:
                found += mistakes(rule, value[name], root, f"{path}.{name}")
    elif key == "required":
        return all(name in value for name in rule)
    return key != "minProperties" or len(value) >= rule


def _of_list(key: str, rule: Any, value: Any, root: Any, path: str, found: list[str]) -> bool:
    if key == "items":
        for at, entry in enumerate(value):
            found += mistakes(rule, entry, root, f"{path}[{at}]")
    elif key == "prefixItems":
        for at, (one, entry) in enumerate(zip(rule, value, strict=False)):
            found += mistakes(one, entry, root, f"{path}[{at}]")
    elif key == "minItems":
        return len(value) >= rule
    return key != "maxItems" or len(value) <= rule
