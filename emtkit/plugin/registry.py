"""Which tasks, architectures, analyses and comparisons there are, and who owns them."""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from emtkit.errors import PluginError, did_you_mean
from emtkit.plugin import hookspecs, params
from emtkit.plugin.analysis import Analysis
from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.catalogue import Broken, Kind
from emtkit.plugin.comparison import Comparison
from emtkit.plugin.guard import Guard
from emtkit.plugin.sources import LooseFile, digest, execute, imports_of, read_loose
from emtkit.plugin.task import Task

PluginClass = type[Task] | type[SequenceModel] | type[Analysis] | type[Comparison[Any]]


@dataclass(frozen=True)
class Plugin:
    """One registered class: what kind it is, who owns it, and a digest of its sources.

    `source` is the loose file that it came from, else None.
    """

    kind: Kind
    name: str
    cls: PluginClass
    owner: str
    digest: str
    source: Path | None = None

    @property
    def version(self) -> int:
        """The version that enters the content key."""
        return self.cls.version

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (self.cls.__doc__ or "").strip().split("\n")[0]


class Registry:
    """All plugins by name. Build one with `Registry.installed()`, or by hand in a test."""

    def __init__(
        self,
        plugins: Iterable[Plugin],
        broken: Iterable[Broken] = (),
        loose: Iterable[LooseFile] = (),
    ) -> None:
        self.broken, self.loose = tuple(broken), tuple(loose)
        self.tasks: dict[str, type[Task]] = {}
        self.architectures: dict[str, type[SequenceModel]] = {}
        self.analyses: dict[str, type[Analysis]] = {}
        self.comparisons: dict[str, type[Comparison[Any]]] = {}
        self._plugins: dict[tuple[Kind, str], Plugin] = {}
        for plugin in sorted(plugins, key=lambda entry: (entry.kind, entry.name, entry.owner)):
            self._add(plugin)

    @classmethod
    def installed(
        cls,
        files: Iterable[Path | LooseFile] = (),
        announce: Callable[[str], None] | None = None,
    ) -> "Registry":
        """Every plugin of the installed distributions, and those in loose `files`.

        A path is read now, a `LooseFile` was read before. `announce` receives what is loaded next.

        Raises:
            PluginError: two owners claim one name.
        """
        loader = _Loader(Guard(announce))
        for point in sorted(entry_points(group="emtkit"), key=lambda entry: entry.value):
            loader.load_package(point.value, point.dist.name if point.dist else point.value)
        for file in files:
            loader.load_loose(file)
        return cls(loader.plugins, loader.broken, loader.loose)

    @classmethod
    def of(cls, *classes: PluginClass) -> "Registry":
        """A registry of just these classes, each checked as an installed one would be."""
        return cls([_plugin(entry, entry.__module__, None) for entry in classes])

    def get(self, kind: Kind, name: str) -> Plugin | None:
        """The plugin of that kind and name, or None."""
        return self._plugins.get((kind, name))

    def described(self, kind: Kind, name: str) -> str:
        """A plugin and its owner, for a message."""
        plugin = self.get(kind, name)
        return f"{kind} '{name}'" + (f" of {plugin.owner}" if plugin else "")

    def names(self, kind: Kind) -> list[str]:
        """All names of one kind, sorted."""
        return [name for (found, name) in self._plugins if found == kind]

    def all(self) -> list[Plugin]:
        """Every plugin, by kind and name."""
        return list(self._plugins.values())

    def _add(self, plugin: Plugin) -> None:
        twin = self._plugins.get((plugin.kind, plugin.name))
        if twin is not None:
            raise PluginError(
                f"two owners offer the {plugin.kind} '{plugin.name}': {twin.owner} "
                f"({twin.cls.__module__}) and {plugin.owner} ({plugin.cls.__module__}); "
                "rename one of them or remove it"
            )
        self._plugins[plugin.kind, plugin.name] = plugin
        if issubclass(plugin.cls, Task):
            self.tasks[plugin.name] = plugin.cls
        elif issubclass(plugin.cls, SequenceModel):
            self.architectures[plugin.name] = plugin.cls
        elif issubclass(plugin.cls, Analysis):
            self.analyses[plugin.name] = plugin.cls
        else:
            self.comparisons[plugin.name] = plugin.cls


