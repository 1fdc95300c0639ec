"""Plugins in words, from their classes; `catalogue.py` holds the words."""

from __future__ import annotations

import inspect
import json

from emtkit.plugin.analysis import Analysis
from emtkit.plugin.architecture import RecurrentModel
from emtkit.plugin.catalogue import Catalogue, PluginInfo
from emtkit.plugin.params import parameters
from emtkit.plugin.registry import Plugin, Registry
from emtkit.plugin.task import Task


def catalogue(registry: Registry) -> Catalogue:
    """All that a registry holds, in words."""
    told = (
        PluginInfo(p.kind, p.name, p.owner, p.version, p.summary, _told(p)) for p in registry.all()
    )
    return Catalogue(tuple(told), registry.broken)


def page(plugin: Plugin) -> str:
    """One plugin in full: docstring, parameters with types and defaults, capabilities."""
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


def _told(plugin: Plugin) -> str:
    try:
        return page(plugin)
    except Exception as error:  # a stranger's default that is no JSON must not take others with it
        return f"{plugin.kind} {plugin.name} cannot be shown: {type(error).__name__}: {error}"


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
