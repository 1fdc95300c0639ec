"""The installed plugins in words, without their classes: what `emtkit list` and `show` print."""

from dataclasses import dataclass
from typing import Any, Literal

from emtkit.errors import EmtkitError, did_you_mean

Kind = Literal["task", "architecture", "analysis", "comparison"]

FAMILIES: dict[str, Kind] = {
    "tasks": "task",
    "architectures": "architecture",
    "analyses": "analysis",
    "comparisons": "comparison",
}


@dataclass(frozen=True)
class Broken:
    """A module that could not be loaded, and why; it never breaks anything else."""

    module: str
    owner: str
    reason: str


@dataclass(frozen=True)
class PluginInfo:
    """One plugin: `summary` is the first line of its docstring, `page` all there is to say."""

    kind: Kind
    name: str
    owner: str
    version: int
    summary: str
    page: str


@dataclass(frozen=True)
class Catalogue:
    """Every plugin, by kind and name, and every module that does not load."""

    plugins: tuple[PluginInfo, ...]
    broken: tuple[Broken, ...]

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Catalogue":
        """The catalogue that `dataclasses.asdict` wrote down."""
        return cls(
            tuple(PluginInfo(**one) for one in plain["plugins"]),
            tuple(Broken(**one) for one in plain["broken"]),
        )

    def listing(self, family: str | None = None) -> dict[str, list[dict[str, Any]]]:
        """Every plugin by family with name, summary, owner, version; and the broken modules."""
        found: dict[str, list[dict[str, Any]]] = {
            name: [
                {"name": p.name, "summary": p.summary, "owner": p.owner, "version": p.version}
                for p in self.plugins
                if p.kind == kind
            ]
            for name, kind in FAMILIES.items()
            if family in (None, name)
        }
        found["broken"] = [vars(broken) for broken in self.broken]
        return found

    def page(self, name: str) -> str:
        """All that there is to say of one plugin, or of those of several kinds with that name.

        Raises:
            EmtkitError: there is no plugin of that name.
        """
        chosen = [plugin.page for plugin in self.plugins if plugin.name == name]
        if not chosen:
            names = [plugin.name for plugin in self.plugins]
            raise EmtkitError(f"there is no plugin '{name}'; {did_you_mean(name, names)}")
        return "\n\n".join(chosen)


def listing_text(found: dict[str, list[dict[str, Any]]]) -> str:
    """`Catalogue.listing` as lines."""
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
