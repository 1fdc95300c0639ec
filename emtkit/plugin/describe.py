"""Plugins in words, from their classes; `catalogue.py` holds the words."""

import inspect
import json
import re
import textwrap

from emtkit.plugin.analysis import Analysis
from emtkit.plugin.architecture import RecurrentModel
from emtkit.plugin.catalogue import Catalogue, PluginInfo
from emtkit.plugin.comparison import Comparison
from emtkit.plugin.params import Parameter, parameters
from emtkit.plugin.registry import Plugin, Registry
from emtkit.plugin.task import Task

WIDTH = 80
"""Columns of a terminal."""


def catalogue(registry: Registry) -> Catalogue:
    """All that a registry holds, in words."""
    described = (
        PluginInfo(p.kind, p.name, p.owner, p.version, p.summary, _page_or_reason(p))
        for p in registry.all()
    )
    return Catalogue(tuple(described), registry.broken)


def page(plugin: Plugin) -> str:
    """One plugin in full, for a terminal: docstring, parameters, capabilities."""
    blocks = re.split(r"\n(?=\n|- )", inspect.cleandoc(plugin.cls.__doc__ or ""))
    return "\n".join(
        [
            f"{plugin.kind} {plugin.name} (version {plugin.version}, from {plugin.owner})",
            "",
            *map(_narrow, blocks),
            "",
            "Parameters:" if parameters(plugin.cls) else "Parameters: none",
            *map(_parameter, parameters(plugin.cls)),
            "",
            *_scalars(plugin.cls),
            *_capabilities(plugin),
        ]
    )


def _narrow(block: str) -> str:
    """A paragraph or list item wrapped anew if it is too wide; indented equations stay."""
    text = block.lstrip("\n")
    if text.startswith(" ") or max(map(len, block.split("\n"))) <= WIDTH:
        return block
    hanging = "  " if text.startswith("- ") else ""
    return block[: -len(text)] + _wrapped(" ".join(text.split()), "", hanging)


def _parameter(parameter: Parameter) -> str:
    default = "required" if parameter.required else f"default {json.dumps(parameter.default)}"
    head = _wrapped(f"{parameter.name}: {parameter.type} ({default})", "  ", " " * 6)
    return "\n".join([head, _wrapped(parameter.description, " " * 6, " " * 6)]).rstrip()


def _scalars(cls: type) -> list[str]:
    """What the scalars of a plugin mean, with a heading and a blank line after."""
    if not issubclass(cls, Task | Analysis | Comparison) or not cls.scalars:
        return []
    lines = [f"{name}: {info}" for name, info in cls.scalars.items()]
    return ["Scalars:", *(_wrapped(line, "  ", " " * 6) for line in lines), ""]


def _wrapped(text: str, first: str, hanging: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _page_or_reason(plugin: Plugin) -> str:
    try:
        return page(plugin)
    except Exception as error:  # a default that JSON cannot write must not hide the other plugins
        return f"{plugin.kind} {plugin.name} cannot be shown: {type(error).__name__}: {error}"


def _capabilities(plugin: Plugin) -> list[str]:
    cls = plugin.cls
    if issubclass(cls, Analysis):
        facts = ", ".join(kind.__name__ for kind in cls.requires) or "nothing"
        drawings = ", ".join(cls.drawings) or "none"
        return [f"Measures: {cls.models.__name__}", f"Requires: {facts}", f"Drawings: {drawings}"]
    if issubclass(cls, Comparison):
        facts = ", ".join(kind.__name__ for kind in cls.requires) or "nothing"
        unchanged = ", ".join(cls.unchanged_by) or "nothing"
        return [
            f"Compares: {cls.models.__name__}",
            f"Requires: {facts}",
            f"Symmetric: {'yes' if cls.symmetric else 'no'}",
            f"Unchanged by other coordinates: {unchanged}",
        ]
    offers = ", ".join(kind.__name__ for kind in cls.offers) or "nothing"
    if issubclass(cls, Task):
        return [f"Horizons: {'yes' if cls.horizons else 'no'}", f"Offers: {offers}"]
    state_map = "recurrent" if issubclass(cls, RecurrentModel) else "no state map"
    return [f"Kind: {state_map}", f"Offers: {offers}"]
