"""Plugins in words: the lists and pages that `emtkit list` and `emtkit show` print."""

from __future__ import annotations

import inspect
import json
from typing import Any

from emtkit.errors import EmtkitError, did_you_mean
from emtkit.plugin.analysis import Analysis
from emtkit.plugin.architecture import RecurrentModel
from emtkit.plugin.params import parameters
from emtkit.plugin.registry import Kind, Plugin, Registry
from emtkit.plugin.task import Task

FAMILIES: dict[str, Kind] = {
    "tasks": "task",
    "architectures": "architecture",
    "analyses": "analysis",
}


def listing(registry: Registry, family: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """Every plugin by family with name, summary, owner, version; and the broken modules."""
    found: dict[str, list[dict[str, Any]]] = {
        name: [
            {"name": p.name, "summary": p.summary, "owner": p.owner, "version": p.version}
            for p in registry.all()
            if p.kind == kind
        ]
        for name, kind in FAMILIES.items()
        if family in (None, name)
    }
    found["broken"] = [vars(broken) for broken in registry.broken]
    return found


def listing_text(found: dict[str, list[dict[str, Any]]]) -> str:
    """`listing` as lines."""
    lines = []
    for family, plugins in found.items():
        if family == "broken":
            lines += [f"BROKEN {b['module']} ({b['owner']}): {b['reason']}" for b in plugins]
            continue
        lines.append(f"{family}:")
        width = max((len(plugin["name"]) for plugin in plugins), default=0)
        lines += [
            f"  {p['name']:<{width}}  {p['summary']}  ({p['owner']}, version {p['version']})"
            for p in plugins
        ]
    return "\n".join(lines)


def description(registry: Registry, name: str) -> str:
    """One plugin in full: docstring, parameters with types and defaults, capabilities.

    Raises:
        EmtkitError: there is no plugin of that name.
    """
    chosen = [plugin for plugin in registry.all() if plugin.name == name]
    if not chosen:
        names = [plugin.name for plugin in registry.all()]
        raise EmtkitError(f"there is no plugin '{name}'; {did_you_mean(name, names)}")
    return "\n\n".join(_page(plugin) for plugin in chosen)


def _page(plugin: Plugin) -> str:
    lines = [
        f"{plugin.kind} {plugin.name} (version {plugin.version}, from {plugin.owner})",
        "",
        inspect.cleandoc(plugin.cls.__doc__ or ""),
        "",
        "Parameters:",
    ]
    for parameter in parameters(plugin.cls):
        default = "required" if parameter.required else f"= {json.dumps(parameter.default)}"
        lines.append(f"  {parameter.name}: {parameter.type} {default}")
    return "\n".join([*lines, "", *_capabilities(plugin)])


def _capabilities(plugin: Plugin) -> list[str]:
    cls = plugin.cls
    if issubclass(cls, Analysis):
        facts = ", ".join(kind.__name__ for kind in cls.requires) or "nothing"
        drawings = ", ".join(cls.drawings) or "none"
        return [f"Looks at: {cls.models.__name__}", f"Needs: {facts}", f"Drawings: {drawings}"]
    offers = ", ".join(kind.__name__ for kind in cls.offers) or "nothing"
    if issubclass(cls, Task):
        return [f"Horizons: {'yes' if cls.horizons else 'no'}", f"Offers: {offers}"]
    state_map = "recurrent" if issubclass(cls, RecurrentModel) else "no state map"
    return [f"Kind: {state_map}", f"Offers: {offers}"]