class _Loader:
    """Loads modules one by one; one that is broken must not take others with it."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self.plugins: list[Plugin] = []
        self.broken: list[Broken] = []
        self.loose: list[LooseFile] = []

    def load_package(self, name: str, owner: str) -> None:
        """A package with all its public modules."""
        root = self._load(name, owner, partial(importlib.import_module, name))
        if root is None:
            return
        paths = getattr(root, "__path__", [])
        for info in pkgutil.walk_packages(paths, f"{name}.", onerror=_quiet):
            if not any(part.startswith("_") for part in info.name.split(".")):
                self._load(info.name, owner, partial(importlib.import_module, info.name))

    def load_loose(self, file: Path | LooseFile) -> None:
        """A file that a study names."""
        name = str(file) if isinstance(file, Path) else file.path
        try:
            read = read_loose(file) if isinstance(file, Path) else file
        except OSError as error:
            self.broken.append(Broken(name, name, _reason(error)))
            return
        if self._load(name, name, partial(execute, read), Path(name)) is not None:
            read = replace(read, imports=read.imports or imports_of(read))
            self.loose.append(read)

    def _load(
        self, name: str, owner: str, load: Callable[[], ModuleType], source: Path | None = None
    ) -> ModuleType | None:
        try:
            with self._guard.calling(f"import {name}"):
                module = load()
                offered = _offered(module)
            self.plugins.extend(_plugin(cls, owner, source) for cls in offered)
        except Exception as error:  # whatever a stranger's module raises is its own reason
            self.broken.append(Broken(name, owner, _reason(error)))
            return None
        return module


def _quiet(name: str) -> None:
    """A package that fails here fails again, with its reason, when it is loaded."""


def _offered(module: ModuleType) -> list[PluginClass]:
    manager = pluggy.PluginManager("emtkit")
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    known = [name for name in vars(hookspecs) if name.startswith("emtkit_")]
    try:
        # Without this call pluggy keeps silent about a misspelt hook.
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        wrong = [name for name in vars(module) if name.startswith("emtkit_") and name not in known]
        if not wrong:
            raise
        hint = did_you_mean(wrong[0], known)
        raise PluginError(f"there is no hook `{wrong[0]}`; {hint}") from error
    offered: list[PluginClass] = []
    for name in known:
        for out in getattr(manager.hook, name)():
            if not isinstance(out, list | tuple):
                given, listed = f"a {type(out).__name__}", "[MyPlugin]"
                if isinstance(out, type):
                    given, listed = f"the class {out.__name__}", f"[{out.__name__}]"
                raise PluginError(f"`{name}` returned {given}; write `return {listed}`, a list")
            offered += out
    return offered


def _plugin(cls: PluginClass, owner: str, source: Path | None) -> Plugin:
    kinds: Mapping[Kind, type] = {
        "task": Task,
        "architecture": SequenceModel,
        "analysis": Analysis,
        "comparison": Comparison,
    }
    kind = next((kind for kind, base in kinds.items() if issubclass(cls, base)), None)
    if kind is None:
        raise PluginError(
            f"{cls.__qualname__} is not a Task, SequenceModel, Analysis or Comparison"
        )
    if not isinstance(cls.__dict__.get("name"), str):
        raise PluginError(f"{cls.__qualname__} has no `name`; it is what a study file says")
    params.check_positional(cls, 1 if kind == "architecture" else 0)
    params.schema(cls)
    return Plugin(kind, cls.name, cls, owner, digest(sys.modules[cls.__module__]), source)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
